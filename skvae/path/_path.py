"""Models along a path of betas, trained side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from skvae._sklearn_compat import (
    Interval,
    check_sample_weight,
    rows_of,
    validate_parameter_constraints,
    validate_params,
)
from skvae._vae import BalancedVAE
from skvae.data._large import refuse_parts
from skvae.fit._together import ends_together
from skvae.fitted._measures import Seen, measures_of
from skvae.path._beta_grid import beta_grid
from skvae.path._runs import BetaModels, fit_betas

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BetaPath:
    """Result of `beta_path`: models, and their rates and distortions.

    All but `betas` are of shape (n_betas,), or (n_betas, n_folds) with `cv`. Without
    it, numbers are those of the models' own held-out rows, or of their training rows if
    none were held out: their attributes `rate_`, `distortion_` and `elbo_`. With it,
    they are means over the rows of the test fold.

    `skvae.displays.RateDistortionDisplay.from_path` draws it.
    """

    betas: Floats
    """Weights of the rate, of shape (n_betas,)."""
    rate: Floats
    """Mean rate, in nats per row."""
    distortion: Floats
    """Mean distortion, in nats per row and in the units of X."""
    elbo: Floats
    """Mean evidence lower bound with weight 1: minus the sum of the two."""
    active_units: Floats
    """Number of latents whose posterior mean has a variance over rows above 0.01."""
    models: NDArray[np.object_]
    """The fitted `BalancedVAE`."""
    n_iter: NDArray[np.int_]
    """Number of epochs that each was trained for."""
    is_complete: NDArray[np.bool_]
    """False for a model that left the training because other betas were better."""
    fit_time: Floats
    """Seconds of training: those of a run, divided by the number of its models."""
    score_time: Floats
    """Seconds that it took to encode and score the test fold; 0 without folds."""

    @classmethod
    def of(cls, betas: Floats, folds: Sequence[_Fold]) -> BetaPath:
        """Path of the models of each fold."""

        def scores(name: str) -> Floats:
            return np.array(
                [[score[name] for score in fold.scores] for fold in folds]
            ).T

        def per_beta(seconds: list[float]) -> Floats:
            return np.tile(np.array(seconds) / len(betas), (len(betas), 1))

        models = np.empty((len(betas), len(folds)), dtype=object)
        for i, fold in enumerate(folds):
            models[:, i] = fold.trained.models
        is_complete = np.transpose([fold.trained.is_complete for fold in folds])
        n_iter = [model.n_iter_ for model in models.flat]
        return cls(
            betas=betas,
            # Not the negative: a rate of zero would have a sign.
            rate=0.0 - scores("neg_rate"),
            distortion=0.0 - scores("neg_distortion"),
            elbo=scores("elbo"),
            active_units=scores("active_units"),
            models=models,
            n_iter=np.reshape(n_iter, models.shape),
            is_complete=is_complete,
            fit_time=per_beta([fold.fit_seconds for fold in folds]),
            score_time=per_beta([fold.score_seconds for fold in folds]),
        )

    def fold(self, i: int) -> BetaPath:
        """Path of one of the folds, with arrays of shape (n_betas,)."""
        of_each = [field.name for field in fields(self) if field.name != "betas"]
        return replace(self, **{name: getattr(self, name)[:, i] for name in of_each})

    def __repr__(self) -> str:
        """Return a summary without the arrays."""
        shape = " x ".join(map(str, self.rate.shape))
        low, high = self.betas.min(), self.betas.max()
        return f"<BetaPath of {shape} models, beta from {low:.4g} to {high:.4g}>"


_CONSTRAINTS = {
    "betas": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "cv": ["cv_object"],
    "n_jobs": [None, Integral],
    "halving": ["boolean"],
}


@ends_together
def beta_path(
    X: ArrayLike,
    *,
    betas: int | ArrayLike = 20,
    cv: Any = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
    halving: bool = False,
    callbacks: Sequence[Any] | None = None,
    **params: Any,
) -> BetaPath:
    r"""Train models at several betas, side by side.

    The models of a training set are replicas in one batched run, each of them as
    `BalancedVAE.fit` would have trained it alone. Each fold has a run of its own.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers, in the support of the likelihood.

    betas : int or array-like of shape (n_betas,), default=20
        Weights of the rate, at least 0, or how many to take.

    cv : int, cross-validation generator or iterable, default=None
        None trains on all rows. Otherwise models are trained on the training folds,
        and their numbers are those of the test folds: an int is a number of folds in
        the order of the rows, as in scikit-learn.

    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, in training and in the means over test folds.

    n_jobs : int, default=None
        Number of processes that the folds run in. None is 1 unless in a
        `joblib.parallel_config`.

    halving : bool, default=False
        Whether only the best betas are trained to the end, by successive halving [2]_:
        a third goes on after 5 % of the epochs and a ninth after 15 %, both rounded up.
        They are compared by the elbo of the rows that a run holds out, and there must
        be some. Models at the other betas have their best weights so far.

    callbacks : list of callbacks or None, default=None
        Callbacks in scikit-learn's protocol. They are called after each epoch of a
        run, as in `fit` of a single model on its rows, and stop all models of the run,
        which are those of one fold. ``verbose=1`` prints lines.

    **params : dict
        Settings of `BalancedVAE` other than beta.

    Returns
    -------
    path : BetaPath
        With the arrays `betas`, `rate`, `distortion`, `elbo`, `active_units`,
        `models`, `n_iter`, `is_complete`, `fit_time` and `score_time`.

    See Also
    --------
    BalancedVAECV : Chooses the beta of a path by cross-validation.

    Notes
    -----
    The betas of a number n are log-spaced over three decades, from the one down at
    which a linear model has no active latent, which is known in closed form [1]_: where
    :math:`\theta = \beta \sigma^2` is the largest eigenvalue of the covariance of the
    columns as the model sees them. A variance that the balance moves ends at that of
    the columns there. They are rounded to four digits. A likelihood without a variance
    has no such point, and the betas are from 10 down to 0.01.

    The effect of beta depends on the balance. ``balance="constant"`` covers the curve
    from collapse on, in steps as even as the betas are spaced. The default also finds a
    variance for each column, and does so at every beta: its models explain new rows
    better, but are closer together on the curve, and there are two candidates for each
    beta. A balance with a set point ends at its own beta wherever it starts.

    A path deliberately includes betas at which models collapse or overfit, so neither
    `PosteriorCollapseWarning` nor `ConvergenceWarning` is issued.

    Models do not start from their neighbours on the path. All start from the linear
    model at their own beta, which is known in closed form, so that none waits for
    another. A model that starts from its neighbour often stays there, as its start is
    compared by the elbo too, and the path no longer shows the effect of beta.

    References
    ----------
    .. [1] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469
    .. [2] K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and
       hyperparameter optimization", AISTATS 2016. https://arxiv.org/abs/1502.07943

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import beta_path
    >>> path = beta_path(
    ...     load_wine().data,
    ...     betas=4,
    ...     n_components=3,
    ...     balance="constant",
    ...     hidden_layer_sizes=(),
    ...     max_iter=20,
    ...     random_state=0,
    ... )
    >>> path.betas
    array([4.708   , 0.4708  , 0.04708 , 0.004708])
    >>> path.active_units
    array([1., 3., 3., 3.])
    """
    if "beta" in params:
        raise TypeError(
            "beta_path takes the weights of the rate as betas, not as beta."
        )
    if cv is not None:
        refuse_parts(X, "beta_path with cv")
    given = {"betas": betas, "cv": cv, "n_jobs": n_jobs, "halving": halving}
    validate_parameter_constraints(_CONSTRAINTS, given, "beta_path")
    vae = BalancedVAE(**params)
    validate_params(vae)
    if callbacks:
        vae.set_callbacks(*callbacks)
    found = beta_grid(vae, X, sample_weight, betas)
    if cv is None:
        start = time.perf_counter()
        trained = fit_betas(vae, X, found, sample_weight, halving=halving)
        seconds = time.perf_counter() - start
        scores = [_own_scores(model) for model in trained.models]
        return BetaPath.of(found, [_Fold(trained, scores, seconds, 0.0)]).fold(0)
    # Folds import all of scikit-learn's metrics, which `import skvae` does without.
    from sklearn.model_selection import check_cv

    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, X)
    (X,) = indexable(X)
    run = Parallel(n_jobs=n_jobs, verbose=vae.verbose)
    splits = check_cv(cv).split(X)
    folds = run(
        delayed(_fold)(vae, X, weight, found, halving, *split) for split in splits
    )
    return BetaPath.of(found, folds)


class _Fold(NamedTuple):
    """Models of one training set, and their scores."""

    trained: BetaModels
    scores: list[dict[str, float]]
    fit_seconds: float
    score_seconds: float


def _fold(
    vae: BalancedVAE,
    X: Any,
    weight: Floats | None,
    betas: Floats,
    halving: bool,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> _Fold:
    """Train on some rows and score on others."""
    weights = [None if weight is None else weight[part] for part in (train, test)]
    start = time.perf_counter()
    trained = fit_betas(vae, rows_of(X, train), betas, weights[0], halving=halving)
    end = time.perf_counter()
    rows = rows_of(X, test)
    scores = [measures_of(Seen(model, rows), weights[1]) for model in trained.models]
    return _Fold(trained, scores, end - start, time.perf_counter() - end)


def _own_scores(model: BalancedVAE) -> dict[str, float]:
    """Scores from a model's fitted attributes, under the names of the scorers."""
    return {
        "elbo": model.elbo_,
        "neg_rate": -model.rate_,
        "neg_distortion": -model.distortion_,
        "active_units": float(model.active_units_.sum()),
    }
