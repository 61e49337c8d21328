"""The model inside a pipeline or search, and the rows as it sees them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from skvae._vae import BalancedVAE
from skvae.data._large import in_memory
from skvae.fitted._pipeline import model_in, transformed


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
    estimator : object
        A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.
    X : array-like of shape (n_samples, n_features)
        Rows as the estimator takes them.
    needed_by : str
        Function or class that the user called.
    """
    vae, steps = model_in(estimator, needed_by)
    return Seen(vae, in_memory(transformed(steps, X)), _names(vae, steps))


def _names(vae: BalancedVAE, steps: list[Pipeline]) -> NDArray[np.str_]:
    """Names of the columns that the model sees, numbered if there are none."""
    if hasattr(vae, "feature_names_in_"):
        return np.asarray(vae.feature_names_in_, dtype=str)
    try:
        return np.asarray(steps[-1].get_feature_names_out(), dtype=str)
    except (AttributeError, IndexError, ValueError):
        # No step, or one that does not name its columns.
        return np.array([f"x{i}" for i in range(vae.n_features_in_)])
