"""Several tables in one training: whose rows each replica sees, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from skvae.balance._base import cat_states
from skvae.training._evaluate import Rows
from skvae.training._plan import Plan, steps_of, steps_of_tables
from skvae.training._state import TrainingState
from skvae.training._task import Task


class JoinedRows:
    """Rows of several tables, one table after the other.

    Parameters
    ----------
    tables : list of Rows
        With the same columns.
    """

    def __init__(self, tables: Sequence[Rows]) -> None:
        self._weights = [table.weight for table in tables]
        self.x = torch.cat([table.x for table in tables])
        observed = [table.observed for table in tables if table.observed is not None]
        self.observed = torch.cat(observed) if observed else None

    def batch_weight(self, batch_size: int) -> Tensor:
        """Weight of each row in a batch of its own table."""
        return torch.cat(
            [weight * (len(weight) / batch_size) for weight in self._weights]
        )


class Feed:
    """Rows, batches and noise of the replicas of one or of several tasks.

    Each task draws from a generator of its own, so that its replicas see what they
    would see if it were the only one. Those of a single task share rows and noise;
    those of several are given their own, with the replica axis first.

    Parameters
    ----------
    tasks : list of Task
    plan : Plan
        Of all of them.
    n_components : int
        Width of the noise.
    """

    def __init__(self, tasks: Sequence[Task], plan: Plan, n_components: int) -> None:
        self.plan, self.n_components = plan, n_components
        self.like = tasks[0].rows.x
        self.generators = []
        for task in tasks:
            generator = torch.Generator()
            generator.set_state(task.state.generator)
            self.generators.append(generator)
        tables = [task.rows for task in tasks]
        self._n_rows = [len(table.x) for table in tables]
        self.rows = tables[0] if len(tables) == 1 else JoinedRows(tables)
        counts = torch.tensor([len(task.state.values) for task in tasks])
        self._task = torch.arange(len(tasks)).repeat_interleave(counts)
        self._task = self._task.to(self.like.device)

    def steps(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows and noise of the batches of an epoch.

        Numbers of rows are of shape (batch_size,) or (n_replicas, batch_size), and
        noise is of shape (n_draws, batch_size, n_components) or has the replica axis
        before these.
        """
        plan, n_components, like = self.plan, self.n_components, self.like
        if len(self.generators) == 1:
            (n_rows,), (generator,) = self._n_rows, self.generators
            yield from steps_of(n_rows, plan, n_components, generator, like)
            return
        # A task whose replicas have all stopped draws no more, as if it were alone.
        running, place = self._task.unique(return_inverse=True)
        for index, noise in steps_of_tables(
            self._n_rows, running.tolist(), plan, n_components, self.generators, like
        ):
            yield index[place], noise[place]

    def select(self, replicas: Tensor) -> None:
        """Feed some of the replicas from now on, given as a mask."""
        self._task = self._task[replicas]


def joined(states: Sequence[TrainingState]) -> TrainingState:
    """The replicas of several tasks as those of one training, none of them begun."""
    if len(states) == 1:
        return states[0]
    first = states[0]
    assert first.mean is None
    assert first.shapes == states[-1].shapes
    return TrainingState(
        shapes=first.shapes,
        values=torch.cat([state.values for state in states]),
        balance=cat_states([state.balance for state in states]),
        # Each task has its own.
        generator=None,
        floor=torch.cat([state.floor for state in states]),
        prior=torch.cat([state.prior for state in states]),
        n_epochs=first.n_epochs,
    )
