"""The training loop."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from skvae.balance._base import BalancePolicy
from skvae.model._module import Module
from skvae.training._outcome import Outcome
from skvae.training._plan import Plan
from skvae.training._run import Run
from skvae.training._task import Task

#: Called after each epoch with its number, its entries of the history and the run so
#: far; training stops on True.
OnEpoch = Callable[[int, dict[str, Tensor], Run], bool]


class Interrupted(KeyboardInterrupt):
    """Interruption of a training by the user, after at least one whole epoch.

    Attributes
    ----------
    outcome : Outcome
        The result of the whole epochs.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def train(
    module: Module,
    policy: BalancePolicy,
    task: Task,
    plan: Plan,
    on_epoch: OnEpoch | None,
) -> Outcome:
    """Minimise the policy's objective.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        The policy that weighs rate against distortion.
    task : Task
        The start, and the rows to train and to validate on.
    plan : Plan
        How long and how fast to train.
    on_epoch : callable or None
        Called after each epoch with its number, its entries of the history and the
        run so far; training stops on True.

    Returns
    -------
    outcome : Outcome

    Raises
    ------
    Interrupted
        In place of a `KeyboardInterrupt` after the first epoch, except where several
        processes train together: the others cannot keep the weights of the same epoch.
    """
    run = Run(module, policy, task, plan)
    try:
        while run.goes_on():
            record = run.epoch()
            is_asked = on_epoch is not None and on_epoch(run.n_epochs - 1, record, run)
            if run.is_asked_to_end(is_asked):
                run.end()
    except KeyboardInterrupt as interruption:
        if run.completed is None or run.ranks is not None:
            raise
        raise Interrupted(run.outcome()) from interruption
    return run.outcome()
