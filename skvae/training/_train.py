"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae._module import Module
from skvae.balance._base import BalancePolicy
from skvae.training._evaluate import Rows, calibrate, evaluate
from skvae.training._flat import Flat
from skvae.training._schedules import SCHEDULES
from skvae.training._state import TrainingState

# Gradients of summed nats grow with the number of features; what is clipped is a
# gradient that is far out of the ordinary, not one of a wide table.
_MAX_NORM_PER_FEATURE = 10.0

# Held-out rows are judged with about this many decoded rows an epoch.
_JUDGED_ROWS = 2048


class Plan(NamedTuple):
    """How long and how fast to train."""

    n_epochs: int
    """Epochs to run now."""
    n_planned_epochs: int
    """Epochs that schedules are fractions of."""
    steps_per_epoch: int
    batch_size: int
    n_draws: int
    """Latents drawn for each row and step: 1, or an even number of opposite pairs."""
    schedule: str
    learning_rate: float
    weight_decay: float
    patience: int | None
    """Epochs without a better held-out elbo after which to stop; None for never."""
    tolerance: float

    def progress(self, epoch: int, n_steps: int) -> float:
        """Share of what is planned that is done, some steps into an epoch."""
        return min(
            1.0, (epoch + n_steps / self.steps_per_epoch) / self.n_planned_epochs
        )


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
        judge = _Judge(module, policy, state, held_out, n_rows, plan, generator)
    n_steps, records = state.n_steps, []

    for epoch in range(state.n_epochs, state.n_epochs + plan.n_epochs):
        totals = _Totals()
        for i, index in enumerate(_batches(n_rows, plan, generator)):
            index = index.to(rows.x.device)
            noise = _noise(plan, len(index), module.n_components, generator)
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
            )
            objective = policy.objective(terms, moved)
            flat.backward(objective)
            flat.clip(max_norm)
            flat.step(learning_rate, plan.weight_decay)
            terms, moved = _detached(terms), _detached(moved)
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


def _detached(values: Any) -> Any:
    """A named tuple of tensors that no gradient flows through."""
    return type(values)(*(value.detach() for value in values))


class _Judge:
    """The best weights on held-out rows, and when there will be no better ones."""

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        state: TrainingState,
        held_out: Rows,
        n_train: int,
        plan: Plan,
        generator: torch.Generator,
    ) -> None:
        self.module, self.policy, self.n_train = module, policy, n_train
        self.state, self.held_out, self.plan = state, held_out, plan
        n_rows = len(held_out.x)
        n_draws = 2 * max(1, min(8, _JUDGED_ROWS // (2 * n_rows)))
        # The same noise every epoch, or the best epoch would be the luckiest.
        noise = _noise(
            plan._replace(n_draws=n_draws), n_rows, module.n_components, generator
        )
        self.noise = noise.to(held_out.x)
        n_replicas = len(state.values)
        self.best = state.values.clone()
        self.best_beta, self.best_variance = state.balance.beta, state.balance.variance
        self.elbo = state.values.new_full((n_replicas,), -math.inf)
        self.bar = self.elbo.clone()
        self.waited = state.values.new_zeros(n_replicas)
        never = state.n_epochs + plan.n_epochs
        self.stopped_at = torch.full((n_replicas,), never, device=state.values.device)
        self.never = never

    @torch.no_grad()
    def __call__(
        self,
        epoch: int,
        flat: Flat,
        beta: Tensor,
        variance_used: Tensor,
        train_error: Tensor | None,
    ) -> dict[str, Tensor]:
        """Judge an epoch and keep its weights where they are better."""
        judged = evaluate(self.module, flat.weights, self.held_out, self.noise)
        variance = variance_in_force(
            self.module,
            self.policy,
            self.state,
            train_error,
            judged.error,
            self.n_train,
            len(self.held_out.x),
        )
        distortion = judged.distortion(self.module, variance)
        elbo = -(judged.rate + distortion)
        # Below its final beta a model is not the one that was asked for.
        done = self.plan.progress(epoch, self.plan.steps_per_epoch)
        is_settled = done >= self.policy.settled_at
        runs = self.stopped_at == self.never
        better = runs & (elbo > self.elbo) & is_settled
        self.elbo = torch.where(better, elbo, self.elbo)
        # Until an epoch is the best one, the latest stands for it: a callback may stop
        # training, and training that diverged must not end with the start values.
        taken = better | (self.elbo == -math.inf)
        column = taken[:, None]
        self.best = torch.where(column, flat.values, self.best)
        self.best_beta = torch.where(taken, beta, self.best_beta)
        self.best_variance = torch.where(column, variance_used, self.best_variance)
        if is_settled and self.plan.patience is not None:
            clearly = elbo > self.bar + self.plan.tolerance
            self.bar = torch.where(clearly, elbo, self.bar)
            self.waited = torch.where(clearly, 0.0, self.waited + 1.0)
            ends = runs & (self.waited >= self.plan.patience)
            self.stopped_at = torch.where(ends, epoch + 1, self.stopped_at)
        return {
            "validation_rate": judged.rate,
            "validation_distortion": distortion,
            "validation_elbo": elbo,
        }

    def is_done(self) -> bool:
        """Whether all replicas have stopped: the one number read in an epoch."""
        return bool((self.stopped_at < self.never).all())


def variance_in_force(
    module: Module,
    policy: BalancePolicy,
    state: TrainingState,
    train_error: Tensor | None,
    held_out_error: Tensor | None,
    n_rows: int,
    n_held_out: int,
) -> Tensor:
    """Decoder variance to judge and to score with, replica axis first.

    It is the one that the user fixed, or else calibrated. A likelihood without a
    variance gets the policy's, which it does not read.
    """
    if train_error is None or module.likelihood.variance is not None:
        return state.balance.variance
    return calibrate(
        policy.scope, state.floor, train_error, held_out_error, n_rows, n_held_out
    )


def _batches(n_rows: int, plan: Plan, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Row indices of the batches of an epoch, all of one size.

    Passes over the rows in random order follow each other until the epoch is full,
    so that a last short batch neither is dropped nor counts more than the others.
    """
    n_drawn = plan.steps_per_epoch * plan.batch_size
    passes = [
        torch.randperm(n_rows, generator=generator)
        for _ in range(math.ceil(n_drawn / n_rows))
    ]
    return torch.cat(passes)[:n_drawn].split(plan.batch_size)


def _noise(
    plan: Plan, n_rows: int, n_components: int, generator: torch.Generator
) -> Tensor:
    """Standard normal noise, of shape (n_draws, n_rows, n_components).

    Drawn in float64 on the CPU, so that the stream depends on neither precision nor
    device. Of several draws for a row half are the others' opposites, which takes
    the odd part of the noise out of the gradient.
    """
    n_drawn = 1 if plan.n_draws == 1 else plan.n_draws // 2
    noise = torch.randn(
        (n_drawn, n_rows, n_components), generator=generator, dtype=torch.float64
    )
    return noise if plan.n_draws == 1 else torch.cat([noise, -noise])
