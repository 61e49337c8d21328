"""Columns of tensors by their positions."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


def columns_of(values: Tensor, places: NDArray[np.intp]) -> Tensor:
    """Some columns of a tensor, which are its last axis."""
    return values.index_select(-1, _positions(places.tobytes(), values.device))


@functools.lru_cache(maxsize=1024)
def _positions(buffer: bytes, device: torch.device) -> Tensor:
    """Positions on a device, copied there once.

    A copy at every step would make the device wait, and cannot be recorded in a graph
    of its operations.
    """
    import torch

    with torch.inference_mode(False):
        return torch.tensor(np.frombuffer(buffer, dtype=np.intp), device=device)
