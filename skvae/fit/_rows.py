"""Rows as the model sees them, and a few that stand for many."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import Rows, chunks
from skvae.data._scaling import Table
from skvae.likelihoods import Likelihood
from skvae.linear._columns import LinearColumns

# Rows from which on linear models are computed from means and covariances.
_LINEAR_ROWS = 20_000


def training_rows(
    X: NDArray[np.floating],
    index: NDArray[np.intp],
    weight: NDArray[np.float64],
    likelihood: Likelihood,
    table: Table,
    *,
    has_gaps: bool,
    like: torch.Tensor,
) -> tuple[Rows, float]:
    """Some rows of a table, and what their units are worth.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Admitted rows; NaN where a cell is missing.
    index : ndarray of shape (n_rows,)
        Which of them, and in which order.
    weight : ndarray of shape (n_rows,)
    likelihood : Likelihood
        Brings rows into the units of its distribution.
    table : Table
        Centres and scales them.
    has_gaps : bool
        Whether any cell of X is missing.
    like : Tensor
        On the device and in the precision that rows are wanted in.

    Returns
    -------
    rows : Rows
    jacobian : float
        Nats per row that their distortion gains in the units of X.
    """
    shape, share = (len(index), X.shape[1]), weight / weight.sum()
    x = like.new_empty(shape)
    observed = like.new_empty(shape, dtype=torch.bool) if has_gaps else None
    jacobian = 0.0
    for part in chunks(*shape):
        rows = X[index[part]]
        seen = table.to_model(likelihood.to_model(rows))
        nats = table.log_jacobian + likelihood.log_jacobian(rows)
        if observed is not None:
            is_there = ~np.isnan(seen)
            observed[part] = torch.from_numpy(is_there).to(like.device)
            seen = np.where(is_there, seen, 0.0)
            nats = np.where(is_there, nats, 0.0)
        x[part] = torch.as_tensor(seen, dtype=like.dtype, device=like.device)
        jacobian += float(share[part] @ nats.sum(axis=1))
    return Rows(x, torch.as_tensor(share).to(like), observed), jacobian


def of_columns(rows: Any, columns: NDArray[np.bool_]) -> Any:
    """Rows with some of their columns; None stays so."""
    if rows is None or columns.all():
        return rows
    mask = torch.from_numpy(columns)
    observed = None if rows.observed is None else rows.observed[:, mask]
    return Rows(rows.x[:, mask], rows.weight, observed)


def columns_with_gaps(X: NDArray[np.floating]) -> tuple[int, ...]:
    """Positions of columns that have missing cells."""
    found = np.zeros(X.shape[1], dtype=bool)
    for part in chunks(*X.shape):
        found |= np.isnan(X[part]).any(axis=0)
    return tuple(int(column) for column in np.flatnonzero(found))


def linear_rows(
    rows: Rows,
    likelihood: Likelihood | None = None,
    columns: LinearColumns | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows as a linear model sees them and their weights, as arrays in float64.

    Of many, a few with the same mean and covariance, which is all that a linear model
    knows of them. Without a likelihood and columns of it, the linear model sees them
    as the likelihood does.
    """
    weight = rows.weight.double().cpu().numpy()
    weight = weight / weight.sum()
    n_rows, n_features = rows.x.shape
    widest = n_features
    if likelihood is not None:
        widest = max(n_features, likelihood.n_inputs(n_features))

    def seen(part: slice) -> NDArray[np.float64]:
        if likelihood is None or columns is None:
            return rows.x[part].double().cpu().numpy()
        inputs = likelihood.inputs(rows.x[part]).double().cpu().numpy()
        observed = None if rows.observed is None else rows.observed[part].cpu().numpy()
        return columns.rows(inputs, observed)

    parts = chunks(n_rows, widest)
    n_columns = n_features if columns is None else len(columns.inputs)
    if n_rows <= max(_LINEAR_ROWS, 2 * n_columns):
        return np.concatenate([seen(part) for part in parts]), weight
    center = sum(weight[part] @ seen(part) for part in parts)
    covariance = np.zeros((n_columns, n_columns))
    for part in parts:
        x = seen(part) - center
        covariance += (x * weight[part, None]).T @ x
    values, vectors = np.linalg.eigh(covariance)
    axes = np.sqrt(n_columns * values.clip(min=0.0))[:, None] * vectors.T
    few = np.concatenate([center + axes, center - axes])
    return few, np.full(len(few), 1.0 / len(few))
