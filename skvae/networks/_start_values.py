"""Start values of weights, in float64 on the CPU, without the replica axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = NDArray[np.floating]


def uniform(shape: tuple[int, ...], gain: float, generator: torch.Generator) -> Tensor:
    """Uniform draws of variance `gain` squared over the number of inputs."""
    import torch

    bound = gain * math.sqrt(3.0 / shape[0])
    unit = torch.rand(shape, dtype=torch.float64, generator=generator)
    return bound * (2.0 * unit - 1.0)


def float64(array: Floats) -> Tensor:
    """Tensor of an array."""
    import torch

    return torch.tensor(array, dtype=torch.float64)


def zeros(shape: tuple[int, ...]) -> Tensor:
    """Zeros."""
    import torch

    return torch.zeros(shape, dtype=torch.float64)
