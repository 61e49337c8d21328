"""The model in a pipeline, and rows as they reach it."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def model_and_rows(estimator: Any, X: Any, needed_by: str) -> tuple[Any, Any]:
    """Find the model in an estimator, and bring rows to it.

    Parameters
    ----------
    estimator : BalancedVAE or Pipeline that ends in one
        Fitted.
    X : array-like of shape (n_samples, n_features)
        Rows as the estimator takes them.
    needed_by : str
        What the user called.

    Returns
    -------
    vae : BalancedVAE
    rows : array-like
        As the steps before the model leave them.
    """
    vae = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not hasattr(vae, "rate_distortion"):
        raise TypeError(
            f"{needed_by} takes a fitted BalancedVAE, or a Pipeline that ends in one, "
            f"got {estimator!r}."
        )
    check_is_fitted(vae)
    if vae is not estimator and len(estimator) > 1:
        X = estimator[:-1].transform(X)
    return vae, X
