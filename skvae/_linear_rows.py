"""Rows for linear models, as arrays: a few that stand for many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skvae._table import slices
from skvae.training import Rows

# Rows from which on linear models are computed from means and covariances.
_LINEAR_ROWS = 20_000


def linear_rows(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and their weights as arrays in float64.

    Of many, a few with the same mean and covariance, which is all that a linear model
    knows of them.
    """
    weight = rows.weight.double().cpu().numpy()
    weight = weight / weight.sum()
    n_rows, n_features = rows.x.shape
    if n_rows <= max(_LINEAR_ROWS, 2 * n_features):
        return rows.x.double().cpu().numpy(), weight
    parts = slices(n_rows, n_features)
    center = sum(weight[part] @ rows.x[part].double().cpu().numpy() for part in parts)
    covariance = np.zeros((n_features, n_features))
    for part in parts:
        x = rows.x[part].double().cpu().numpy() - center
        covariance += (x * weight[part, None]).T @ x
    values, vectors = np.linalg.eigh(covariance)
    axes = np.sqrt(n_features * values.clip(min=0.0))[:, None] * vectors.T
    few = np.concatenate([center + axes, center - axes])
    return few, np.full(len(few), 1.0 / len(few))
