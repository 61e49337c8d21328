"""The judges of replicas that are trained on several tables."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skvae.balance._base import cat_states, map_state
from skvae.training._evaluate import Rows
from skvae.training._flat import Flat, Part
from skvae.training._judge import Judge
from skvae.training._replicas import Reached


class Judges:
    """Judges of several tables, each of the replicas that are trained on its own.

    Each judges by held-out rows, noise and calibration of its table, as it would alone.

    Parameters
    ----------
    judges : list of Judge
        In the order of their replicas.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        self.judges = list(judges)

    @property
    def _replicas(self) -> list[slice]:
        """Which replicas are each one's."""
        found, start = [], 0
        for judge in self.judges:
            found.append(slice(start, start + len(judge.elbo)))
            start += len(judge.elbo)
        return found

    def _parts(self, flat: Flat, balance: Any) -> list[tuple[Part, Any]]:
        """Weights and state of the policy for each."""
        return [
            (flat.part(own), map_state(operator.itemgetter(own), balance))
            for own in self._replicas
        ]

    def start(
        self, epoch: int, flat: Flat, balance: Any, tables: Sequence[Rows]
    ) -> None:
        """Judge the weights before the first epoch."""
        parts = self._parts(flat, balance)
        for judge, part, rows in zip(self.judges, parts, tables, strict=True):
            judge.start(epoch, *part, rows)

    def __call__(
        self,
        epoch: int,
        flat: Flat,
        beta: Tensor,
        variance_used: Tensor,
        train_error: Tensor | None,
        objective: Tensor,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Judge an epoch, as `Judge` does."""
        found = [
            judge(
                epoch,
                flat.part(own),
                beta[own],
                variance_used[own],
                None if train_error is None else train_error[own],
                objective[own],
            )
            for judge, own in zip(self.judges, self._replicas, strict=True)
        ]
        records, variances = zip(*found, strict=True)
        record = {
            name: torch.cat([record[name] for record in records]) for name in records[0]
        }
        return record, torch.cat(variances)

    def reached(self, flat: Flat, balance: Any, first: int, epoch: int) -> Reached:
        """What each replica has come to, as `Judge` says."""
        parts = self._parts(flat, balance)
        return cat_states(
            [
                judge.reached(*part, first, epoch)
                for judge, part in zip(self.judges, parts, strict=True)
            ]
        )

    def is_stopped(self) -> Tensor:
        """Which replicas have stopped, as a mask of shape (n_replicas,) on the CPU."""
        return torch.cat([judge.is_stopped() for judge in self.judges])

    def select(self, replicas: Tensor) -> None:
        """Judge some of the replicas from now on, given as a mask."""
        for judge, own in zip(self.judges, self._replicas, strict=True):
            judge.select(replicas[own])
        self.judges = [judge for judge in self.judges if len(judge.elbo)]
