"""A few rows with the mean and covariance of many, for linear models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skvae.data._rows import WeightedRows, chunks
from skvae.likelihoods import Likelihood
from skvae.linear._columns import LinearColumns

# Rows from which on linear models are computed from means and covariances.
_LINEAR_ROWS = 20_000


def linear_rows(
    rows: WeightedRows, likelihood: Likelihood, columns: LinearColumns
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows as a linear model sees them and their weights, as arrays in float64.

    Many rows are represented by a few with the same mean and covariance, which is all
    that a linear model depends on.

    Parameters
    ----------
    rows : WeightedRows
    likelihood : Likelihood
        Gives the encoder's inputs.
    columns : LinearColumns
        Columns of the linear model among these.

    Returns
    -------
    x : ndarray of shape (n_rows or fewer, n_columns)
    weight : ndarray of shape (n_rows or fewer,)
        Sums to 1.
    """
    weight = rows.weight.cpu().double().numpy()
    total = weight.sum()
    n_rows, n_features = rows.n_rows, rows.n_features
    widest = max(n_features, len(likelihood.input_columns(n_features)))

    def seen(part: slice) -> NDArray[np.float64]:
        x, _, observed = rows.part(part)
        inputs = likelihood.inputs(x).cpu().double().numpy()
        return columns.rows(
            inputs, None if observed is None else observed.cpu().numpy()
        )

    parts = chunks(n_rows, widest)
    n_columns = len(columns.inputs)
    if n_rows <= max(_LINEAR_ROWS, 2 * n_columns):
        return np.concatenate([seen(part) for part in parts]), weight / total
    center = sum(weight[part] / total @ seen(part) for part in parts)
    covariance = np.zeros((n_columns, n_columns))
    for part in parts:
        x = seen(part) - center
        covariance += (x * (weight[part, None] / total)).T @ x
    values, vectors = np.linalg.eigh(covariance)
    axes = np.sqrt(n_columns * values.clip(min=0.0))[:, None] * vectors.T
    few = np.concatenate([center + axes, center - axes])
    return few, np.full(len(few), 1.0 / len(few))
