"""The model in an estimator or a pipeline, and the rows that reach it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae._vae import BalancedVAE
from skvae.fitted._pipeline import model_and_rows


class Seen(NamedTuple):
    """A fitted model and the rows that reach it."""

    vae: BalancedVAE
    rows: Any
    """As the steps before the model leave them."""
    names: NDArray[np.str_]
    """Names of the columns, of shape (n_features,)."""

    @property
    def X(self) -> NDArray[np.floating]:
        """The rows as an array of shape (n_samples, n_features)."""
        return np.asarray(self.rows)


def seen_by_model(estimator: Any, X: Any, needed_by: str) -> Seen:
    """Find the model in an estimator, and bring rows to it.

    Parameters
    ----------
    estimator : BalancedVAE or Pipeline that ends in one
        Fitted.
    X : array-like of shape (n_samples, n_features)
        Rows as the estimator takes them.
    needed_by : str
        What the user called.
    """
    vae, rows = model_and_rows(estimator, X, needed_by)
    return Seen(vae, rows, _names(estimator, vae))


def _names(estimator: Any, vae: BalancedVAE) -> NDArray[np.str_]:
    """Names of the columns that the model sees, numbered if there are none."""
    if hasattr(vae, "feature_names_in_"):
        return np.asarray(vae.feature_names_in_, dtype=str)
    if vae is not estimator and len(estimator) > 1:
        try:
            return np.asarray(estimator[:-1].get_feature_names_out(), dtype=str)
        except (AttributeError, ValueError):
            # A step that does not name its columns.
            pass
    return np.array([f"x{i}" for i in range(vae.n_features_in_)])
