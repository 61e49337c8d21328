"""The result of a training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from skvae.training._state import TrainingState


@dataclass
class Outcome:
    """The result of a training."""

    state: TrainingState
    """State to resume from."""
    values: Tensor
    """Weights to keep: the best on held-out rows if there are any, else the last."""
    beta: Tensor
    """Weight of the rate that those weights were trained with, (n_replicas,)."""
    variance: Tensor
    """Decoder variance that they were trained with, (n_replicas, 1 or n_features)."""
    elbo: Tensor
    """The best on held-out rows, or minus the last epoch's objective, (n_replicas,)."""
    n_epochs: np.ndarray
    """Epochs run by each replica, of shape (n_replicas,); of one that diverged, those
    before that."""
    is_finite: np.ndarray
    """False for a replica that has diverged, of shape (n_replicas,)."""
    has_left: np.ndarray
    """True for a replica that left for better ones before the end, (n_replicas,)."""
    history: dict[str, np.ndarray] = field(default_factory=dict)
    """An array of shape (n_epochs, n_replicas) for each quantity."""

    def take(self, r: int) -> Outcome:
        """Outcome of one replica."""
        one, n_epochs = slice(r, r + 1), int(self.n_epochs[r])
        return Outcome(
            replace(self.state.take(r), n_epochs=n_epochs),
            self.values[one],
            self.beta[one],
            self.variance[one],
            self.elbo[one],
            self.n_epochs[one],
            self.is_finite[one],
            self.has_left[one],
            {name: part[:n_epochs, one] for name, part in self.history.items()},
        )


def best_of(elbo: Tensor) -> int:
    """Number of the replica with the best elbo; one that is not finite is the worst."""
    return int(torch.where(elbo.isfinite(), elbo, -torch.inf).argmax())
