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


class Stopped(NamedTuple):
    """Results of the replicas that train no more."""

    numbers: Tensor
    """Numbers of these replicas, of shape (n_stopped,)."""
    reached: Reached

    def joined(self, numbers: Tensor, reached: Reached) -> Stopped:
        """Results of these and of more replicas."""
        pairs = zip(tensors_of(self.reached), tensors_of(reached), strict=True)
        return Stopped(
            torch.cat([self.numbers, numbers]),
            map_state(lambda _: torch.cat(next(pairs)), reached),
        )


class Replicas:
    """Numbers of the replicas that still train, and results of those that do not.

    Replicas share nothing, so that removing one from the tensors of a training makes
    no difference to the others. Its results are kept until all have ended.

    Parameters
    ----------
    running : Tensor of shape (n_running,)
        Numbers of the replicas that train.
    stopped : Stopped or None, default=None
        The others, if there are any.
    """

    def __init__(self, running: Tensor, stopped: Stopped | None = None) -> None:
        self.running, self.stopped = running, stopped

    def stop(self, is_stopped: Tensor, reached: Reached) -> None:
        """Keep the results of the running replicas that have stopped.

        Parameters
        ----------
        is_stopped : Tensor of shape (n_running,), dtype=bool
        reached : Reached
            Results of all that were running.
        """
        numbers = self.running[is_stopped]
        aside = map_state(lambda tensor: tensor[is_stopped], reached)
        last = self.stopped
        self.stopped = (
            Stopped(numbers, aside) if last is None else last.joined(numbers, aside)
        )
        self.running = self.running[~is_stopped]

    def all(self, reached: Reached) -> Reached:
        """Results of all replicas, given those of the running ones."""
        if self.stopped is None:
            return reached
        everything = self.stopped.joined(self.running, reached)
        order = everything.numbers.argsort()
        return map_state(lambda tensor: tensor[order], everything.reached)

    def record(
        self, entries: dict[str, Tensor], last: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Entries of the history for all replicas, given those of the running ones.

        Those that have stopped keep their last entries.
        """
        if self.stopped is None:
            return entries
        return {
            name: last[name].index_copy(0, self.running, entry)
            for name, entry in entries.items()
        }
