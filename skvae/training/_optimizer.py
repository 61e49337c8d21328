"""Adam on the weights of all replicas."""

from __future__ import annotations

import torch
from torch import Tensor

from skvae._torch_compat import adam_step
from skvae.training._parameters import FlatParameters

# The second moment must forget within the last part of a schedule, or the final
# steps are scaled by gradients of long ago: with 0.999 a full-batch linear model ends
# a thousand times further from its optimum than with 0.99.
_DECAY_MEAN, _DECAY_SQUARE = 0.9, 0.99


class Adam:
    """Adam with decoupled weight decay.

    Parameters
    ----------
    parameters : FlatParameters
        Weights to train, and their gradient.
    n_decayed : int or None, default=None
        Number of weights that decay, counted from the first; None for all.
    """

    def __init__(
        self, parameters: FlatParameters, n_decayed: int | None = None
    ) -> None:
        values = parameters.values
        self.parameters = parameters
        self.decayed = values[:, :n_decayed]
        self.mean = torch.zeros_like(values)
        self.square = torch.zeros_like(values)
        self.n_steps = torch.zeros((), dtype=torch.float32, device=values.device)

    def set_moments(self, mean: Tensor, square: Tensor, n_steps: int) -> None:
        """Copy the moments of the gradient from an earlier training."""
        self.mean.copy_(mean)
        self.square.copy_(square)
        self.n_steps.fill_(n_steps)

    def step(self, learning_rate: float | Tensor, weight_decay: float) -> None:
        """Take one step."""
        if weight_decay:
            # Not below zero, where each step would overshoot by more than the last.
            left = 1.0 - learning_rate * weight_decay
            if isinstance(left, Tensor):
                self.decayed.mul_(left.clamp(min=0.0))
            else:
                self.decayed.mul_(max(left, 0.0))
        self.n_steps.add_(1.0)
        adam_step(
            self.parameters.values,
            self.parameters.gradient,
            self.mean,
            self.square,
            self.n_steps,
            learning_rate=learning_rate,
            decay_mean=_DECAY_MEAN,
            decay_square=_DECAY_SQUARE,
        )
