"""Models of several betas, trained in one batched run."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skvae._sklearn_compat import with_callbacks, without_callbacks
from skvae._vae import BalancedVAE
from skvae.fit._progress import Report
from skvae.fit._table import CheckedTable


def fit_betas(
    vae: BalancedVAE,
    X: Any,
    betas: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> list[BalancedVAE]:
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
    each = [float(beta) for beta in np.asarray(betas)]
    shared = clone(vae)
    found = with_callbacks(_train)(shared, X, each, sample_weight)
    seen = {name: value for name, value in vars(shared).items() if name[-1] == "_"}
    models = []
    for beta, attributes in zip(each, found, strict=True):
        model = clone(shared).set_params(beta=beta)
        vars(model).update(seen, **attributes)
        models.append(without_callbacks(model))
    return models


def _train(
    estimator: Any, X: Any, betas: list[float], sample_weight: ArrayLike | None
) -> list[dict[str, Any]]:
    """Fitted attributes at each beta; callbacks get the epochs of the run."""
    from skvae.fit._fit import Fit

    fit = Fit.fresh(estimator, CheckedTable.of(estimator, X, sample_weight), betas)
    report = Report(estimator, X, fit.trained)
    found = fit.train(report)
    report.close(max(found, key=operator.itemgetter("elbo_")))
    return found
