"""The training loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae._torch_compat import add_each
from skvae.balance._base import BalancePolicy, pool
from skvae.model._module import Module
from skvae.training._captured import CapturedStepper
from skvae.training._judge import Judge
from skvae.training._plan import Plan, steps_of
from skvae.training._replicas import Reached, Replicas
from skvae.training._schedules import SCHEDULES
from skvae.training._state import TrainingState
from skvae.training._stepper import Stepper
from skvae.training._task import Task


@dataclass
class Outcome:
    """What training ended with."""

    state: TrainingState
    """To go on from."""
    values: Tensor
    """Weights to keep: the best on held-out rows if there are any, else the last."""
    beta: Tensor
    """Weight of the rate that those weights were trained with, (n_replicas,)."""
    variance: Tensor
    """Decoder variance that they were trained with, (n_replicas, 1 or n_features)."""
    elbo: Tensor
    """The best on held-out rows, or minus the last epoch's objective, (n_replicas,)."""
    n_epochs: np.ndarray
    """Epochs run by each replica, of shape (n_replicas,)."""
    history: dict[str, np.ndarray] = field(default_factory=dict)
    """Of each quantity, an array of shape (n_epochs, n_replicas)."""

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
            {name: part[:n_epochs, one] for name, part in self.history.items()},
        )


def train(
    module: Module,
    policy: BalancePolicy,
    task: Task,
    plan: Plan,
    on_epoch: Callable[..., bool] | None,
) -> Outcome:
    """Minimise the policy's objective.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        What weighs rate against distortion.
    task : Task
        Where to start, and the rows to train and judge on.
    plan : Plan
        How long and how fast.
    on_epoch : callable or None
        Called after each epoch with its number, its entries of the history and a
        function that returns the best replica so far and its weights to keep;
        training stops on True.

    Returns
    -------
    outcome : Outcome
    """
    state, rows, calibration = task.state, task.rows, task.calibration
    generator = torch.Generator()
    generator.set_state(state.generator)
    is_waiting = rows.x.device.type == "cuda"
    stepper = (CapturedStepper if is_waiting else Stepper)(
        module, policy, state, rows, plan
    )
    schedule = SCHEDULES[plan.schedule]
    judge = None
    if task.held_out is not None:
        judge = Judge(module, policy, task, plan, generator)
        judge.start(state.n_epochs, stepper.flat, stepper.balance, rows)
    replicas = Replicas(len(state.values))
    records: list[dict[str, Tensor]] = []

    for epoch in range(state.n_epochs, state.n_epochs + plan.n_epochs):
        totals = _Totals()
        steps = steps_of(len(rows.x), plan, module.n_components, generator, rows.x)
        for i, (index, noise) in enumerate(steps):
            learning_rate = plan.learning_rate * schedule(plan.progress(epoch, i))
            step = stepper(index, noise, learning_rate, plan.progress(epoch, i + 1))
            totals.add(
                step.rate,
                step.terms.distortion,
                step.objective,
                stepper.balance.variance,
                step.error,
            )
        flat, balance = stepper.flat, stepper.balance
        rate, distortion, objective, variance, error = totals.over(plan.steps_per_epoch)
        record = {
            "rate": rate,
            "distortion": distortion,
            "elbo": -(rate + distortion),
            "objective": objective,
            "beta": balance.beta,
            "learning_rate": torch.full_like(rate, learning_rate),
        }
        if module.dispersion is not None:
            record["variance"] = variance.mean(dim=1)
        stop = False
        if judge is None:
            reached = functools.partial(
                Reached,
                values=flat.values.detach(),
                balance=balance,
                beta=balance.beta,
                variance=variance,
                elbo=record["elbo"],
                n_epochs=torch.full(rate.shape, epoch + 1),
            )
        else:
            beta = balance.beta
            found, judged = judge(epoch, flat, beta, variance, error, objective)
            record |= found
            mover = policy.variance_policy
            if mover is not None and error is not None and calibration is not None:
                # Not below the floor: nothing may be left of the training error.
                least = pool(state.floor, mover.scope)
                ratio = judged / pool(error, mover.scope).maximum(least)
                balance = stepper.balance = mover.judged(balance, ratio)
            reached = functools.partial(
                judge.reached, flat, balance, state.n_epochs, epoch
            )
            is_stopped = judge.is_stopped()
            stop = bool(is_stopped.all())
        records.append(replicas.record(record, records[-1] if records else record))
        if on_epoch is not None:
            best = functools.partial(_best, replicas, reached)
            stop = on_epoch(epoch, records[-1], best) or stop
        if stop:
            break
        # Recorded steps start all kernels at once, and take as long for fewer replicas.
        if judge is not None and not is_waiting and is_stopped.any():
            replicas.stop(is_stopped, reached())
            stepper = stepper.select(~is_stopped)
            judge.select(~is_stopped)

    end = replicas.all(reached())
    last = replace(
        stepper.state,
        values=end.values,
        balance=end.balance,
        prior=state.prior,
        generator=generator.get_state(),
        n_epochs=epoch + 1,
    )
    elbo = -objective
    if judge is not None:
        # To go on is to go on from what is kept; moments of other weights are none.
        last, elbo = replace(last, mean=None, square=None, n_steps=0), end.elbo
    return Outcome(
        state=last,
        values=end.values,
        beta=end.beta,
        variance=end.variance,
        elbo=elbo,
        n_epochs=end.n_epochs.cpu().numpy(),
        history={
            name: torch.stack([record[name] for record in records]).cpu().numpy()
            for name in records[0]
        },
    )


def _best(replicas: Replicas, reached: Callable[[], Reached]) -> tuple[int, Tensor]:
    """The replica with the best elbo, and its weights, of shape (1, n_weights)."""
    end = replicas.all(reached())
    best = int(end.elbo.argmax())
    return best, end.values[best : best + 1].clone()


class _Totals:
    """Sums over the steps of an epoch, on the device: no step waits for a number."""

    def __init__(self) -> None:
        self.sums: list[Tensor | None] = []

    def add(self, *values: Tensor | None) -> None:
        """Add the values of a step; what is None stays so."""
        if not self.sums:
            self.sums = [None if value is None else value.clone() for value in values]
            return
        sums = [total for total in self.sums if total is not None]
        add_each(sums, [value for value in values if value is not None])

    def over(self, n_steps: int) -> list[Any]:
        """Means over the steps."""
        return [None if total is None else total / n_steps for total in self.sums]
