"""The model inside a pipeline or search, and rows as they reach it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def model_in(estimator: Any, needed_by: str) -> tuple[Any, list[Pipeline]]:
    """Find the model in an estimator.

    Parameters
    ----------
    estimator : object
        A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.
    needed_by : str
        Function or class that the user called.

    Returns
    -------
    vae : BalancedVAE
    steps : list of Pipeline
        Transformers that rows pass through before they reach it.
    """
    outermost, steps = estimator, []
    while not hasattr(estimator, "rate_distortion"):
        if isinstance(estimator, Pipeline):
            check_is_fitted(estimator)
            # A pipeline of no steps does not transform.
            if len(estimator) > 1:
                steps.append(estimator[:-1])
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            raise TypeError(
                f"{needed_by} takes a fitted BalancedVAE, a Pipeline that ends in one, "
                "or a search over either that has a best_estimator_, got "
                f"{outermost!r}."
            )
    check_is_fitted(estimator)
    return estimator, steps


def model_and_rows(estimator: Any, X: Any, needed_by: str) -> tuple[Any, Any]:
    """Find the model in an estimator, and bring rows to it.

    Parameters
    ----------
    estimator : object
        A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.
    X : array-like of shape (n_samples, n_features)
        Rows as the estimator takes them.
    needed_by : str
        Function or class that the user called.

    Returns
    -------
    vae : BalancedVAE
    rows : array-like
        As the steps before the model leave them.
    """
    vae, steps = model_in(estimator, needed_by)
    return vae, transformed(steps, X)


def transformed(steps: Sequence[Pipeline], X: Any) -> Any:
    """Rows as steps leave them, one after the other."""
    for step in steps:
        X = step.transform(X)
    return X
