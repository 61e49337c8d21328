"""All weights of all replicas in one tensor, and their gradients in another."""

from __future__ import annotations

import torch
from torch import Tensor

from skvae.model._weights import views


class FlatParameters:
    """Weights of R replicas in one tensor of shape (n_replicas, n_weights).

    Named weights are views into one buffer and their gradients views into another, so
    that clipping, the optimiser and keeping the best weights are one operation each.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        Shape of each weight without the replica axis.
    values : Tensor of shape (n_replicas, n_weights)
        Start values; used as they are, not copied.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]], values: Tensor) -> None:
        self.values = values
        self.gradient = torch.zeros_like(values)
        self.weights = views(values, shapes)
        self.gradients = views(self.gradient, shapes)

    def clip(self, max_norm: float) -> None:
        """Scale the gradient of each replica down to `max_norm`."""
        norm = torch.linalg.vector_norm(self.gradient, dim=1, keepdim=True)
        self.gradient.div_(norm.div_(max_norm).clamp_(min=1.0))
