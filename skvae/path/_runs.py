"""Models of several betas, trained in one batched run."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skvae._sklearn_compat import with_callbacks, without_callbacks
from skvae._vae import BalancedVAE
from skvae.fit._progress import Report
from skvae.fit._table import CheckedTable


class BetaModels(NamedTuple):
    """Models of several betas."""

    models: list[BalancedVAE]
    """One for each beta."""
    is_complete: list[bool]
    """False for a model whose training ended because other betas were better."""


def fit_betas(
    vae: BalancedVAE,
    X: Any,
    betas: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    halving: bool = False,
) -> BetaModels:
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
    halving : bool, default=False
        Whether to train only the best betas to the end.

    Returns
    -------
    found : BetaModels
        Models as `fit` would have left them, but for the end of their training.
    """
    each = [float(beta) for beta in np.asarray(betas)]
    shared = clone(vae)
    found, is_complete = with_callbacks(_train)(shared, X, each, sample_weight, halving)
    seen = {name: value for name, value in vars(shared).items() if name[-1] == "_"}
    models = []
    for beta, attributes in zip(each, found, strict=True):
        model = clone(shared).set_params(beta=beta)
        vars(model).update(seen, **attributes)
        models.append(without_callbacks(model))
    return BetaModels(models, is_complete)


def _train(
    estimator: Any,
    X: Any,
    betas: list[float],
    sample_weight: ArrayLike | None,
    halving: bool,
) -> tuple[list[dict[str, Any]], list[bool]]:
    """Fitted attributes at each beta; callbacks get the epochs of the run."""
    from skvae.fit._fit import Fit

    table = CheckedTable.of(estimator, X, sample_weight)
    fit = Fit.fresh(estimator, table, betas)
    if halving:
        fit = fit.halved()
    report = Report(estimator, table.source)
    report.begin(fit.trained, fit.prepared.jacobian)
    outcome = fit.outcome(report)
    kept = fit.kept(outcome)
    found = [fit.trained(r, outcome.take(r)) for r in kept]
    report.close(max(found, key=operator.itemgetter("elbo_")))
    return found, [not outcome.has_left[r] for r in kept]
