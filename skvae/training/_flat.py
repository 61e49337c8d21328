"""All weights of all replicas in one buffer, and Adam on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The functional form: the optimiser classes import torch's compiler stack, which
# takes longer than a small fit.
from torch.optim.adamw import adamw

# The second moment must forget within the last part of a schedule, or the final
# steps are scaled by gradients of long ago: with 0.999 a full-batch linear model ends
# a thousand times further from its optimum than with 0.99.
_DECAY_MEAN, _DECAY_SQUARE = 0.9, 0.99


class Flat:
    """Weights of R replicas in one tensor of shape (n_replicas, n_weights).

    Named weights and their gradients are views into two buffers, so that clipping,
    the optimiser and keeping the best weights are one operation each.

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
        self.mean = torch.zeros_like(values)
        self.square = torch.zeros_like(values)
        self.n_steps = torch.zeros((), dtype=torch.float32, device=values.device)
        self.weights = views(values, shapes)
        for (name, weight), gradient in zip(
            self.weights.items(), views(self.gradient, shapes).values(), strict=True
        ):
            self.weights[name] = weight.requires_grad_()
            # Autograd adds into a gradient that is there.
            weight.grad = gradient

    def backward(self, objective: Tensor) -> None:
        """Set the gradient to that of the objectives of all replicas."""
        self.gradient.zero_()
        # Replicas share no weight, so the gradient of the sum is each one's own.
        objective.sum().backward()

    def clip(self, max_norm: float) -> None:
        """Scale the gradient of each replica down to `max_norm`."""
        norm = torch.linalg.vector_norm(self.gradient, dim=1, keepdim=True)
        self.gradient.mul_(max_norm / norm.clamp(min=max_norm))

    def step(self, learning_rate: float, weight_decay: float) -> None:
        """Take one step of Adam with decoupled weight decay."""
        adamw(
            [self.values],
            [self.gradient],
            [self.mean],
            [self.square],
            [],
            [self.n_steps],
            lr=learning_rate,
            weight_decay=weight_decay,
            beta1=_DECAY_MEAN,
            beta2=_DECAY_SQUARE,
            eps=1e-8,
            fused=True,
            foreach=False,
            capturable=False,
            differentiable=False,
            amsgrad=False,
            maximize=False,
            has_complex=False,
        )


def views(values: Tensor, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Named views into a tensor of shape (n_replicas, n_weights)."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = values.split(sizes, dim=1)
    return {
        name: part.detach().unflatten(1, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def flatten(weights: dict[str, Tensor]) -> Tensor:
    """Inverse of `views`, as a new tensor."""
    return torch.cat([weight.flatten(1) for weight in weights.values()], dim=1)
