"""Columns of tensors by their positions, sums over weighted rows, and a density.

Weights of rows have the shape (n_rows,). Weights of cells have two axes: (n_rows, 1)
where no cell is missing, else (n_rows, n_features) with 0 for a missing one.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


LOG_2_PI = math.log(2.0 * math.pi)


def namespace_of(values: Any) -> Any:
    """Functions of the library of an array or tensor: numpy or torch."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Log-density of vectors, which are the last axis, under a standard normal."""
    return -0.5 * (z.square() + LOG_2_PI).sum(dim=-1)


def cell_weights(weight: Tensor, observed: Tensor | None) -> Tensor:
    """Weights of cells from those of rows.

    Parameters
    ----------
    weight : Tensor of shape (n_rows,)
    observed : Tensor of shape (n_rows, n_features), dtype=bool, or None
        Cells that are not missing; None where none are.

    Returns
    -------
    weight : Tensor of shape (n_rows, 1) or (n_rows, n_features)
    """
    weight = weight[:, None]
    return weight if observed is None else weight * observed


def weighted_sum(values: Tensor, weight: Tensor) -> Tensor:
    """Sum over rows, with weights of cells.

    Parameters
    ----------
    values : Tensor of shape (..., n_rows, n_features)
    weight : Tensor of shape (n_rows, 1) or (n_rows, n_features)

    Returns
    -------
    sum : Tensor of shape (..., n_features)
    """
    if weight.shape[1] == 1:
        # A product of matrices is faster than what it is equal to.
        return weight[:, 0] @ values
    return (weight * values).sum(dim=-2)


def weighted_total(values: Tensor, weight: Tensor) -> Tensor:
    """Sum over rows and features, with weights of cells as in `weighted_sum`."""
    if weight.shape[1] == 1:
        return values.sum(dim=-1) @ weight[:, 0]
    return (values * weight).sum(dim=(-2, -1))


def columns_of(values: Tensor, places: NDArray[np.intp]) -> Tensor:
    """Some columns of a tensor, which are its last axis."""
    return values.index_select(-1, _positions(places.tobytes(), values.device))


def in_units_of(x: Tensor, center: Any, scale: Any) -> Tensor:
    """Return x * scale + center in double precision, within its range.

    Parameters
    ----------
    x : Tensor of shape (..., n_features)
    center, scale : Tensor or ndarray of shape (n_features,), or float
    """
    import torch

    center, scale = (
        each if torch.is_tensor(each) else torch.tensor(each, dtype=torch.float64)
        for each in (center, scale)
    )
    found = x.double() * scale.to(x.device) + center.to(x.device)
    return within(found, torch.finfo(torch.float64).max)


def within(x: Tensor, limit: float) -> Tensor:
    """Numbers no further from zero than a limit.

    The limit is a tensor: exporters keep Python's numbers in single precision.
    """
    import torch

    bound = torch.tensor(limit, dtype=x.dtype, device=x.device)
    return torch.minimum(torch.maximum(x, -bound), bound)


@functools.lru_cache(maxsize=1024)
def _positions(buffer: bytes, device: torch.device) -> Tensor:
    """Positions on a device, copied there once.

    A copy at every step would make the device wait, and cannot be recorded in a graph
    of its operations.
    """
    import torch

    with torch.inference_mode(False):
        return torch.tensor(np.frombuffer(buffer, dtype=np.intp), device=device)
