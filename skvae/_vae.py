"""The estimator: it validates, delegates to the torch core, and keeps what it finds."""

import functools
import math
import time
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from skvae._rows import canonical_rows
from skvae._sklearn_compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    _fit_context,
    check_sample_weight,
    validate_parameter_constraints,
    with_callbacks,
)
from skvae._table import Table, container_of
from skvae.balance import POLICIES, BalancePolicy, Constant
from skvae.divergences import DIVERGENCES, Divergence
from skvae.likelihoods import LIKELIHOODS, Likelihood
from skvae.networks import ACTIVATIONS, MLP, NETWORKS, Network

# An epoch has at least this many optimiser steps: a table of one or two batches
# needs as many steps as any other, and its rows are visited several times an epoch.
_MIN_STEPS_PER_EPOCH = 20

# "auto": rows needed before some of them are held out.
_MIN_ROWS_TO_HOLD_OUT = 50


def _all_or_nothing(method):
    """Leave the estimator as it was if the method raises."""

    @functools.wraps(method)
    def wrapped(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
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
    rows by how well the model explains them. What weighs the rate against the
    distortion is `balance`, a policy that can be swapped and searched; whatever it
    does, scores are the evidence lower bound with weight 1 and a calibrated
    likelihood, so that models of different policies and betas compare.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of latents, at least 1. "auto" takes half of the features, at least 1
        and at most 10.

    beta : float, default=1.0
        Weight of the rate, at least 0. What it does depends on `balance`.

    balance : str or BalancePolicy, default="learned_variance"
        What weighs the rate against the distortion: "constant", "normalized",
        "linear", "learned_variance", "optimal_variance", "running_average", or an
        instance from `skvae.balance` for settings other than the defaults.

    likelihood : str or Likelihood, default="auto"
        Distribution of the columns: "gaussian", "bernoulli", or an instance from
        `skvae.likelihoods`. "auto" takes Bernoulli where all columns hold zeros and
        ones only, and Gaussian otherwise; where that leaves a variance policy without
        a variance, beta is constant.

    divergence : str or Divergence, default="kl"
        What beta weighs: "kl", or an instance from `skvae.divergences`.

    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's hidden layers; the decoder mirrors them. The empty
        tuple gives a linear model. Not used with `network`.

    activation : {"silu", "relu", "gelu", "tanh"}, default="silu"
        What follows each hidden layer. Not used with `network`.

    network : Network or None, default=None
        Encoder and decoder, from `skvae.networks`. None is an `MLP` of the two
        parameters above.

    standardize : bool, default=True
        Whether to centre and scale continuous columns inside the model. Everything
        that is reported stays in the units of X.

    batch_size : int or "auto", default="auto"
        Rows in a batch, at least 1; never more than there are. "auto" takes a 64th
        of the rows, between 256 and 1024.

    max_iter : int, default=200
        Number of epochs, at least 1. An epoch visits each row once; on a table of
        fewer than 20 batches it visits them several times, so that it always has at
        least 20 optimiser steps, and the default at least 4,000.

    learning_rate : {"one_cycle", "cosine", "constant"}, default="one_cycle"
        How the learning rate moves over the planned steps. `partial_fit`, which has
        no planned end, uses a constant one.

    learning_rate_init : float, default=0.003
        The highest learning rate, above 0.

    alpha : float, default=0.0
        Decoupled weight decay, at least 0.

    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows, keep the weights with the best elbo on them, and
        stop when there are no better ones for `n_iter_no_change` epochs. "auto" does
        so if there are at least 50 distinct rows.

    validation_fraction : float, default=0.1
        Share of the distinct rows held out, in (0, 1).

    n_iter_no_change : int, default=50
        Epochs to wait for a better elbo, at least 1. Counted from the end of the
        schedule of `balance`.

    tol : float, default=1e-4
        By how many nats per row an elbo must be better to count, at least 0.

    warm_start : bool, default=False
        Whether `fit` starts from the weights and the column scaling of the last fit.

    device : str, default="auto"
        A torch device such as "cpu" or "cuda:1". "auto" takes a GPU if there is one.

    precision : {"float32", "float64"}, default="float32"
        Floating-point type of the training. Rows are encoded, decoded and scored in
        their own type.

    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the held-out rows, the batches and the noise.
        None takes a seed from numpy's global generator, as all of scikit-learn does.

    verbose : int, default=0
        0 is quiet; n prints 10 * n lines a fit.

    Attributes
    ----------
    n_components_ : int
        Number of latents.

    beta_ : float
        Weight of the rate that the weights kept were trained with.

    variance_ : float, ndarray of shape (n_features,) or None
        Calibrated decoder variance in squared units of the columns as the model sees
        them (of X with ``standardize=False``); one number where it is shared. None
        for a likelihood without a variance.

    theta_ : float, ndarray of shape (n_features,) or None
        `beta_` times the decoder variance that the weights kept were trained with, in
        the same units: what the solution depends on.

    active_units_ : ndarray of shape (n_components_,), dtype=bool
        Latents whose posterior mean varies over the training rows (variance above
        0.01).

    rate_, distortion_, elbo_ : float
        Means over the held-out rows, or the training rows if none were held out, in
        nats per row and in the units of X. ``elbo_ == -(rate_ + distortion_)``.

    history_ : dict of str to ndarray of shape (n_epochs,)
        Per epoch "rate", "distortion", "elbo", "objective", "beta", "variance" (mean
        over features), "theta" and "learning_rate"; with held-out rows also
        "validation_rate", "validation_distortion" and "validation_elbo", which use
        the calibrated variance.

    n_iter_ : int
        Number of epochs run.

    n_features_in_ : int
        Number of features seen during fit.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X has names that are strings.

    See Also
    --------
    sklearn.decomposition.PCA : The linear model, in closed form.
    sklearn.decomposition.FactorAnalysis : The same with a variance for each feature.

    Notes
    -----
    Training minimises :math:`\mathrm{distortion} + \beta\, \mathrm{rate}` or what the
    policy makes of them [1]_ [2]_: the distortion is summed over features, the rate
    over latents, both are means over rows, and all constants are kept. With
    ``hidden_layer_sizes=()`` the optimum is probabilistic PCA or factor analysis.

    Rows are trained on in a canonical order, with equal rows merged, so that integer
    sample weights are the same as repetition and the order of rows does not matter.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
       https://arxiv.org/abs/1312.6114
    .. [2] I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick,
       S. Mohamed and A. Lerchner, "beta-VAE: Learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
       https://openreview.net/forum?id=Sy2fzU9gl

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
        "balance": [StrOptions(set(POLICIES)), BalancePolicy],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), Likelihood],
        "divergence": [StrOptions(set(DIVERGENCES)), Divergence],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "network": [None, Network],
        "standardize": ["boolean"],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "cosine", "one_cycle"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"float32", "float64"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Latents are data; a parameter not named X would count as metadata.
    __metadata_request__inverse_transform = {"Z": UNUSED}

    def __init__(
        self,
        n_components="auto",
        *,
        beta=1.0,
        balance="learned_variance",
        likelihood="auto",
        divergence="kl",
        hidden_layer_sizes=(128, 128),
        activation="silu",
        network=None,
        standardize=True,
        batch_size="auto",
        max_iter=200,
        learning_rate="one_cycle",
        learning_rate_init=0.003,
        alpha=0.0,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=50,
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
        self.divergence = divergence
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.network = network
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

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers, in the support of the likelihood.

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
        resume = self.warm_start and hasattr(self, "_state")
        return self._fit(X, sample_weight, reset=not resume)

    @_all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Go on training for one pass over X.

        The first call learns the scaling of the columns; the decoder variance is
        calibrated on the rows of the latest call. Schedules of `balance` are
        fractions of `max_iter` calls.

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
        resume = hasattr(self, "_state")
        return self._fit(X, sample_weight, reset=not resume, partial=True)

    def _fit(self, X, sample_weight, *, reset, partial=False):
        """Train from the start, or go on from the last state where not `reset`."""
        import torch

        from skvae import training

        given, container = X, container_of(X)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)
        weight = check_sample_weight(sample_weight, X)
        if not weight.all():
            # A row of weight zero is not there, nor does it say what "auto" means.
            X, weight = X[weight > 0], weight[weight > 0]
        device = _device(self.device)
        dtype = getattr(torch, self.precision)
        if reset or not partial:
            policy, likelihood, divergence, network = self._parts(X)
        else:
            policy, likelihood = self._policy, self._likelihood
            divergence, network = self._divergence, self._network
        names = getattr(self, "feature_names_in_", None)
        X = likelihood.admit(X, names)
        n_features = X.shape[1]

        index, weight = canonical_rows(X, weight)
        X_rows = X[index]
        if reset or not partial:
            n_components = self.n_components
            if n_components == "auto":
                n_components = min(10, max(1, n_features // 2))
        else:
            n_components = self.n_components_
        if reset:
            table = Table.from_rows(
                X_rows,
                weight,
                standardize=self.standardize and likelihood.is_continuous,
                container=container,
                names=None if container == "array" else list(given.columns),
            )
        else:
            table = self._table.after(X_rows)
        module = _module(network, likelihood, divergence, n_features, n_components)

        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        is_held_out = np.zeros(len(index), dtype=bool)
        if not partial:
            is_held_out[self._held_out(len(index), seed)] = True

        def rows_where(mask):
            share = weight[mask] / weight[mask].sum()
            return training.Rows(
                torch.tensor(table.to_model(X_rows[mask]), dtype=dtype, device=device),
                torch.tensor(share, dtype=dtype, device=device),
            )

        rows = rows_where(~is_held_out)
        held_out = rows_where(is_held_out) if is_held_out.any() else None
        plan = self._plan(training.Plan, len(rows.x), partial)

        if reset or not partial:
            variance = _fixed_variance(likelihood, n_features)
            floor = getattr(likelihood, "floor", 0.0) * table.variance
            state = training.init(
                module,
                policy,
                *(
                    torch.tensor(value, dtype=dtype, device=device)
                    for value in ([self.beta], variance, table.variance, floor)
                ),
                seed=seed,
            )
            if not reset:
                state.values = self._kept_values(state, likelihood)
        else:
            state = self._state.to_torch(device, dtype)

        def attributes(values):
            """Fitted attributes that follow from weights."""
            weights = training.views(values, state.shapes)
            nodes = training.quadrature(
                n_components, n_nodes=int(np.clip(2**16 // len(rows.x), 2, 32))
            )
            noise = torch.tensor(nodes, dtype=dtype, device=device)[:, None]
            seen = training.evaluate(module, weights, rows, noise)
            new = None
            if held_out is not None:
                new = training.evaluate(module, weights, held_out, noise)
            variance = training.variance_in_force(
                module,
                policy,
                state,
                seen.error,
                None if new is None else new.error,
                0 if new is None else len(held_out.x),
            )
            judged = seen if new is None else new
            rate = float(judged.rate[0])
            distortion = float(judged.distortion(module, variance)[0])
            distortion += float(table.log_jacobian.sum())
            variance = variance.cpu().numpy()
            return {
                "n_components_": n_components,
                "variance_": _number(variance[0]) if likelihood.has_variance else None,
                "active_units_": (seen.spread[0] > 0.01).cpu().numpy(),
                "rate_": rate,
                "distortion_": distortion,
                "elbo_": -(rate + distortion),
                "_policy": policy,
                "_likelihood": likelihood,
                "_divergence": divergence,
                "_network": network,
                "_table": table,
                "_shapes": state.shapes,
                "_values": values.cpu().numpy(),
                "_variance": variance,
            }

        report = None if partial else _Report(self, given, attributes)
        outcome = training.train(module, policy, state, rows, held_out, plan, report)
        if not bool(torch.isfinite(outcome.values).all()):
            raise RuntimeError(
                "Training diverged: weights are no longer finite. Lower "
                f"learning_rate_init (now {self.learning_rate_init}), or pass "
                "standardize=True if the columns differ in scale."
            )
        vars(self).update(attributes(outcome.values))
        self.beta_ = float(outcome.beta[0])
        self.theta_ = None
        if likelihood.has_variance:
            self.theta_ = self.beta_ * _number(outcome.variance[0].cpu().numpy())
        self.n_iter_ = int(outcome.n_epochs[0])
        self._state = outcome.state.to_numpy()
        history = _in_units_of_x(outcome.history, table.log_jacobian.sum())
        if partial and not reset:
            history = {
                name: np.concatenate([self.history_[name], entries])
                for name, entries in history.items()
            }
        self.history_ = history
        if not partial and self.n_iter_ == self.max_iter:
            self._warn_if_rising()
        if report is not None:
            report.close()
        return self

    def _parts(self, X):
        """Policy, likelihood, divergence and network, checked, as copies."""
        likelihood = self.likelihood
        if likelihood == "auto":
            is_binary = ((X == 0) | (X == 1)).all() and X.min() < X.max()
            likelihood = "bernoulli" if is_binary else "gaussian"
        network = self.network
        if network is None:
            network = MLP(tuple(self.hidden_layer_sizes), self.activation)
        policy = _resolved(self.balance, POLICIES)
        likelihood = _resolved(likelihood, LIKELIHOODS)
        divergence = _resolved(self.divergence, DIVERGENCES)
        network = _resolved(network, NETWORKS)
        if policy.moves_variance and not likelihood.has_free_variance:
            if self.likelihood == "auto":
                policy = Constant()
            else:
                raise ValueError(
                    f"balance={self.balance!r} moves the variance of the decoder, but "
                    f"likelihood={self.likelihood!r} has none that is free to move. "
                    "Use balance='constant', or likelihood='gaussian' for columns of "
                    "real numbers."
                )
        return policy, likelihood, divergence, network

    def _held_out(self, n_rows, seed):
        """Indices of the rows to judge on."""
        wanted = self.early_stopping
        if wanted == "auto":
            wanted = n_rows >= _MIN_ROWS_TO_HOLD_OUT
        if not wanted:
            return np.empty(0, dtype=np.intp)
        if n_rows < 2:
            raise ValueError(
                "early_stopping=True needs at least 2 distinct rows of positive "
                "weight, one to train on and one to hold out, but X has one sample of "
                "that kind. Pass more rows, or early_stopping=False."
            )
        n_held_out = min(math.ceil(self.validation_fraction * n_rows), n_rows - 1)
        # Not the global generator: a private one of the same seed.
        order = np.random.RandomState(seed).permutation(n_rows)
        return np.sort(order[:n_held_out])

    def _plan(self, Plan, n_rows, partial):
        """How long and how fast to train on `n_rows` rows."""
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = int(np.clip(n_rows // 64, 256, 1024))
        batch_size = min(batch_size, n_rows)
        n_steps = math.ceil(n_rows / batch_size)
        if not partial:
            n_steps = max(n_steps, _MIN_STEPS_PER_EPOCH)
        # A small table in a single batch has time to spare for less noise.
        n_draws = 1
        if batch_size == n_rows:
            n_draws = 2 * int(np.clip(256 // n_rows, 1, 4))
        return Plan(
            n_epochs=1 if partial else self.max_iter,
            n_planned_epochs=self.max_iter,
            steps_per_epoch=n_steps,
            batch_size=batch_size,
            n_draws=n_draws,
            schedule="constant" if partial else self.learning_rate,
            learning_rate=self.learning_rate_init,
            weight_decay=self.alpha,
            patience=None if partial else self.n_iter_no_change,
            tolerance=self.tol,
        )

    def _kept_values(self, state, likelihood):
        """Weights of the last fit, for a warm start."""
        if type(likelihood) is not type(self._likelihood):
            raise ValueError(
                "warm_start=True goes on from the weights of the last fit, whose "
                f"likelihood was {self._likelihood} and is now {likelihood}. Keep the "
                "likelihood, or set warm_start=False."
            )
        if state.shapes != self._shapes:
            raise ValueError(
                "warm_start=True goes on from the weights of the last fit, but their "
                f"shapes are {self._shapes} and the parameters now ask for "
                f"{state.shapes}. Keep n_components, hidden_layer_sizes, network, "
                "likelihood and the scope of balance, or set warm_start=False."
            )
        return state.values.new_tensor(self._values)

    def _warn_if_rising(self):
        """Warn if the last tenth of the epochs still raised the elbo by much."""
        elbo = self.history_.get("validation_elbo", self.history_["elbo"])
        tail = max(1, len(elbo) // 10)
        gain = elbo[-1] - elbo[-1 - tail] if len(elbo) > tail else np.inf
        if gain > max(self.tol, 0.02 * (elbo.max() - elbo.min())):
            warnings.warn(
                f"Training ended after max_iter={self.max_iter} epochs while the elbo "
                f"still rose (by {gain:.3g} nats per row in the last {tail}). Increase "
                f"max_iter, or learning_rate_init (now {self.learning_rate_init}).",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _rows(self, X):
        """Check rows against the fitted model."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self._likelihood.admit(X, getattr(self, "feature_names_in_", None))

    def _model(self, dtype):
        """The trained model in a precision."""
        import torch

        from skvae._inference import Model

        return Model(
            module=_module(
                self._network,
                self._likelihood,
                self._divergence,
                self.n_features_in_,
                self.n_components_,
            ),
            shapes=self._shapes,
            values=self._values,
            variance=self._variance,
            table=self._table,
            dtype=getattr(torch, np.dtype(dtype).name),
            device=_device(self.device),
        )

    def transform(self, X):
        """Posterior mean of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components_)
            Latents, in the precision of X.
        """
        X = self._rows(X)
        return self._model(X.dtype).encode(X)

    def inverse_transform(self, Z):
        """Decoder mean at latents.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components_)
            Latents.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the X of fit, and a frame if that was one.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self.n_components_:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but {type(self).__name__} is expecting "
                f"{self.n_components_} latents as input."
            )
        return self._table.wrap(self._model(Z.dtype).decode(Z))

    def sample(self, n_samples=1, random_state=None):
        """Draw new rows from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.

        random_state : int, RandomState instance or None, default=None
            Seed. None draws different rows at each call.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows from p(z) p(x given z) in the units of the X of fit, and a frame if
            that was one.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(
                f"n_samples must be an integer of at least 1, got {n_samples!r}."
            )
        drawn = self._model(self._values.dtype).draw(
            n_samples, check_random_state(random_state)
        )
        return self._table.wrap(drawn)

    def rate_distortion(self, X):
        """Rate and distortion of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        rate : ndarray of shape (n_samples,)
            KL(q(z given x), p(z)), in nats.

        distortion : ndarray of shape (n_samples,)
            E_q[-log p(x given z)] with all constants, in nats and in the units of X.
        """
        X = self._rows(X)
        rate, cells = self._model(X.dtype).score(X)
        return rate, cells.sum(axis=1)

    def score_cells(self, X):
        """Negative log-likelihood of each cell: which one makes a row odd.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        cells : ndarray of shape (n_samples, n_features)
            E_q[-log p(x_d given z)], in nats; a row sums to its distortion.
        """
        X = self._rows(X)
        return self._model(X.dtype).score(X)[1]

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
        X = self._rows(X)
        if not isinstance(n_importance_samples, Integral) or n_importance_samples < 1:
            raise ValueError(
                "n_importance_samples must be an integer of at least 1, got "
                f"{n_importance_samples!r}."
            )
        return self._model(X.dtype).log_likelihood(X, n_importance_samples)

    @property
    def _n_features_out(self):
        """Number of columns of `transform`, for `get_feature_names_out`."""
        return self.n_components_

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator can do."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = False
        return tags


class _Report:
    """Tells callbacks and terminal of each epoch."""

    def __init__(self, estimator, X, attributes):
        self.estimator, self.X, self.attributes = estimator, X, attributes
        self.every = estimator.max_iter / (10.0 * max(1, int(estimator.verbose)))
        self.start = time.perf_counter()
        self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        # X is the target of an autoencoder; monitors skip scoring without a y.
        self.data = {"estimator": estimator, "X": X, "y": X}
        self.root.call_on_fit_task_begin(**self.data)

    def __call__(self, epoch, record, kept_values):
        """Report an epoch; return whether a callback asks to stop."""
        if self.estimator.verbose:
            self._print(epoch + 1, record)
        task = self.root.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(**self.data)
        return task.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: self.attributes(kept_values()),
        )

    def _print(self, n_done, record):
        n_epochs = self.estimator.max_iter
        if n_done % self.every >= 1.0 and n_done < n_epochs:
            return
        elbo = float(record.get("validation_elbo", record["elbo"])[0])
        spent = time.perf_counter() - self.start
        left = spent / n_done * (n_epochs - n_done)
        print(
            f"[BalancedVAE] epoch {n_done}/{n_epochs}: elbo {elbo:.4g} nats per row "
            f"(as the model sees it), rate {float(record['rate'][0]):.3g}, "
            f"at most {left:.0f} s left"
        )

    def close(self):
        """Report the end of the fit."""
        self.root.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: {}
        )


def _module(network, likelihood, divergence, n_features, n_components):
    from skvae._module import Module

    return Module(network, likelihood, divergence, n_features, n_components)


def _resolved(part, members):
    """Copy of a part with checked settings, built from its name if it is one."""
    part = members[part]() if isinstance(part, str) else clone(part)
    validate_parameter_constraints(
        part._parameter_constraints, part.get_params(deep=False), type(part).__name__
    )
    return part


def _device(name):
    """Return torch device of a name, or raise ValueError if it is not there."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        # There and back: the meta device takes tensors but holds no numbers.
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        n_gpus = torch.cuda.device_count()
        raise ValueError(
            f"device={name!r} is not available here: torch sees the CPU and {n_gpus} "
            "CUDA devices. Use device='cpu' or device='auto'."
        ) from error
    return device


def _fixed_variance(likelihood, n_features):
    """Decoder variance for a policy that does not move it: the user's, or 1."""
    variance = likelihood.variance
    variance = np.atleast_1d(1.0 if variance is None else np.asarray(variance, float))
    is_possible = ((variance > 0) & (variance < np.inf)).all()
    if variance.shape not in {(1,), (n_features,)} or not is_possible:
        raise ValueError(
            f"The variance of {type(likelihood).__name__} must be a number above 0 or "
            f"one for each of the {n_features} features, got {likelihood.variance!r}."
        )
    return variance


def _number(values):
    """Float where there is one value, else the values in float64."""
    return float(values[0]) if len(values) == 1 else values.astype(np.float64)


def _in_units_of_x(history, log_jacobian):
    """History of the only replica, in the units of X."""
    history = {name: entries[:, 0].astype(float) for name, entries in history.items()}
    history["theta"] = history["beta"] * history["variance"]
    for name in ("distortion", "objective", "validation_distortion"):
        if name in history:
            history[name] += log_jacobian
    for prefix in ("", "validation_"):
        if f"{prefix}rate" in history:
            history[f"{prefix}elbo"] = -(
                history[f"{prefix}rate"] + history[f"{prefix}distortion"]
            )
    return history
