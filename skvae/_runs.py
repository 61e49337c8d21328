"""Models of several betas and training sets, in as few runs as there can be."""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skvae._report import Report
from skvae._sklearn_compat import with_callbacks, without_callbacks

if TYPE_CHECKING:
    from torch import Tensor

#: Rows to train on and their weights, if there are any.
TrainingSet = tuple[Any, ArrayLike | None]


class _Fold(NamedTuple):
    """An estimator that has seen a training set, and is about to be trained."""

    estimator: Any
    X: Any
    fitting: Any
    seconds: float
    """That looking took: scaling and linear starts."""


def fit_betas(
    vae: Any,
    X: Any,
    betas: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> list[Any]:
    """Fit an estimator at several betas in one batched run.

    Parameters
    ----------
    vae : BalancedVAE
        Not fitted, and left so.
    X : array-like of shape (n_samples, n_features)
        Finite numbers, in the support of the likelihood.
    betas : array-like of shape (n_betas,)
        Weights of the rate.
    sample_weight : array-like of shape (n_samples,) or None
        Weight of each row.

    Returns
    -------
    models : list of BalancedVAE
        One for each beta, as `fit` would have left it.
    """
    ((models, _),) = fit_folds(vae, betas, [(X, sample_weight)])
    return models


def fit_folds(
    vae: Any, betas: ArrayLike, training_sets: Iterable[TrainingSet]
) -> Iterator[tuple[list[Any], float]]:
    """Fit an estimator at several betas to each of several training sets.

    Those that follow each other are one run where they can be.

    Parameters
    ----------
    vae : BalancedVAE
        Not fitted, and left so.
    betas : array-like of shape (n_betas,)
        Weights of the rate.
    training_sets : iterable of pairs
        Rows and their weights or None.

    Yields
    ------
    models : list of BalancedVAE
        One for each beta, as `fit` would have left it, of one of the training sets.
    seconds : float
        Its share of the time of its run.
    """
    from skvae._side_by_side import go_together

    each = [float(beta) for beta in np.asarray(betas)]
    run = list[_Fold]()
    for X, weight in training_sets:
        fold = _fold(vae, each, X, weight)
        if run and not go_together([other.fitting for other in (*run, fold)]):
            yield from _trained(run, each)
            run = []
        run.append(fold)
    if run:
        yield from _trained(run, each)


def _fold(vae: Any, betas: list[float], X: Any, weight: ArrayLike | None) -> _Fold:
    """Look at a training set."""
    start = time.perf_counter()
    # Whether a part can do with a beta is asked of the largest one.
    estimator = clone(vae).set_params(beta=max(betas))
    fitting = estimator._fitting(X, weight, goes_on=False, betas=betas)
    return _Fold(estimator, X, fitting, time.perf_counter() - start)


def _trained(run: list[_Fold], betas: list[float]) -> Iterator[tuple[list[Any], float]]:
    """Models of each training set of a run, and its share of the time."""
    start = time.perf_counter()
    found = with_callbacks(_train)(run[0].estimator, run)
    seconds = (time.perf_counter() - start) / len(run)
    for fold, attributes in zip(run, found, strict=True):
        models = _models(fold.estimator, betas, attributes)
        yield models, fold.seconds + seconds


def _train(estimator: Any, run: list[_Fold]) -> list[list[dict[str, Any]]]:
    """Fitted attributes of all models of a run; callbacks hear of one estimator."""
    from skvae._side_by_side import train_together

    fittings = [fold.fitting for fold in run]
    n_replicas = len(fittings[0].replicas)

    def attributes(r: int, values: Tensor) -> dict[str, Any]:
        return fittings[r // n_replicas].attributes(r % n_replicas, values)

    report = Report(estimator, run[0].X, attributes)
    found = train_together(fittings, report)
    report.close(max(itertools.chain(*found), key=operator.itemgetter("elbo_")))
    return found


def _models(shared: Any, betas: list[float], found: list[dict[str, Any]]) -> list[Any]:
    """Fitted estimators from what they share and the attributes of each."""
    seen = {name: value for name, value in vars(shared).items() if name[-1] == "_"}
    models = []
    for beta, attributes in zip(betas, found, strict=True):
        model = clone(shared).set_params(beta=beta)
        vars(model).update(seen, **attributes)
        models.append(without_callbacks(model))
    return models
