"""The best weights on held-out rows, and when to stop looking for better ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skvae._module import Module
from skvae.balance._base import BalancePolicy
from skvae.training._evaluate import Rows, calibrate, evaluate
from skvae.training._flat import Flat
from skvae.training._plan import Plan, noise_of
from skvae.training._state import TrainingState

# Held-out rows are judged with about this many decoded rows an epoch.
_JUDGED_ROWS = 2048


class Judge:
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
        noise = noise_of(
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
