"""All weights of all replicas in one buffer, and Adam on it."""

from __future__ import annotations

import torch
from torch import Tensor

from skvae._torch_compat import adam_step
from skvae.model._weights import views

# The second moment must forget within the last part of a schedule, or the final
# steps are scaled by gradients of long ago: with 0.999 a full-batch linear model ends
# a thousand times further from its optimum than with 0.99.
_DECAY_MEAN, _DECAY_SQUARE = 0.9, 0.99


class Flat:
    """Weights of R replicas in one tensor of shape (n_replicas, n_weights).

    Named weights are views into one buffer and their gradients views into another, so
    that clipping, the optimiser and keeping the best weights are one operation each.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        Shape of each weight without the replica axis.
    values : Tensor of shape (n_replicas, n_weights)
        Start values; used as they are, not copied.
    n_decayed : int or None, default=None
        How many of the weights decay, from the first; None for all.
    """

    def __init__(
        self,
        shapes: dict[str, tuple[int, ...]],
        values: Tensor,
        n_decayed: int | None = None,
    ) -> None:
        self.values = values
        self.decayed = values[:, :n_decayed]
        self.gradient = torch.zeros_like(values)
        self.mean = torch.zeros_like(values)
        self.square = torch.zeros_like(values)
        self.n_steps = torch.zeros((), dtype=torch.float32, device=values.device)
        self.weights = views(values, shapes)
        self.gradients = views(self.gradient, shapes)

    def clip(self, max_norm: float) -> None:
        """Scale the gradient of each replica down to `max_norm`."""
        norm = torch.linalg.vector_norm(self.gradient, dim=1, keepdim=True)
        self.gradient.div_(norm.div_(max_norm).clamp_(min=1.0))

    def step(self, learning_rate: float | Tensor, weight_decay: float) -> None:
        """Take one step of Adam with decoupled weight decay."""
        if weight_decay:
            self.decayed.mul_(1.0 - learning_rate * weight_decay)
        self.n_steps.add_(1.0)
        adam_step(
            self.values,
            self.gradient,
            self.mean,
            self.square,
            self.n_steps,
            learning_rate=learning_rate,
            decay_mean=_DECAY_MEAN,
            decay_square=_DECAY_SQUARE,
        )
