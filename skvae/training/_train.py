"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae._module import Module
from skvae.balance._base import BalancePolicy, map_state
from skvae.training._evaluate import Rows
from skvae.training._flat import Flat
from skvae.training._judge import Judge
from skvae.training._plan import Plan, batches_of, noise_of
from skvae.training._schedules import SCHEDULES
from skvae.training._state import TrainingState

# Gradients of summed nats grow with the number of features; what is clipped is a
# gradient that is far out of the ordinary, not one of a wide table.
_MAX_NORM_PER_FEATURE = 10.0


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
    n_epochs: np.ndarray
    """Epochs run by each replica, of shape (n_replicas,)."""
    history: dict[str, np.ndarray] = field(default_factory=dict)
    """Of each quantity, an array of shape (n_epochs, n_replicas)."""


def train(
    module: Module,
    policy: BalancePolicy,
    state: TrainingState,
    rows: Rows,
    held_out: Rows | None,
    plan: Plan,
    on_epoch: Callable[[int, dict[str, Tensor], Callable[[], Tensor]], bool] | None,
) -> Outcome:
    """Minimise the policy's objective.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        What weighs rate against distortion.
    state : TrainingState
        Where to start; it is not changed.
    rows, held_out : Rows
        What to train on and, if anything, what to judge on.
    plan : Plan
        How long and how fast.
    on_epoch : callable or None
        Called after each epoch with its number, its entries of the history and a
        function that returns the weights to keep so far; training stops on True.

    Returns
    -------
    outcome : Outcome
    """
    generator = torch.Generator()
    generator.set_state(state.generator)
    n_decayed = sum(math.prod(shape) for shape in module.shapes.values())
    flat = Flat(state.shapes, state.values.clone(), n_decayed)
    if state.mean is not None and state.square is not None:
        flat.mean.copy_(state.mean)
        flat.square.copy_(state.square)
        flat.n_steps.fill_(state.n_steps)
    balance = state.balance
    schedule = SCHEDULES[plan.schedule]
    max_norm = _MAX_NORM_PER_FEATURE * math.sqrt(module.n_features)
    n_rows = len(rows.x)
    # The weights of a batch then sum to 1 in the mean over batches.
    weight_in_batch = rows.weight * (n_rows / plan.batch_size)
    judge = None
    if held_out is not None:
        judge = Judge(module, policy, state, held_out, n_rows, plan, generator)
    n_steps, records = state.n_steps, []

    for epoch in range(state.n_epochs, state.n_epochs + plan.n_epochs):
        totals = _Totals()
        for i, index in enumerate(batches_of(n_rows, plan, generator)):
            index = index.to(rows.x.device)
            noise = noise_of(plan, len(index), module.n_components, generator)
            learning_rate = plan.learning_rate * schedule(plan.progress(epoch, i))
            n_steps += 1
            terms, moved, error = module.step_terms(
                flat.weights,
                rows.x.index_select(0, index),
                weight_in_batch.index_select(0, index),
                noise.to(rows.x),
                policy,
                balance,
                state.floor,
                n_rows,
            )
            objective = policy.objective(terms, moved)
            flat.backward(objective)
            flat.clip(max_norm)
            flat.step(learning_rate, plan.weight_decay)
            terms, moved = (
                map_state(Tensor.detach, terms),
                map_state(Tensor.detach, moved),
            )
            balance = policy.update(moved, terms, plan.progress(epoch, i + 1))
            totals.add(terms.rate, terms.distortion, objective, balance.variance, error)

        rate, distortion, objective, variance, error = totals.over(plan.steps_per_epoch)
        record = {
            "rate": rate,
            "distortion": distortion,
            "elbo": -(rate + distortion),
            "objective": objective,
            "beta": balance.beta,
            "variance": variance.mean(dim=1),
            "learning_rate": torch.full_like(rate, learning_rate),
        }
        stop = False
        if judge is not None:
            record |= judge(epoch, flat, balance.beta, variance, error)
            stop = judge.is_done()
        records.append(record)
        keep = flat.values.clone if judge is None else judge.best.clone
        if on_epoch is not None:
            stop = on_epoch(epoch, record, keep) or stop
        if stop:
            break

    n_done = np.full(len(flat.values), epoch + 1)
    if judge is not None:
        n_done = np.minimum(n_done, judge.stopped_at.cpu().numpy())
    reached = replace(
        state,
        values=flat.values.detach(),
        balance=balance,
        generator=generator.get_state(),
        mean=flat.mean,
        square=flat.square,
        n_steps=n_steps,
        n_epochs=epoch + 1,
    )
    beta = balance.beta
    if judge is not None:
        beta, variance = judge.best_beta, judge.best_variance
        # To go on is to go on from what is kept; moments of other weights are none.
        reached = replace(reached, values=judge.best, mean=None, square=None, n_steps=0)
    return Outcome(
        state=reached,
        values=reached.values,
        beta=beta,
        variance=variance,
        n_epochs=n_done,
        history={
            name: torch.stack([record[name] for record in records]).cpu().numpy()
            for name in records[0]
        },
    )


class _Totals:
    """Sums over the steps of an epoch, on the device: no step waits for a number."""

    def __init__(self) -> None:
        self.sums: list[Tensor | None] = []

    def add(self, *values: Tensor | None) -> None:
        """Add the values of a step; what is None stays so."""
        values = tuple(None if value is None else value.detach() for value in values)
        if self.sums:
            values = tuple(
                None if value is None or total is None else total + value
                for value, total in zip(values, self.sums, strict=True)
            )
        self.sums = list(values)

    def over(self, n_steps: int) -> list[Any]:
        """Means over the steps."""
        return [None if total is None else total / n_steps for total in self.sums]
