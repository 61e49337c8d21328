"""The estimator: validates input, delegates to the torch core, keeps the results."""

import copy
import functools
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.metadata_routing import UNUSED

from skvae._sklearn_compat import (
    CallbackSupportMixin,
    InstanceOfImported,
    Interval,
    StrOptions,
    _fit_context,
    check_sample_weight,
    output_library,
    with_callbacks,
)
from skvae.balance import POLICIES, BalancePolicy
from skvae.data._frames import row_index, table_of_numbers
from skvae.data._large import in_memory, in_parts
from skvae.divergences import DIVERGENCES, Divergence
from skvae.fit._progress import Report
from skvae.fit._table import CheckedTable
from skvae.fit._together import ends_together
from skvae.fitted._access import admitted, fitted_of, of_rows
from skvae.fitted._collapse import warn_after_fit
from skvae.fitted._file_format import opened, sealed
from skvae.fitted._predicted_collapse import warn_before_fit
from skvae.fitted._row_index import index_of_latents, keep_index
from skvae.learning_rates import LEARNING_RATES, LearningRate
from skvae.likelihoods import BY_CONTENT, LIKELIHOODS, Likelihood
from skvae.networks import ACTIVATIONS, Network
from skvae.priors import PRIORS, Prior


def _all_or_nothing(method):
    """Leave the estimator as it was if the method raises, here or in a process beside.

    Processes beside this one are those of torch's group.
    """
    method = ends_together(method)

    @functools.wraps(method)
    def wrapped(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            # One assignment: a second interruption finds no half of it.
            self.__dict__ = before
            raise

    return wrapped


class BalancedVAE(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Variational autoencoder whose balance is a policy, in nats per row throughout.

    Reduces a table to a few latents, maps latents back, draws new rows and scores
    rows by how well the model explains them. The policy `balance`, which can be
    replaced and searched, weighs the rate against the distortion. Scores are always the
    evidence lower bound with weight 1 and a calibrated likelihood, so that models of
    different policies and betas can be compared.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of latents, at least 1. "auto" takes half of the features, at least 1
        and at most 10.

    beta : float, default=1.0
        Weight of the rate, at least 0. Its effect depends on `balance`.

    balance : str or BalancePolicy, default="auto"
        Weighs the rate against the distortion: "constant", "normalized",
        "linear", "sigmoid", "cosine", "cyclical", "capacity", "free_bits", "geco",
        "control", "dynamic", "learned_variance", "optimal_variance",
        "running_average", or an instance from `skvae.balance` for settings other than
        the defaults. Schedules of beta can be wrapped around another policy. "auto" is
        "running_average", which loses least where beta is not tuned, or "constant"
        where the likelihood has no variance that is free. The former trains two models
        side by side and keeps the better one on held-out rows, which takes up to twice
        the time of one; `RunningAverage(scope="feature")` trains one.

    likelihood : str, Likelihood or list, default="auto"
        Distribution of the columns: "gaussian", "student_t", "laplace", "log_normal",
        "bernoulli", "continuous_bernoulli", "beta", "categorical", "ordinal",
        "poisson", "negative_binomial", "zero_inflated_negative_binomial", or an
        instance from `skvae.likelihoods`; or a list of ``(likelihood, columns)``, with
        columns as in scikit-learn's `ColumnTransformer`. "auto" chooses by the contents
        of each column: Categorical for strings and categories, Bernoulli for booleans
        and for zeros and ones (of a frame also for integers that are all zero), and
        Gaussian otherwise. If "auto" finds no column with a variance, a constant beta
        replaces a variance policy; schedules around it are kept. "robust" chooses in
        the same way, but StudentT in place of Gaussian: outliers move neither the
        model nor its scales by much. It has no variance for a policy to move.

    handle_unknown : {"missing", "error"}, default="missing"
        Treatment of values that the table of fit did not hold, in columns of categories
        whose likelihood is chosen by "auto" or "robust" or given by its name, and in
        columns of zeros and ones that these found: a missing cell, with one
        `ColumnWarning` that counts them by column, or an error. The categories of a
        pandas `Categorical` and a polars `Enum` are known whether rows hold them or
        not. A `Likelihood` that is an instance has a `handle_unknown` of its own.

    divergence : str or Divergence, default="kl"
        Term that beta weighs: "kl", "monte_carlo_kl", "total_correlation", "dip",
        "mmd", "importance_weighted", or an instance from `skvae.divergences` for
        settings other than the defaults. The reported rate is always the KL divergence.

    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's hidden layers; the decoder mirrors them. The empty
        tuple gives a linear model. Not used with `network`.

    activation : str, default="silu"
        Activation after each hidden layer: "silu", "relu", "leaky_relu", "elu", "gelu",
        "tanh" or "softplus". Not used with `network`.

    network : Network or None, default=None
        Encoder and decoder, from `skvae.networks`. None is an `MLP` of the two
        parameters above, with a diagonal posterior. With a Gaussian likelihood it
        starts at probabilistic PCA or factor analysis of the same size. `ConvNet` is
        for rows that are pictures, `TorchNetwork` for modules of torch.

    prior : str or Prior, default="normal"
        Distribution p(z) of the latents: "normal", "mixture", or an instance from
        `skvae.priors` for settings other than the defaults. Training is always towards
        the standard normal; a mixture is fitted to the latents of the training rows
        when it has ended, and is kept if it suits the held-out rows better. Rates,
        scores, samples and imputation use it.

    standardize : bool, "robust" or "quantile", default=True
        If not False, continuous columns are centred and scaled inside the model: by
        mean and standard deviation, or with "robust" by median and interquartile range,
        which a few outliers do not move. The outliers themselves then reach the layers
        as large numbers, so compare the two by the score; for columns with outliers or
        long tails, see also `StudentT` and `LogNormal`. All results stay in the
        units of X. A warm start keeps the scaling of the last fit.

        "quantile" maps Gaussian columns to normal scores by rank, see Notes: for rows
        that look real where columns have spikes, grids, bounds or long tails.

    batch_size : int or "auto", default="auto"
        Rows in a batch, at least 1; never more than there are. "auto" takes a 64th
        of the rows, between 128 and 1024.

    max_iter : int, default=100
        Number of epochs, at least 1. An epoch visits each row once; on a table of
        fewer than 20 batches it visits them several times, so that it always has at
        least 20 optimiser steps, and the default at least 2,000.

    learning_rate : str, LearningRate or callable, default="one_cycle"
        Course of the learning rate over the planned steps: "one_cycle", "cosine",
        "cyclical", "step_decay", "constant", or an instance from
        `skvae.learning_rates` for settings other than the defaults; or a function of
        the fraction of the planned steps that are done that returns a factor of
        `learning_rate_init`, and that can be pickled. `partial_fit`, which has no
        planned end, has a course of its own, but for "constant".

    learning_rate_init : float, default=0.003
        The highest learning rate, above 0.

    alpha : float, default=0.0
        Decoupled weight decay, at least 0.

    early_stopping : bool or "auto", default="auto"
        If True, hold out rows, keep the weights with the best elbo on them, and stop
        when there are no better ones for `n_iter_no_change` epochs. "auto" does so if
        there are at least 50 distinct rows.

    validation_fraction : float, default=0.1
        Fraction of the distinct rows held out, in (0, 1).

    n_iter_no_change : int, default=15
        Epochs to wait for a better elbo, at least 1. Counted from the end of the
        schedule of `balance`, and without those whose learning rate is above that of
        the best epoch while the training rows, too, are explained worse.

    tol : float, default=1e-4
        Smallest improvement of the elbo that counts, in nats per row, at least 0.

    warm_start : bool, default=False
        If True, `fit` starts from the weights and the column scaling of the last fit.

    device : str or torch.device, default="auto"
        A torch device such as "cpu", "cuda:1", "mps" or "xpu". "auto" takes a GPU of
        CUDA if there is one, else the CPU; others are taken by name alone. A fitted
        model that finds its device missing, or without double precision as "mps" is,
        works on the CPU.

    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Floating-point type of the training. With "bfloat16" and "tf32", the networks
        compute training steps in it, and all else is in float32: weights, likelihood,
        optimiser and calibration. "tf32" needs an NVIDIA GPU of compute capability 8.0
        or newer. Rows are encoded, decoded and scored in their own type, whatever the
        precision.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the held-out rows, the batches and the noise.
        None takes a seed from numpy's global generator, as all of scikit-learn does.

    verbose : int, default=0
        0 is quiet; n prints a line after each (10 * n)-th part of `max_iter`, and at
        least one a minute, with the time that is left. The last line has `elbo_`.

    Attributes
    ----------
    n_components_ : int
        Number of latents.

    beta_ : float
        Weight of the rate that the weights kept were trained with.

    variance_ : float, ndarray of shape (n_features,) or None
        Calibrated decoder variance in squared units of the columns as the model sees
        them (of X with ``standardize=False``). One number where it is shared: with
        ``scope="shared"`` of a variance policy, and without held-out rows unless
        there is ``scope="feature"``. None for a likelihood without a variance,
        and NaN for columns that have such a likelihood beside others.

    theta_ : float, ndarray of shape (n_features,) or None
        `beta_` times the decoder variance that the weights kept were trained with, in
        the same units. The solution depends on this product.

    active_units_ : ndarray of shape (n_components,), dtype=bool
        Latents whose posterior mean varies over the training rows (variance above
        0.01).

    rate_, distortion_, elbo_ : float
        Means over the held-out rows, or the training rows if none were held out, in
        nats per row and in the units of X. ``elbo_ == -(rate_ + distortion_)``. The
        best epoch, the level of the decoder variance and a mixture prior were chosen
        on the held-out rows, so that new rows score a little lower.

    prior_ : Prior
        The prior that rates, scores and samples use, with what it learned: of a
        mixture, how many normals were chosen, and whether it is used at all.

    history_ : dict of str to ndarray of shape (n_epochs,)
        Per epoch "rate", "distortion", "elbo", "objective", "beta" and
        "learning_rate"; for a likelihood with a variance also "variance" (mean over
        features) and "theta"; with held-out rows also "validation_rate",
        "validation_distortion" and "validation_elbo", which use the calibrated
        variance. All rates are those of training, from the standard normal.

    n_iter_ : int
        Number of epochs run.

    n_features_in_ : int
        Number of features seen during fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are strings.

    See Also
    --------
    sklearn.decomposition.PCA : The linear model, in closed form.
    sklearn.decomposition.FactorAnalysis : The same with a variance for each feature.

    Notes
    -----
    Training minimises :math:`\mathrm{distortion} + \beta\, \mathrm{rate}`, or the
    policy's own objective [1]_ [2]_: the distortion is summed over features, the rate
    over latents, both are means over rows, and all constants are kept. With
    ``hidden_layer_sizes=()`` the optimum is probabilistic PCA or factor analysis.

    Rows are trained on in a canonical order, with equal rows merged, so that integer
    sample weights are the same as repetition and the order of rows does not matter.

    With ``standardize="quantile"`` the model sees each Gaussian column as normal
    scores u: a monotone map of its ranks, with at most a few thousand knots. A value
    of several rows is an atom, an interval (a, b) of scores, and has a probability
    :math:`P(x \mid z) = P(a < u < b \mid z)`; values between atoms have a density
    :math:`p(u \mid z)\, du/dx`. Beyond the observed range u goes on linearly.
    Training has a draw r(u) of the standard normal within the interval of each atom
    (dequantisation [3]_ [4]_), and `history_` is of these draws:

    .. math:: \log P(x \mid z) \ge \mathbb{E}_{r(u)}\left[
              \log p(u \mid z) - \log r(u)\right].

    Scores, and with them `elbo_`, have the probability itself, and q(z given x) is the
    mixture of q(z given u) over fixed draws. Drawn rows hold observed values where most
    of a column's values are of several rows, and stay in the observed range; a mean of
    `inverse_transform` or `impute` may lie between them.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
       https://arxiv.org/abs/1312.6114
    .. [2] I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick,
       S. Mohamed and A. Lerchner, "beta-VAE: Learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
       https://openreview.net/forum?id=Sy2fzU9gl
    .. [3] L. Theis, A. van den Oord and M. Bethge, "A note on the evaluation of
       generative models", ICLR 2016. https://arxiv.org/abs/1511.01844
    .. [4] J. Ho, X. Chen, A. Srinivas, Y. Duan and P. Abbeel, "Flow++: improving
       flow-based generative models with variational dequantization and architecture
       design", ICML 2019. https://arxiv.org/abs/1902.00275

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> X = load_wine().data
    >>> vae = BalancedVAE(2, max_iter=20, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (178, 2)
    >>> vae.sample(3, random_state=0).shape
    (3, 13)
    """

    _parameter_constraints = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "beta": [Interval(Real, 0, None, closed="left")],
        "balance": [StrOptions({"auto", *POLICIES}), BalancePolicy],
        "likelihood": [StrOptions({*BY_CONTENT, *LIKELIHOODS}), Likelihood, list],
        "handle_unknown": [StrOptions({"missing", "error"})],
        "divergence": [StrOptions(set(DIVERGENCES)), Divergence],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "network": [None, Network],
        "prior": [StrOptions(set(PRIORS)), Prior],
        "standardize": ["boolean", StrOptions({"robust", "quantile"})],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(LEARNING_RATES)), LearningRate, callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str, InstanceOfImported("torch.device")],
        "precision": [StrOptions({"float32", "float64", "bfloat16", "tf32"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    #: Whether `fit` warns of latents that collapse.
    _warns_of_collapse = True

    # Latents are data; a parameter not named X would count as metadata.
    __metadata_request__inverse_transform = {"Z": UNUSED}

    def __init__(
        self,
        n_components="auto",
        *,
        beta=1.0,
        balance="auto",
        likelihood="auto",
        handle_unknown="missing",
        divergence="kl",
        hidden_layer_sizes=(128, 128),
        activation="silu",
        network=None,
        prior="normal",
        standardize=True,
        batch_size="auto",
        max_iter=100,
        learning_rate="one_cycle",
        learning_rate_init=0.003,
        alpha=0.0,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=15,
        tol=1e-4,
        warm_start=False,
        device="auto",
        precision="float32",
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.beta = beta
        self.balance = balance
        self.likelihood = likelihood
        self.handle_unknown = handle_unknown
        self.divergence = divergence
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.network = network
        self.prior = prior
        self.standardize = standardize
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    @_all_or_nothing
    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X.

        If the user interrupts the training after its first epoch, with Ctrl-C, the
        model gets the best weights so far, with a warning. Before that, and where there
        is an error, the estimator stays as it was.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers, in the support of the likelihood. An array of more than 64
            MB that is mapped from a file (`numpy.memmap`), the path of a Parquet file
            or folder, a `pyarrow.dataset.Dataset`, an array or frame of dask, or a
            sequence or another object that gives one table after another is read
            batch by batch, and never in memory as a whole.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, at least 0 and not all 0. An integer weight is the
            same as that many equal rows.

        Returns
        -------
        self : BalancedVAE
            The fitted estimator.
        """
        from skvae.fit._fit import Fit
        from skvae.fit._resumable import Resumable

        last = getattr(self, "_fitted", None) if self.warm_start else None
        columns = None if last is None else last.view.columns
        table = CheckedTable.of(self, X, sample_weight, columns)
        training = Resumable(self, table, last)
        # Callbacks may take up an earlier training, with the seed that it drew.
        report = Report(self, table.source, training)
        if last is None:
            fit = Fit.fresh(self, table, [self.beta], training.seed)
        else:
            fit = Fit.warm(self, table, last, training.seed)
        if training.arrays is not None:
            fit = fit.going_on(training.arrays)
        if self._warns_of_collapse:
            warn_before_fit(fit.spec, fit.replicas[0].beta, fit.sizes)
        report.begin(fit.trained, fit.prepared.jacobian)
        vars(self).update(*fit.train_until_interrupted(report))
        report.close()
        if self.n_iter_ == self.max_iter:
            self._warn_if_rising()
        is_collapsed = 2 * self.active_units_.sum() < self.n_components_
        if is_collapsed and self._warns_of_collapse:
            X = fit.prepared.admitted.X
            warn_after_fit(self._fitted, self.device, X, table.weight)
        return self

    @_all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Continue training for one pass over X.

        For a stream of chunks that come once. Where chunks can be read again, `fit` on
        an iterable of them learns from all of them at once.

        - The first call settles `balance`, `beta`, `likelihood`, `standardize`, the
          network and the kinds and levels of the columns; later calls do not read
          these. Schedules of `balance` are fractions of `max_iter` calls.
        - The model keeps a weighted sample of the rows of all calls: at most 4,096 that
          were trained on, fewer of more than 256 columns, and a quarter as many that
          were held out. **A pickle of the model holds these rows.** Variance, prior,
          `rate_`, `distortion_`, `elbo_` and `active_units_` are of this sample.
        - With the chunk, as many others of these rows are trained on again, so that
          what it lacks is not forgotten. A chunk more than 16 times as large as the
          sample, or read from a file, is trained on alone.
        - About `validation_fraction` of the rows is held out, chosen by their values: a
          row that comes again has the same part. On these are chosen the scope of the
          variance, as in `fit`, and the weights: the best ones so far are kept, and
          training goes on from the latest.
        - Where rows have doubled, or the centre or the scale of a column has moved by a
          quarter of the scale, the model is also started anew with the rows that are
          kept, trained on these for as many steps, and replaced if that is better on
          held-out rows.
        - The learning rate rises over 150 steps, and then falls with the root of their
          number; ``learning_rate="constant"`` leaves it where it is.

        A model of `fit` goes on with its scaling, from the weights of the latest call.
        Its sample has the rows of the calls since then.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers, in the support of the likelihood.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, at least 0 and not all 0.

        Returns
        -------
        self : BalancedVAE
            The fitted estimator.
        """
        from skvae.fit._pass import Pass, attributes_after

        if hasattr(self, "_fitted"):
            last = self._fitted
            table = CheckedTable.of(self, X, sample_weight, last.view.columns)
            found = attributes_after(self, table, last, self.history_)
        else:
            found = Pass.first(self, CheckedTable.of(self, X, sample_weight)).train()
        vars(self).update(found)
        return self

    def _warn_if_rising(self):
        """Warn if the last tenth of the epochs still raised the elbo by much."""
        elbo = self.history_.get("validation_elbo", self.history_["elbo"])
        tail = max(1, len(elbo) // 10)
        # A start in closed form leaves little to rise by: as much as 0.005 nats a cell
        # is small from there too.
        rise = max(elbo.max() - elbo.min(), 0.25 * self.n_features_in_)
        gain = elbo[-1] - elbo[-1 - tail] if len(elbo) > tail else np.inf
        if gain > max(self.tol, 0.02 * rise):
            still = "and one epoch tells nothing of convergence"
            if len(elbo) > tail:
                still = (
                    f"while the elbo still rose by {gain:.3g} nats per row in the last "
                    f"{tail} of them"
                )
            warnings.warn(
                f"Training ended after max_iter={self.max_iter} epochs, {still}. "
                "Increase max_iter, or learning_rate_init (now "
                f"{self.learning_rate_init}).",
                ConvergenceWarning,
                stacklevel=2,
            )

    def transform(self, X):
        """Posterior mean of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Latents, in the precision of X.
        """
        (Z,) = of_rows(self, X, lambda model, rows: (model.encode(rows),))
        keep_index(Z, X)
        return Z

    def inverse_transform(self, Z):
        """Decoder mean at latents.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Latents.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the X of fit, and a frame if that was one. A frame of
            pandas has the row index of Z, or that of the frame that Z is the
            `transform` of, so that ``X - inverse_transform(transform(X))`` is the
            error of reconstruction.
        """
        fitted, source = fitted_of(self), in_memory(Z) if in_parts(Z) else Z
        Z = check_array(source, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self.n_components_:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but {type(self).__name__} is expecting "
                f"{self.n_components_} latents as input."
            )
        X = fitted.on(self.device, Z.dtype).decode(Z)
        return fitted.view.to_table(X, index_of_latents(Z, source))

    def sample(self, n_samples=1, random_state=None, *, given=None, noise=True):
        """Draw new rows from the model, all of them or those that agree with cells.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.

        random_state : int, RandomState instance or None, default=None
            Seed. None draws different rows at each call.

        given : dict or None, default=None
            Values of some columns, by name, or by number where X has no names. The
            other cells are drawn given these, by importance [1]_ over the latents: half
            of 10,000 or more are drawn from the prior and half from the posterior of
            the given cells.

        noise : bool, default=True
            False leaves out the noise of p(x given z): each cell is the decoder's mean
            at the same latents, or the most probable level, as `inverse_transform`
            returns it. That is what articles show as drawn pictures. Such rows are
            smoother and more alike than rows are, and not for use as synthetic data.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows from p(z) p(x given z) in the units and precision of the X of fit,
            and a frame if that was one. p(z) is `prior_`. Cells that are given are as
            they were given.

        Warns
        -----
        EffectiveSampleSizeWarning
            If what is given is so improbable that few latents agree with it.

        References
        ----------
        .. [1] A. B. Owen and Y. Zhou, "Safe and effective importance sampling", JASA
           95(449), 2000. https://doi.org/10.1080/01621459.2000.10473909

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from skvae import BalancedVAE
        >>> X = load_wine(as_frame=True).data
        >>> vae = BalancedVAE(2, max_iter=20, random_state=0).fit(X)
        >>> rows = vae.sample(3, random_state=0, given={"alcohol": 14.5})
        >>> rows["alcohol"].tolist()
        [14.5, 14.5, 14.5]
        >>> means = vae.sample(1000, random_state=0, noise=False)
        >>> bool(means["hue"].std() < vae.sample(1000, random_state=0)["hue"].std())
        True
        """
        fitted = fitted_of(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(
                f"n_samples must be an integer of at least 1, got {n_samples!r}."
            )
        if not isinstance(noise, (bool, np.bool_)):
            raise ValueError(f"noise must be True or False, got {noise!r}.")
        model = fitted.on(self.device, fitted.dtype)
        random = check_random_state(random_state)
        row = None if given is None else fitted.given(given)
        if row is None:
            z, seed = model.latents(n_samples, random)
        else:
            from skvae.fitted._conditional import latents_given

            z, seed = latents_given(model, row, n_samples, random)
        dtype = fitted.view.scaling.dtype
        if noise:
            X = model.draw_at(z, seed)
        else:
            Z = z.cpu().numpy().astype(dtype, copy=False)
            X = fitted.on(self.device, dtype).decode(Z)
        if row is not None:
            X = np.where(np.isnan(row), X, row)
        return fitted.view.to_table(X.astype(dtype, copy=False))

    def rate_distortion(self, X):
        """Rate and distortion of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        rate : ndarray of shape (n_samples,)
            KL(q(z given x), p(z)), in nats: in closed form for the standard normal,
            otherwise a mean over the same draws as the distortion.

        distortion : ndarray of shape (n_samples,)
            E_q[-log p(x given z)] with all constants, in nats and in the units of X.
        """
        rate, distortion, _ = of_rows(self, X, lambda model, rows: model.score(rows))
        return rate, distortion

    def score_cells(self, X):
        """Negative log-likelihood of each cell, to locate anomalies within a row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        cells : ndarray or DataFrame of shape (n_samples, n_features)
            E_q[-log p(x_d given z)], in nats; a row sums to its distortion. A frame
            where `set_output` asks for one.
        """
        fitted, numbers = admitted(self, X)
        cells = fitted.on(self.device, numbers.dtype).score_cells(numbers)
        library = output_library(self)
        if library == "array":
            return cells
        labels = fitted.view.columns.labels
        return table_of_numbers(library, cells, labels, row_index(X))

    def score_samples(self, X):
        """Evidence lower bound of each row, a bound on its log-likelihood.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        elbo : ndarray of shape (n_samples,)
            -(rate + distortion), in nats, with weight 1 whatever the training
            objective was. The same at every call; a row's does not depend on the
            others.
        """
        rate, distortion = self.rate_distortion(X)
        return -(rate + distortion)

    def score(self, X, y=None, sample_weight=None):
        """Mean evidence lower bound of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the mean.

        Returns
        -------
        elbo : float
            In nats per row; higher is better.
        """
        elbo = self.score_samples(X)
        weight = check_sample_weight(sample_weight, elbo)
        return float(np.average(elbo.astype(np.float64), weights=weight))

    def log_likelihood(self, X, n_importance_samples=100):
        """Importance-weighted bound on the log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        n_importance_samples : int, default=100
            Draws from the posterior for each row, at least 1: the more, the tighter
            the bound [1]_.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            In nats and in the units of X. The same at every call.

        References
        ----------
        .. [1] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted
           autoencoders", ICLR 2016, Eq. 8. https://arxiv.org/abs/1509.00519
        """
        fitted_of(self)
        if not isinstance(n_importance_samples, Integral) or n_importance_samples < 1:
            raise ValueError(
                "n_importance_samples must be an integer of at least 1, got "
                f"{n_importance_samples!r}."
            )
        (found,) = of_rows(
            self,
            X,
            lambda model, rows: (model.log_likelihood(rows, n_importance_samples),),
        )
        return found

    def impute(self, X, n_importance_samples=100, n_draws=None, random_state=None):
        """Fill missing cells from the observed ones, by the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; missing are NaN, None, or NA.

        n_importance_samples : int, default=100
            Latents drawn for each row from the posterior of what is observed, and
            weighted by importance [1]_; at least 1. Where fewer than 50 count, or half
            of them, as many are drawn about the mode of p(z given what is observed),
            by Laplace's approximation [2]_, and as many beside it.

        n_draws : int or None, default=None
            None fills each cell with its expectation, or its most probable level, the
            same at every call. A number gives as many tables with the cells drawn, for
            multiple imputation.

        random_state : int, RandomState instance or None, default=None
            Seed of `n_draws`. None draws differently at each call.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features), or list of them
            Observed cells are not changed. A row without any observed cell gets the
            mean of the model's samples. A column without any observed cell in `fit`
            gets zeros, or stays missing if it is one of categories.

        References
        ----------
        .. [1] P.-A. Mattei and J. Frellsen, "MIWAE: Deep generative modelling and
           imputation of incomplete data sets", ICML 2019.
           https://arxiv.org/abs/1812.02633
        .. [2] L. Tierney and J. B. Kadane, "Accurate approximations for posterior
           moments and marginal densities", JASA 81(393), 1986.
           https://doi.org/10.1080/01621459.1986.10478240

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_wine
        >>> from skvae import BalancedVAE
        >>> X = load_wine().data.copy()
        >>> X[0, 3] = np.nan
        >>> vae = BalancedVAE(2, max_iter=20, random_state=0).fit(X)
        >>> bool(np.isfinite(vae.impute(X)).all())
        True
        """
        from skvae.fitted import _imputation

        table = in_memory(X)
        index = row_index(table)
        fitted, X = admitted(self, table)
        for name, value in (
            ("n_importance_samples", n_importance_samples),
            ("n_draws", 1 if n_draws is None else n_draws),
        ):
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(
                    f"{name} must be an integer of at least 1, got {value!r}."
                )
        model = fitted.on(self.device, X.dtype)
        if n_draws is None:
            filled = _imputation.expected(model, X, n_importance_samples)
            return fitted.view.columns.filled(filled, table, np.isnan(X), index)
        random = check_random_state(random_state)
        tables = _imputation.drawn(model, X, n_draws, n_importance_samples, random)
        columns, gaps = fitted.view.columns, np.isnan(X)
        return [columns.filled(each, table, gaps, index) for each in tables]

    def __getstate__(self):
        """Return the attributes for a file or a copy, with a checksum."""
        return sealed(super().__getstate__(), self)

    def __setstate__(self, state):
        """Set the attributes from a file or a copy, or raise `ValueError`."""
        super().__setstate__(opened(state, self))

    def __copy__(self):
        """Return a shallow copy; in memory nothing needs a checksum."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __deepcopy__(self, memo):
        """Return a deep copy."""
        other = memo[id(self)] = type(self).__new__(type(self))
        vars(other).update(copy.deepcopy(vars(self), memo))
        return other

    def set_params(self, **params):
        """Set parameters of the estimator and of its parts.

        Parameters
        ----------
        **params : dict
            Parameters, those of a part as ``part__parameter``. A part that is given by
            its name becomes an instance where one of its parameters is set, so that
            ``balance="linear"`` and ``balance__warmup`` can stand in one grid.

        Returns
        -------
        self : BalancedVAE
            The estimator.
        """
        for part, members in (
            ("balance", POLICIES),
            ("likelihood", LIKELIHOODS),
            ("divergence", DIVERGENCES),
            ("prior", PRIORS),
            ("learning_rate", LEARNING_RATES),
        ):
            value = params.get(part, getattr(self, part))
            own = [name for name in params if name.startswith(f"{part}__")]
            if not own or hasattr(value, "set_params"):
                continue
            if not isinstance(value, str) or value not in members:
                raise ValueError(
                    f"{own[0]} is set, but {part}={value!r} has no parameters. Name "
                    f"one of {sorted(members)}, or pass an instance."
                )
            params[part] = members[value]()
        return super().set_params(**params)

    @property
    def prior_(self):
        """Prior p(z) that rates, scores and samples use, with what it learned.

        `sklearn.exceptions.NotFittedError` before `fit`.
        """
        return fitted_of(self).prior

    @property
    def _n_features_out(self):
        """Number of columns of `transform`, for `get_feature_names_out`."""
        return self.n_components_

    def __sklearn_tags__(self):
        """Return the tags of the estimator for scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = True
        return tags
