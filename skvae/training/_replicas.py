"""Replicas that stop at different epochs: those that still train, and the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skvae.balance._base import map_state, tensors_of


class Reached(NamedTuple):
    """What some replicas have come to, replica axis first."""

    values: Tensor
    """Weights to keep, of shape (n_replicas, n_weights)."""
    balance: Any
    """State of the policy."""
    beta: Tensor
    """Weight of the rate that the weights were trained with, of shape (n_replicas,)."""
    variance: Tensor
    """Decoder variance that they were trained with, (n_replicas, 1 or n_features)."""
    elbo: Tensor
    """Of shape (n_replicas,), as is the next one."""
    n_epochs: Tensor
    """Epochs run."""


class Replicas:
    """Which of the replicas still train, and what the others have stopped with.

    Replicas share nothing, so that one can leave the tensors of a training without
    a difference to those that stay. What it has reached is put aside until all have
    ended.

    Parameters
    ----------
    n_replicas : int
        How many there are at the start.
    """

    def __init__(self, n_replicas: int) -> None:
        self.running = torch.arange(n_replicas)
        self._stopped: list[tuple[Tensor, Reached]] = []

    def stop(self, is_stopped: Tensor, reached: Reached) -> None:
        """Put aside what the running replicas that have stopped have reached.

        Parameters
        ----------
        is_stopped : Tensor of shape (n_running,), dtype=bool
        reached : Reached
            Of all that are running.
        """
        aside = map_state(lambda tensor: tensor[is_stopped], reached)
        self._stopped.append((self.running[is_stopped], aside))
        self.running = self.running[~is_stopped]

    def all(self, reached: Reached) -> Reached:
        """What all replicas have reached, given that of those running."""
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
