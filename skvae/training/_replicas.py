"""Replicas that stop at different epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.balance._base import map_state, tensors_of
from skvae.training._state import PolicyState


class Reached(NamedTuple):
    """Results of some replicas, replica axis first."""

    values: Tensor
    """Weights to keep, of shape (n_replicas, n_weights)."""
    balance: PolicyState
    """State of the policy."""
    beta: Tensor
    """Weight of the rate that the weights were trained with, of shape (n_replicas,)."""
    variance: Tensor
    """Decoder variance that they were trained with, (n_replicas, 1 or n_features)."""
    elbo: Tensor
    """Held-out elbo, or that of the epoch, of shape (n_replicas,)."""
    n_epochs: Tensor
    """Epochs run, of shape (n_replicas,); of one that diverged, those before that."""
    is_finite: Tensor
    """False for a replica that has diverged, of shape (n_replicas,)."""


class Replicas:
    """Numbers of the replicas that still train, and results of those that do not.

    Replicas share nothing, so that removing one from the tensors of a training makes
    no difference to the others. Its results are kept until all have ended.

    Parameters
    ----------
    n_replicas : int
        Number of replicas at the start.
    """

    def __init__(self, n_replicas: int) -> None:
        self.running = torch.arange(n_replicas)
        self._stopped: list[tuple[Tensor, Reached]] = []

    def stop(self, is_stopped: Tensor, reached: Reached) -> None:
        """Keep the results of the running replicas that have stopped.

        Parameters
        ----------
        is_stopped : Tensor of shape (n_running,), dtype=bool
        reached : Reached
            Results of all that were running.
        """
        aside = map_state(lambda tensor: tensor[is_stopped], reached)
        self._stopped.append((self.running[is_stopped], aside))
        self.running = self.running[~is_stopped]

    def all(self, reached: Reached) -> Reached:
        """Results of all replicas, given those of the running ones."""
        if not self._stopped:
            return reached
        numbers, parts = zip(*self._stopped, (self.running, reached), strict=True)
        order = torch.cat(numbers).argsort()
        tensors = zip(*map(tensors_of, parts), strict=True)
        return map_state(lambda _: torch.cat(next(tensors))[order], reached)

    def record(
        self, entries: dict[str, Tensor], last: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Entries of the history for all replicas, given those of the running ones.

        Those that have stopped keep their last entries.
        """
        if not self._stopped:
            return entries
        return {
            name: last[name].index_copy(0, self.running, entry)
            for name, entry in entries.items()
        }
