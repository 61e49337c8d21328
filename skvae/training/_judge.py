"""The best weights on held-out rows, and when to stop looking for better ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy
from skvae.data._rows import Rows
from skvae.model._evaluate import evaluate, quadrature
from skvae.model._module import Module
from skvae.training._flat import Flat
from skvae.training._plan import Plan, noise_of
from skvae.training._replicas import Reached
from skvae.training._schedules import SCHEDULES
from skvae.training._task import Task

# Held-out rows are judged with about this many decoded rows an epoch.
_JUDGED_ROWS = 2048

_OF_EACH_REPLICA = (
    "best",
    "best_beta",
    "best_variance",
    "elbo",
    "bar",
    "objective",
    "factor",
    "is_epoch",
    "waited",
    "stopped_at",
    "kept",
)

# The error at the start is that of about this many decoded training rows.
_START_ROWS = 2**16


class Judge:
    """The best weights on held-out rows, and when there will be no better ones."""

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        task: Task,
        plan: Plan,
        generator: torch.Generator,
    ) -> None:
        state, held_out = task.state, task.held_out
        assert held_out is not None
        self.module, self.policy, self.calibration = module, policy, task.calibration
        self.held_out, self.plan = held_out, plan
        n_rows = len(held_out.x)
        n_draws = 2 * max(1, min(8, _JUDGED_ROWS // (2 * n_rows)))
        # The same noise every epoch, or the best epoch would be the luckiest.
        noise = noise_of(
            plan._replace(n_draws=n_draws), n_rows, module.n_components, generator
        )
        self.noise = noise.to(held_out.x)
        n_replicas = len(state.values)
        self.best = state.values.clone()
        self.best_beta, self.best_variance = state.balance.beta, state.balance.variance
        self.elbo = state.values.new_full((n_replicas,), -math.inf)
        self.bar = self.elbo.clone()
        # Of what set the bar: what it minimised, its learning rate, and whether it was
        # an epoch, not the start.
        self.objective, self.factor = -self.elbo, torch.zeros_like(self.elbo)
        self.is_epoch = self.elbo > -math.inf
        self.waited = state.values.new_zeros(n_replicas)
        never = state.n_epochs + plan.n_epochs
        self.stopped_at = torch.full((n_replicas,), never, device=state.values.device)
        self.never = never
        self.kept = torch.full_like(self.stopped_at, -1)

    def start(self, epoch: int, flat: Flat, balance: Any, rows: Rows) -> None:
        """Judge the weights before the first epoch."""
        nodes = quadrature(self.module.n_components, 2)
        few = slice(None, None, 1 + len(nodes) * len(rows.x) // _START_ROWS)
        rows = rows.take(few)
        noise = torch.tensor(nodes).to(rows.x)[:, None]
        error = evaluate(self.module, flat.weights, rows, noise).error
        beta, variance = balance.beta, balance.variance
        self(epoch - 1, flat, beta, variance, error, self.objective)

    def reached(self, flat: Flat, balance: Any, first: int, epoch: int) -> Reached:
        """What each replica has come to; one that has diverged ends where it went.

        That its start was better than numbers that are not finite is no success.

        Parameters
        ----------
        flat : Flat
            The weights.
        balance : BalanceState or the like
            State of the policy.
        first, epoch : int
            Numbers of the first epoch and of the latest one.
        """
        is_finite = torch.isfinite(flat.values).all(dim=1)
        is_lost = (self.kept < first) & ~is_finite
        return Reached(
            values=torch.where(is_lost[:, None], flat.values, self.best).detach(),
            balance=balance,
            beta=self.best_beta,
            variance=self.best_variance,
            elbo=self.elbo,
            n_epochs=self.stopped_at.clamp(max=epoch + 1),
        )

    def select(self, replicas: Tensor) -> None:
        """Judge some of the replicas from now on, given as a mask."""
        for name in _OF_EACH_REPLICA:
            setattr(self, name, getattr(self, name)[replicas])
        if self.calibration is not None:
            self.calibration = self.calibration.select(replicas)

    @torch.no_grad()
    def __call__(
        self,
        epoch: int,
        flat: Flat,
        beta: Tensor,
        variance_used: Tensor,
        train_error: Tensor | None,
        objective: Tensor,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Judge an epoch and keep its weights where they are better.

        Where the learning rate and the objective are above what they were at the best
        epoch, an elbo that is worse is no sign of overfitting: it may come back when
        the rate comes down. Such an epoch does not count as one without a better elbo.

        Returns its entries of the history and the variance that it was judged with.
        """
        rate, distortion, variance = self._judged(flat, variance_used, train_error)
        elbo = -(rate + distortion)
        # Below its final beta a model is not the one that was asked for.
        done = self.plan.progress(epoch, self.plan.steps_per_epoch)
        is_settled = done >= self.policy.settled_at
        runs = self.stopped_at == self.never
        better = runs & (elbo > self.elbo) & is_settled
        self.elbo = torch.where(better, elbo, self.elbo)
        # Until an epoch is the best one, the latest stands for it: a callback may stop
        # training, and training that diverged must not end with the start values.
        taken = better | (runs & (self.elbo == -math.inf))
        column = taken[:, None]
        self.best = torch.where(column, flat.values, self.best)
        self.kept = torch.where(taken, epoch, self.kept)
        self.best_beta = torch.where(taken, beta, self.best_beta)
        self.best_variance = torch.where(column, variance_used, self.best_variance)
        if is_settled and self.plan.patience is not None:
            clearly = elbo > self.bar + self.plan.tolerance
            self.bar = torch.where(clearly, elbo, self.bar)
            factor = SCHEDULES[self.plan.schedule](done)
            # The start has no objective: the least of the epochs since stands for it.
            least = objective.minimum(self.objective)
            least = torch.where(self.is_epoch, self.objective, least)
            self.objective = torch.where(clearly, objective, least)
            self.factor = torch.where(clearly, factor, self.factor)
            self.is_epoch |= clearly & objective.isfinite()
            is_shaken = objective > self.objective + self.plan.tolerance
            is_shaken &= factor > self.factor
            self.waited = torch.where(clearly, 0.0, self.waited + ~is_shaken)
            ends = runs & (self.waited >= self.plan.patience)
            self.stopped_at = torch.where(ends, epoch + 1, self.stopped_at)
        record = {
            "validation_rate": rate,
            "validation_distortion": distortion,
            "validation_elbo": elbo,
        }
        return record, variance

    def _judged(
        self, flat: Flat, variance_used: Tensor, train_error: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rate and distortion of held-out rows, and the variance of the latter."""
        judged = evaluate(self.module, flat.weights, self.held_out, self.noise)
        variance = variance_used
        if self.calibration is not None and train_error is not None:
            variance = self.calibration(train_error, judged.error)
        return judged.rate, judged.distortion(self.module, variance), variance

    def is_stopped(self) -> Tensor:
        """Which replicas have stopped: all that is read from the device in an epoch.

        A mask of shape (n_replicas,) on the CPU.
        """
        return (self.stopped_at < self.never).cpu()
