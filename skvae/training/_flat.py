"""All weights of all replicas in one buffer, and Adam on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# The second moment must forget within the last part of a schedule, or the final
# steps are scaled by gradients of long ago: with 0.999 a full-batch linear model ends
# a thousand times further from its optimum than with 0.99.
_DECAY_MEAN, _DECAY_SQUARE = 0.9, 0.99

# Elementwise kernels round what is left over after full vector registers differently,
# so each replica fills whole registers: then it does not depend on those beside it.
_ALIGNMENT = 16


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
        # The kernel itself: the optimiser classes import torch's compiler stack, which
        # takes longer than a small fit.
        torch._fused_adamw_(
            [self.values],
            [self.gradient],
            [self.mean],
            [self.square],
            [],
            [self.n_steps],
            lr=learning_rate,
            beta1=_DECAY_MEAN,
            beta2=_DECAY_SQUARE,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


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
