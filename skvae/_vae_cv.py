"""The estimator that finds its own beta."""

from numbers import Integral

from sklearn.utils import indexable

from skvae._sklearn_compat import (
    Interval,
    StrOptions,
    _fit_context,
    _raise_for_params,
    check_sample_weight,
    own_callbacks,
)
from skvae._vae import BalancedVAE, _all_or_nothing
from skvae.data._checks import checked_numbers
from skvae.data._large import refuse_parts
from skvae.path._cv_results import chosen, results_of
from skvae.path._cv_routing import CVRouting
from skvae.path._path import beta_path


class BalancedVAECV(CVRouting, BalancedVAE):
    r"""Variational autoencoder that finds its beta by cross-validation.

    A path of betas is trained on the rows of each training fold, all betas side by
    side, and scored on those of the test fold. The best beta is then trained on all
    rows, and the estimator is a fitted `BalancedVAE` from there on.

    Parameters
    ----------
    betas : int or array-like of shape (n_betas,), default=20
        Weights of the rate, at least 0, or how many to take. A number of them is
        log-spaced over three decades, from the beta down at which a linear model has no
        active latent (see `beta_path`).

    cv : int, cross-validation generator or iterable, default=None
        How the rows are split, as in scikit-learn: None is five folds in the order
        of the rows.

    scoring : str, callable or None, default=None
        Score of a beta on a test fold, greater is better. None is the mean
        elbo. A callable has the arguments (estimator, X, y) and, to be used with
        sample weights, sample_weight.

    refit : "best" or callable, default="best"
        Which beta is chosen: the one with the best mean score over the test folds, or
        the one whose index the callable returns for `cv_results_`, such as a rule of
        `skvae.model_selection`.

    n_jobs : int, default=None
        Processes to spread the folds over, as in `beta_path`. None is 1 unless in a
        `joblib.parallel_config`.

    halving : bool, default=False
        Whether each fold trains only its best betas to the end, as in `beta_path`. The
        choice is among those that some fold has trained to the end.

    n_components : int or "auto", default="auto"
        Number of latents. This and all that follow are settings of `BalancedVAE`,
        where more is said of them.

    balance : str or BalancePolicy, default="auto"
        What beta weighs the rate in: a name or an instance from `skvae.balance`.

    likelihood : str or Likelihood, default="auto"
        Distribution of the columns: "auto", a name or an instance from
        `skvae.likelihoods`.

    handle_unknown : {"missing", "error"}, default="missing"
        Treatment of categories that the table of fit did not hold.

    divergence : str or Divergence, default="kl"
        What beta weighs: a name or an instance from `skvae.divergences`.

    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's hidden layers; the decoder mirrors them.

    activation : str, default="silu"
        Activation after each hidden layer: a name, as in `skvae.networks.MLP`.

    network : Network or None, default=None
        Encoder and decoder, from `skvae.networks`; None is an `MLP`.

    prior : str or Prior, default="normal"
        Distribution of the latents: a name or an instance from `skvae.priors`.

    standardize : bool, "robust" or "quantile", default=True
        Whether to centre and scale continuous columns inside the model, and how.

    batch_size : int or "auto", default="auto"
        Rows in a batch.

    max_iter : int, default=100
        Number of epochs.

    learning_rate : str, LearningRate or callable, default="one_cycle"
        How the learning rate moves over the planned steps.

    learning_rate_init : float, default=0.003
        The highest learning rate.

    alpha : float, default=0.0
        Decoupled weight decay.

    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows of each training fold, and keep the weights with the
        best elbo on them.

    validation_fraction : float, default=0.1
        Fraction of the distinct rows held out.

    n_iter_no_change : int, default=15
        Epochs to wait for a better elbo.

    tol : float, default=1e-4
        By how many nats per row an elbo must be better to count.

    warm_start : bool, default=False
        Whether the training on all rows starts from the weights and the column scaling
        of the last fit. Those of the folds never do.

    device : str or torch.device, default="auto"
        A torch device.

    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Floating-point type of the training.

    random_state : int, RandomState instance or None, default=None
        Seed of each fold and of the training on all rows.

    verbose : int, default=0
        As of `BalancedVAE`, for each run of folds and the training on all rows.

    Attributes
    ----------
    beta_ : float
        Weight of the rate that was chosen.

    betas_ : ndarray of shape (n_betas,)
        Weights of the rate that it was chosen from.

    cv_results_ : dict of str to array-like
        What `GridSearchCV` over beta would have found, under the same names, with
        "elbo", "neg_rate", "neg_distortion" and "active_units", and with `scoring`
        also "score": "mean_test_elbo", "std_test_elbo" and "rank_test_elbo" of shape
        (n_betas,), "split0_test_elbo" and so on; "param_beta" and "params"; and
        "mean_fit_time" and "mean_score_time", the seconds of a fold divided by the
        number of betas. With `halving` also "split0_n_iter" and "mean_n_iter", epochs
        of training, and "n_complete", folds that trained a beta to the end.

    best_index_ : int
        Of the beta that was chosen, in all of these.

    best_score_ : float
        Its mean score over the test folds.

    best_params_ : dict
        ``{"beta": ...}``, as of a search.

    n_splits_, n_components_ : int
        Number of folds, and number of latents.

    variance_, theta_, active_units_ : float or ndarray
        As of `BalancedVAE` with that beta, fitted to all rows.

    rate_, distortion_, elbo_ : float
        As of `BalancedVAE`: of rows that were held out of the last training. The
        scores of the test folds are in `cv_results_`.

    history_, n_iter_, prior_ : dict, int, Prior
        Of the training on all rows.

    n_features_in_ : int
        Number of features seen during fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are strings.

    See Also
    --------
    BalancedVAE : The same with a beta of one's own.
    beta_path : The path under it.
    skvae.model_selection.knee : A rule for `refit`.

    Notes
    -----
    A test fold is scored by the mean over its rows, with sample weights if there are
    any, and the folds count equally. The scores are those that `GridSearchCV` finds on
    the same splits, as models that are trained side by side are independent;
    only a `random_state` of None draws another seed for each model there, and one for
    each fold here.

    With ``halving=True`` a beta that left a fold is scored there with the weights that
    it had by then. Betas that no fold trained to the end rank last, and a callable
    `refit` gets the `cv_results_` of the others alone: `knee` needs the full path.

    Callbacks in scikit-learn's protocol are called in each run of the path, as in
    `beta_path`, and then in the training on all rows. Those of an enclosing search are
    called in the last alone.

    With the default balance a beta of 1 trains the elbo itself, as its decoder variance
    follows the data; a larger beta is a guard against overfitting. With
    ``balance="constant"`` beta stands for that variance, which is the search that is
    made most often. See `beta_path` for the difference.

    Where columns have nothing in common that holds on new rows, a beta is found at
    which latents collapse, without a warning. `active_units_` tells.

    References
    ----------
    .. [1] I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick,
       S. Mohamed and A. Lerchner, "beta-VAE: Learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
       https://openreview.net/forum?id=Sy2fzU9gl

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import KFold
    >>> from skvae import BalancedVAECV
    >>> X = load_wine().data
    >>> vae = BalancedVAECV(
    ...     [0.1, 1.0, 10.0],
    ...     cv=KFold(3, shuffle=True, random_state=0),
    ...     n_components=2,
    ...     balance="constant",
    ...     hidden_layer_sizes=(),
    ...     max_iter=20,
    ...     random_state=0,
    ... ).fit(X)
    >>> vae.beta_
    1.0
    >>> vae.transform(X).shape
    (178, 2)
    """

    _parameter_constraints = {
        **{
            name: constraints
            for name, constraints in BalancedVAE._parameter_constraints.items()
            if name != "beta"
        },
        "betas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": ["cv_object"],
        "scoring": [None, str, callable],
        "refit": [StrOptions({"best"}), callable],
        "n_jobs": [None, Integral],
        "halving": ["boolean"],
    }

    path = staticmethod(beta_path)

    def __init__(
        self,
        betas=20,
        *,
        cv=None,
        scoring=None,
        refit="best",
        n_jobs=None,
        halving=False,
        n_components="auto",
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
        self.betas = betas
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
        self.halving = halving
        self.n_components = n_components
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

    @property
    def beta(self):
        """Weight of the rate that was chosen: a setting of `BalancedVAE`, found here.

        AttributeError before `fit`.
        """
        return self.best_params_["beta"]

    @property
    def partial_fit(self):
        """Not there, AttributeError: folds need all rows at once."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: folds need all rows at once. "
            "Use BalancedVAE with the beta that was found."
        )

    # The folds have compared the model with those that did not collapse. A filter of
    # warnings would be one for all threads.
    _warns_of_collapse = False

    @_all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, **params):
        """Find beta, and fit the model to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers, in the support of the likelihood.

        y : array-like of shape (n_samples,), default=None
            Handed to `cv` and to `scoring`; the model does not see it.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, at least 0 and not all 0, in training and in the means
            over test folds.

        **params : dict
            Metadata for `cv` and for `scoring`, with scikit-learn's metadata routing.

        Returns
        -------
        self : BalancedVAECV
            The fitted estimator.
        """
        _raise_for_params(params, self, "fit")
        refuse_parts(X, type(self).__name__)
        shared = [name for name in BalancedVAE._get_param_names() if name != "beta"]
        settings = {name: getattr(self, name) for name in shared}
        checked_numbers(self, X)
        X, y = indexable(X, y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
        routed = self._routed(sample_weight, params)
        splits = list(self._splitter(y).split(X, y, **routed.splitter.split))
        path = self.path(
            X,
            betas=self.betas,
            cv=splits,
            sample_weight=sample_weight,
            n_jobs=self.n_jobs,
            halving=self.halving,
            callbacks=own_callbacks(self),
            **settings,
        )
        metric, scores = "elbo", None
        if self.scoring is not None:
            metric, tests = "score", [test for _, test in splits]
            scores = self._scores(path.models, X, y, tests, routed.scorer)
        self.betas_, self.n_splits_ = path.betas, len(splits)
        self.cv_results_ = results_of(path, scores, halving=self.halving)
        self.best_index_ = chosen(self.refit, self.cv_results_, metric)
        means = self.cv_results_[f"mean_test_{metric}"]
        self.best_score_ = float(means[self.best_index_])
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        super().fit(X, sample_weight=sample_weight)
        # Not by way of the precision of the training, and whatever the balance makes
        # of it.
        self.beta_ = self.beta
        return self
