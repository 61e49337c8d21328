"""Several weights of the rate trained side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone


def fit_betas(vae: Any, X: Any, betas: Sequence[float]) -> list[Any]:
    """Fit an estimator at several betas in one batched run.

    Parameters
    ----------
    vae : BalancedVAE
        Not fitted, and left so.
    X : array-like of shape (n_samples, n_features)
        Finite numbers, in the support of the likelihood.
    betas : sequence of float
        Weights of the rate.

    Returns
    -------
    models : list of BalancedVAE
        One for each beta, as `fit` would have left it.
    """
    shared = clone(vae)
    fitting = shared._fitting(X, None, goes_on=False, betas=betas)
    models = []
    for beta, attributes in zip(betas, fitting.train(None), strict=True):
        model = clone(vae).set_params(beta=beta)
        vars(model).update(
            {name: value for name, value in vars(shared).items() if name[-1] == "_"},
            **attributes,
        )
        models.append(model)
    return models
