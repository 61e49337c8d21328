"""All weights of a model as one tensor, and views of each by its name."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# Elementwise kernels round what is left over after full vector registers differently,
# so each replica fills whole registers: then it does not depend on those beside it.
_ALIGNMENT = 16


def views(values: Tensor, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Named views into a tensor of shape (n_replicas, n_weights)."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = values[:, : sum(sizes)].split(sizes, dim=1)
    return {
        name: part.detach().unflatten(1, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def flatten(weights: dict[str, Tensor]) -> Tensor:
    """Inverse of `views`, as a new tensor, padded with zeros."""
    values = torch.cat([weight.flatten(1) for weight in weights.values()], dim=1)
    return functional.pad(values, (0, -values.shape[1] % _ALIGNMENT))
