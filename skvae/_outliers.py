"""The estimator that finds odd rows."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils import check_random_state

from skvae._sklearn_compat import Interval, StrOptions, _fit_context, rows_of
from skvae._vae import BalancedVAE, _all_or_nothing
from skvae.data._canonical import canonical_rows
from skvae.fit._table import CheckedTable
from skvae.fitted._threshold import threshold
from skvae.path._held_out import held_out_scores


class OutlierVAE(OutlierMixin, BalancedVAE):
    r"""Variational autoencoder that finds odd rows, in scikit-learn's interface.

    A row is odd where the model explains it badly: its score is the evidence lower
    bound of `BalancedVAE`, and `predict` returns -1 for rows that score below
    `offset_`. `score_cells` shows which cells of a row are odd. Training withstands a
    few odd rows among those of `fit`, as numbers have Student's t distribution.

    Parameters
    ----------
    contamination : float or "auto", default="auto"
        "auto" takes the threshold from scores of rows that a model was not fitted to,
        so that the proportion `false_alarms` of new rows like those of `fit` score
        below it. A number, in (0, 0.5], is the proportion of the rows of `fit` that
        score below it, as in scikit-learn's other detectors; of new rows, which a model
        explains a little worse, it may be more.

    false_alarms : float, default=0.05
        Proportion of new rows like those of `fit` that are to be found odd, in
        (0, 0.5]. If these are normal, so are the new ones, and each of the alarms is a
        false one. If some of them are odd, they take their part of the proportion, and
        fewer of the normal ones raise an alarm. Read where `contamination` is "auto".

    n_folds : int, default=5
        Parts of the distinct rows, at least 2. Each is scored by a model that is fitted
        to the others. Used where `contamination` is "auto".

    n_jobs : int, default=None
        Processes to spread the folds over. None is 1 unless in a
        `joblib.parallel_config`.

    n_components : int or "auto", default="auto"
        Number of latents. This and all that follow are settings of `BalancedVAE`,
        where more is said of them.

    beta : float, default=1.0
        Weight of the rate, at least 0.

    balance : str or BalancePolicy, default="auto"
        Weighs the rate against the distortion: a name or an instance from
        `skvae.balance`. "auto" is "constant" for the default likelihood, which has no
        variance to move.

    likelihood : str, Likelihood or list, default="robust"
        Distribution of the columns. "robust" chooses by their contents, and takes
        Student's t distribution for real numbers: odd rows move neither the model nor
        its scales by much. "auto" takes Gaussian in its place.

    handle_unknown : {"missing", "error"}, default="missing"
        Treatment of categories that the table of fit did not hold. As missing cells
        they do not make a row odd.

    divergence : str or Divergence, default="kl"
        Term that beta weighs: a name or an instance from `skvae.divergences`.

    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's hidden layers; the decoder mirrors them.

    activation : str, default="silu"
        Activation after each hidden layer: "silu", "relu", "leaky_relu", "elu", "gelu",
        "tanh" or "softplus".

    network : Network or None, default=None
        Encoder and decoder, from `skvae.networks`; None is an `MLP`.

    prior : str or Prior, default="normal"
        Distribution of the latents: a name or an instance from `skvae.priors`.

    standardize : bool, "robust" or "quantile", default="robust"
        Whether to centre and scale continuous columns inside the model: "robust" by
        median and interquartile range, which wild cells do not move.

    batch_size : int or "auto", default="auto"
        Rows in a batch.

    max_iter : int, default=100
        Number of epochs.

    learning_rate : str, LearningRate or callable, default="one_cycle"
        Schedule of the learning rate over the planned steps.

    learning_rate_init : float, default=0.003
        The highest learning rate.

    alpha : float, default=0.0
        Decoupled weight decay.

    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows, and keep the weights with the best elbo on them.

    validation_fraction : float, default=0.1
        Fraction of the distinct rows held out.

    n_iter_no_change : int, default=15
        Epochs to wait for a better elbo.

    tol : float, default=1e-4
        Smallest improvement of the elbo that counts, in nats per row.

    warm_start : bool, default=False
        Whether the training on all rows starts from the weights and the column scaling
        of the last fit. Those of the folds never do.

    device : str or torch.device, default="auto"
        A torch device.

    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Floating-point type of the training.

    random_state : int, RandomState instance or None, default=None
        Seed of the folds, of the training on each and of that on all rows.

    verbose : int, default=0
        As of `BalancedVAE`, for each fold and the training on all rows.

    Attributes
    ----------
    offset_ : float
        Score below which a row is odd, in nats:
        ``decision_function(X) == score_samples(X) - offset_``.

    n_components_, beta_ : int, float
        Number of latents, and the weight of the rate at the end of training.

    variance_, theta_, active_units_ : float, ndarray or None
        As of `BalancedVAE`.

    rate_, distortion_, elbo_ : float
        As of `BalancedVAE`: of rows that were held out of the training on all rows for
        early stopping, if there are any.

    history_, n_iter_, prior_ : dict, int, Prior
        Of the training on all rows.

    n_features_in_ : int
        Number of features seen during fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are strings.

    See Also
    --------
    BalancedVAE : The same without a threshold.
    skvae.likelihoods.StudentT : The distribution of numbers.
    sklearn.ensemble.IsolationForest : Odd rows by how soon they are alone in a tree.

    Notes
    -----
    A model explains the rows that it is fitted to better than new ones. With
    ``contamination="auto"`` the distinct rows are therefore divided at random into
    `n_folds` parts, each is scored by a model that is fitted to the others, and the
    threshold is a quantile of all these scores; the final model is fitted to all rows
    [1]_. This takes about `n_folds` times as long as one fit. The quantile of n scores
    is itself uncertain: about a proportion p of new rows fall below it, with a standard
    error of :math:`\sqrt{p (1 - p) / n}`.

    Rows in groups or in the order of time are not like new ones of another group or
    time, even if a fold holds them out. For these, set ``offset_`` to a quantile of
    `score_samples` of rows of another group or a later time.

    References
    ----------
    .. [1] R. F. Barber, E. J. Candès, A. Ramdas and R. J. Tibshirani, "Predictive
       inference with the jackknife+", Annals of Statistics 49(1), 2021, section 1.
       https://arxiv.org/abs/1905.02928
    .. [2] H. Takahashi, T. Iwata, Y. Yamanaka, M. Yamada and S. Yagi, "Student-t
       variational autoencoder for robust density estimation", IJCAI 2018.
       https://www.ijcai.org/proceedings/2018/374

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import OutlierVAE
    >>> X = load_wine().data
    >>> detector = OutlierVAE(n_components=2, max_iter=20, random_state=0).fit(X)
    >>> odd = X[:1].copy()
    >>> odd[0, 3] = 60.0
    >>> detector.predict(odd)
    array([-1])
    >>> int(detector.score_cells(odd)[0].argmax())
    3
    """

    _parameter_constraints = {
        **BalancedVAE._parameter_constraints,
        "contamination": [
            StrOptions({"auto"}),
            Interval(Real, 0, 0.5, closed="right"),
        ],
        "false_alarms": [Interval(Real, 0, 0.5, closed="right")],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        contamination="auto",
        *,
        false_alarms=0.05,
        n_folds=5,
        n_jobs=None,
        n_components="auto",
        beta=1.0,
        balance="auto",
        likelihood="robust",
        handle_unknown="missing",
        divergence="kl",
        hidden_layer_sizes=(128, 128),
        activation="silu",
        network=None,
        prior="normal",
        standardize="robust",
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
        super().__init__(
            n_components=n_components,
            beta=beta,
            balance=balance,
            likelihood=likelihood,
            handle_unknown=handle_unknown,
            divergence=divergence,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            network=network,
            prior=prior,
            standardize=standardize,
            batch_size=batch_size,
            max_iter=max_iter,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            alpha=alpha,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            device=device,
            precision=precision,
            random_state=random_state,
            verbose=verbose,
        )
        self.contamination = contamination
        self.false_alarms = false_alarms
        self.n_folds = n_folds
        self.n_jobs = n_jobs

    @property
    def partial_fit(self):
        """Not there: AttributeError.

        A threshold needs all rows at once.
        """
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: a threshold needs all rows at "
            "once. Use BalancedVAE, and a quantile of its scores of rows that it was "
            "not fitted to."
        )

    @_all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to X, and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers, in the support of the likelihood. A few of the rows may be
            odd.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, at least 0 and not all 0. An integer weight is the
            same as that many equal rows.

        Returns
        -------
        self : OutlierVAE
            The fitted estimator.
        """
        table = CheckedTable.of(self, X, sample_weight)
        index, weight = canonical_rows(table.X, table.weight)
        rows = rows_of(table.source, index)
        if self.contamination == "auto":
            proportion = self.false_alarms
            # First: the user may interrupt the training on all rows, which ends `fit`.
            scores = self._held_out_scores(rows, weight)
            super().fit(X, sample_weight=sample_weight)
        else:
            proportion = self.contamination
            super().fit(X, sample_weight=sample_weight)
            scores = self.score_samples(rows)
        self.offset_ = threshold(scores, weight, proportion)
        return self

    def _held_out_scores(self, rows, weight):
        """Scores of distinct rows by models that are not fitted to them."""
        random = check_random_state(self.random_state)
        settings = {
            name: getattr(self, name) for name in BalancedVAE._get_param_names()
        }
        # A level that a fold lacks is no reason to refuse the table.
        settings["handle_unknown"] = "missing"
        if not isinstance(self.random_state, Integral):
            # One for all: models that start alike are more alike in the end.
            settings["random_state"] = random.randint(np.iinfo(np.int32).max)
        vae = BalancedVAE(**settings)
        return held_out_scores(vae, rows, weight, self.n_folds, random, self.n_jobs)

    def decision_function(self, X):
        """Score of each row above the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``, in nats: negative for odd rows.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Labels of rows: odd or normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,), dtype=int
            -1 for odd rows, 1 for all others.
        """
        return np.where(self.decision_function(X) < 0.0, -1, 1)
