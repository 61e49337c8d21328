"""The weighted mean over rows that replicas share, or that each has of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def row_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over rows of a number for each, or of one for each feature.

    Parameters
    ----------
    values : Tensor of shape (n_replicas, n_rows) or (n_replicas, n_rows, n_features)
    weight : Tensor of shape (n_rows,) or (n_replicas, n_rows)
        Sums over rows to about 1. With a replica axis, rows are each replica's own.

    Returns
    -------
    mean : Tensor of shape (n_replicas,) or (n_replicas, n_features)
    """
    if values.ndim == 2:
        if weight.ndim == 1:
            return values @ weight
        return (values * weight).sum(dim=-1)
    if weight.ndim == 1:
        return weight @ values
    return (weight[:, None] @ values)[:, 0]
