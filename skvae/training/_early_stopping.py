"""Early stopping: the best weights on held-out rows, and the epoch to stop at."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.balance._base import map_state
from skvae.training._means import Means
from skvae.training._parameters import FlatParameters
from skvae.training._plan import Plan
from skvae.training._replicas import Reached
from skvae.training._state import PolicyState, TrainingState
from skvae.training._validation import Validated, Validation


class Best(NamedTuple):
    """The best weights so far, replica axis first."""

    values: Tensor
    """Weights, of shape (n_replicas, n_weights)."""
    beta: Tensor
    """Weight of the rate that they were trained with, of shape (n_replicas,)."""
    variance: Tensor
    """Decoder variance that they were trained with, (n_replicas, 1 or n_features)."""
    elbo: Tensor
    """Held-out elbo, of shape (n_replicas,), as is the next one."""
    epoch: Tensor
    """Number of the epoch; -1 before there is one."""


class Patience(NamedTuple):
    """Epochs since a clear improvement, all of shape (n_replicas,)."""

    elbo: Tensor
    """Held-out elbo of the last clear improvement."""
    objective: Tensor
    """Training objective of that epoch."""
    factor: Tensor
    """Learning rate of that epoch, as a factor of the plan's."""
    is_epoch: Tensor
    """False while the start is the best, which has no objective."""
    n_waited: Tensor
    """Epochs without a clear improvement."""
    stopped_at: Tensor
    """Epochs run when it stopped; while it has not, as many as are planned."""


class EarlyStopping:
    """Keep the best weights on held-out rows, and stop when none better will come.

    Parameters
    ----------
    validation : Validation
        Elbo of the held-out rows.
    state : TrainingState
        Where training starts.
    plan : Plan
        How long to train.
    settled_at : float
        Fraction of the planned steps after which the policy has reached its beta.
    """

    def __init__(
        self,
        validation: Validation,
        state: TrainingState,
        plan: Plan,
        settled_at: float,
    ) -> None:
        self.validation, self.plan, self.settled_at = validation, plan, settled_at
        self.first_epoch = state.n_epochs
        self.never = state.n_epochs + plan.n_epochs
        n_replicas = len(state.values)
        lowest = state.values.new_full((n_replicas,), -math.inf)
        stopped_at = torch.full((n_replicas,), self.never, device=lowest.device)
        self.best = Best(
            values=state.values.clone(),
            beta=state.balance.beta,
            variance=state.balance.variance,
            elbo=lowest,
            epoch=torch.full_like(stopped_at, -1),
        )
        self.patience = Patience(
            elbo=lowest,
            objective=-lowest,
            factor=torch.zeros_like(lowest),
            is_epoch=torch.zeros_like(stopped_at, dtype=torch.bool),
            n_waited=torch.zeros_like(lowest),
            stopped_at=stopped_at,
        )

    def start(self, parameters: FlatParameters, balance: PolicyState) -> None:
        """Validate the weights before the first epoch.

        Parameters
        ----------
        parameters : FlatParameters
            The start values.
        balance : PolicyState
            State of the policy.
        """
        error = self.validation.train_error(parameters.weights)
        validated = self.validation(parameters.weights, balance.variance, error)
        self.update(
            self.first_epoch - 1,
            parameters.values,
            balance.beta,
            balance.variance,
            validated.elbo,
            self.patience.objective,
        )

    def after_epoch(
        self, epoch: int, parameters: FlatParameters, beta: Tensor, means: Means
    ) -> Validated:
        """Validate the weights after an epoch, and keep them where they are better.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        parameters : FlatParameters
            The weights.
        beta : Tensor of shape (n_replicas,)
            Weight of the rate.
        means : Means
            Means over the epoch's steps.
        """
        variance, error = means.variance, means.error
        validated = self.validation(parameters.weights, variance, error)
        self.update(
            epoch, parameters.values, beta, variance, validated.elbo, means.objective
        )
        return validated

    @torch.no_grad()
    def update(
        self,
        epoch: int,
        values: Tensor,
        beta: Tensor,
        variance: Tensor,
        elbo: Tensor,
        objective: Tensor,
    ) -> None:
        """Keep the weights of an epoch where their elbo is better.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        values : Tensor of shape (n_replicas, n_weights)
            Weights after it.
        beta : Tensor of shape (n_replicas,)
            Weight of the rate that they were trained with.
        variance : Tensor of shape (n_replicas, 1) or (n_replicas, n_features)
            Decoder variance that they were trained with.
        elbo : Tensor of shape (n_replicas,)
            Elbo of the held-out rows.
        objective : Tensor of shape (n_replicas,)
            Mean objective of the epoch's steps.
        """
        best, is_running = self.best, self.patience.stopped_at == self.never
        # Below its final beta a model is not the requested one.
        progress = self.plan.progress(epoch, self.plan.steps_per_epoch)
        is_settled = progress >= self.settled_at
        is_finite = values.isfinite().all(dim=1)
        is_better = is_running & (elbo > best.elbo) & is_settled
        is_better &= elbo.isfinite() & is_finite
        best_elbo = torch.where(is_better, elbo, best.elbo)
        # Until an epoch is the best one, the latest stands for it: a callback may stop
        # training, and training that diverged must not end with the start values.
        is_kept = is_running & (best_elbo == -math.inf) & is_finite
        is_kept |= is_better
        column = is_kept[:, None]
        self.best = Best(
            values=torch.where(column, values, best.values),
            beta=torch.where(is_kept, beta, best.beta),
            variance=torch.where(column, variance, best.variance),
            elbo=best_elbo,
            epoch=torch.where(is_kept, epoch, best.epoch),
        )
        if is_settled and self.plan.patience is not None:
            factor = self.plan.schedule(progress)
            self._wait(self.plan.patience, epoch, elbo, objective, factor)

    def _wait(
        self,
        patience: int,
        epoch: int,
        elbo: Tensor,
        objective: Tensor,
        factor: float,
    ) -> None:
        """Count an epoch without a clear improvement.

        Where the learning rate and the objective are above those of the last clear
        improvement, a lower elbo does not show overfitting: it may recover when the
        learning rate comes down. Such an epoch is not counted.
        """
        last, tolerance = self.patience, self.plan.tolerance
        is_clear = elbo > last.elbo + tolerance
        # The start has no objective: the least of the epochs since stands for it.
        least = objective.minimum(last.objective)
        least = torch.where(last.is_epoch, last.objective, least)
        last_objective = torch.where(is_clear, objective, least)
        last_factor = torch.where(is_clear, factor, last.factor)
        is_excused = objective > last_objective + tolerance
        is_excused &= factor > last_factor
        n_waited = torch.where(is_clear, 0.0, last.n_waited + ~is_excused)
        ends = (last.stopped_at == self.never) & (n_waited >= patience)
        self.patience = Patience(
            elbo=torch.where(is_clear, elbo, last.elbo),
            objective=last_objective,
            factor=last_factor,
            is_epoch=last.is_epoch | (is_clear & objective.isfinite()),
            n_waited=n_waited,
            stopped_at=torch.where(ends, epoch + 1, last.stopped_at),
        )

    def stop(self, epoch: int, replicas: Tensor) -> Tensor:
        """Stop replicas after an epoch, whatever their patience.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        replicas : Tensor of shape (n_replicas,), dtype=bool

        Returns
        -------
        is_stopped : Tensor of shape (n_replicas,), dtype=bool
            Those of them that had not stopped before.
        """
        stopped_at = self.patience.stopped_at
        ends = replicas & (stopped_at == self.never)
        stopped_at = torch.where(ends, epoch + 1, stopped_at)
        self.patience = self.patience._replace(stopped_at=stopped_at)
        return ends

    def reached(self, last: Reached) -> Reached:
        """Best weights of each replica; of one that never was finite, its latest.

        A start that only beats numbers that are not finite is not returned.

        Parameters
        ----------
        last : Reached
            Results of the last epoch at which each replica was finite.
        """
        best = self.best
        is_lost = (best.epoch < self.first_epoch) & ~last.values.isfinite().all(dim=1)
        stopped_at = self.patience.stopped_at
        return Reached(
            values=torch.where(is_lost[:, None], last.values, best.values).detach(),
            balance=last.balance,
            beta=best.beta,
            variance=best.variance,
            elbo=best.elbo,
            n_epochs=stopped_at.minimum(last.n_epochs),
            # What happens after a replica has stopped is not kept.
            is_finite=last.is_finite | (stopped_at <= last.n_epochs),
        )

    def resume(self, best: Best, patience: Patience, replicas: Tensor) -> None:
        """Go on from an earlier epoch, with the replicas that had not stopped by then.

        Parameters
        ----------
        best : Best
            Their best weights so far.
        patience : Patience
            Their epochs without a clear improvement.
        replicas : Tensor of shape (n_running,)
            Their numbers.
        """
        self.best, self.patience = best, patience
        self.validation = self.validation.select(replicas)

    def select(self, replicas: Tensor) -> None:
        """Go on with some of the replicas, given as a mask."""
        self.best = map_state(lambda part: part[replicas], self.best)
        self.patience = map_state(lambda part: part[replicas], self.patience)
        self.validation = self.validation.select(replicas)

    def is_stopped(self) -> Tensor:
        """Mask of the replicas that have stopped, on the CPU.

        Nothing else is read from the device in an epoch.
        """
        return (self.patience.stopped_at < self.never).cpu()
