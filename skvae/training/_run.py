"""A training in progress: its steps, its history and its replicas."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy, pool
from skvae.model._module import Module
from skvae.training._captured import CapturedStepper
from skvae.training._early_stopping import EarlyStopping
from skvae.training._means import Means, Totals
from skvae.training._outcome import Outcome
from skvae.training._plan import Plan, steps_of
from skvae.training._replicas import Reached, Replicas
from skvae.training._schedules import SCHEDULES
from skvae.training._stepper import Stepper
from skvae.training._task import Task
from skvae.training._validation import Validated, Validation


class Run:
    """A training in progress.

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
    """

    def __init__(
        self, module: Module, policy: BalancePolicy, task: Task, plan: Plan
    ) -> None:
        state, rows = task.state, task.rows
        self.module, self.policy, self.task, self.plan = module, policy, task, plan
        self.generator = torch.Generator()
        self.generator.set_state(state.generator)
        self.is_captured = rows.x.device.type == "cuda"
        steps = CapturedStepper if self.is_captured else Stepper
        self.stepper = steps(module, policy, state, rows, plan)
        self.early_stopping = self._early_stopping()
        self.replicas = Replicas(len(state.values))
        self.n_epochs = state.n_epochs
        self.means: Means | None = None
        self.records: list[dict[str, Tensor]] = []

    def _early_stopping(self) -> EarlyStopping | None:
        """Early stopping that has validated the start, where rows are held out."""
        task, plan = self.task, self.plan
        if task.held_out is None:
            return None
        validation = Validation.drawn(
            self.module,
            task.rows,
            task.held_out,
            task.calibration,
            plan,
            self.generator,
        )
        stopping = EarlyStopping(validation, task.state, plan, self.policy.settled_at)
        stopping.start(self.stepper.parameters, self.stepper.balance)
        return stopping

    def epoch(self, epoch: int) -> dict[str, Tensor]:
        """Train for an epoch, validate, and return its entries of the history."""
        learning_rate = self._steps(epoch)
        assert self.means is not None
        self.n_epochs = epoch + 1
        beta = self.stepper.balance.beta
        record = self.means.record(beta, learning_rate)
        if self.early_stopping is not None:
            validated = self.early_stopping.after_epoch(
                epoch, self.stepper.parameters, beta, self.means
            )
            self._calibrate(validated)
            record |= validated.record
        last = self.records[-1] if self.records else record
        self.records.append(self.replicas.record(record, last))
        return self.records[-1]

    def _steps(self, epoch: int) -> float:
        """Take the steps of an epoch; returns the learning rate of the last one."""
        plan, rows, stepper = self.plan, self.task.rows, self.stepper
        schedule, totals = SCHEDULES[plan.schedule], Totals()
        n_components = self.module.n_components
        steps = steps_of(len(rows.x), plan, n_components, self.generator, rows.x)
        for i, (index, noise) in enumerate(steps):
            learning_rate = plan.learning_rate * schedule(plan.progress(epoch, i))
            step = stepper(index, noise, learning_rate, plan.progress(epoch, i + 1))
            totals.add(step, stepper.balance.variance)
        self.means = totals.means()
        return learning_rate

    def _calibrate(self, validated: Validated) -> None:
        """Pass the variance that explains the held-out rows best to the policy."""
        assert self.means is not None
        error, mover = self.means.error, self.policy.variance_policy
        if mover is None or error is None or self.task.calibration is None:
            return
        # Not below the floor: nothing may be left of the training error.
        floor = pool(self.task.state.floor, mover.scope)
        ratio = validated.variance / pool(error, mover.scope).maximum(floor)
        self.stepper.balance = mover.after_validation(self.stepper.balance, ratio)

    def goes_on(self) -> bool:
        """Let the replicas leave that have stopped; False where all have."""
        if self.early_stopping is None:
            return True
        is_stopped = self.early_stopping.is_stopped()
        if is_stopped.all():
            return False
        # Recorded steps start all kernels at once, and take as long for fewer replicas.
        if is_stopped.any() and not self.is_captured:
            self.replicas.stop(is_stopped, self._reached())
            self.stepper = self.stepper.select(~is_stopped)
            self.early_stopping.select(~is_stopped)
        return True

    def _reached(self) -> Reached:
        """Weights to keep of the replicas that still train, and their figures."""
        parameters, balance = self.stepper.parameters, self.stepper.balance
        if self.early_stopping is not None:
            return self.early_stopping.reached(parameters, balance, self.n_epochs)
        assert self.means is not None
        rate, distortion = self.means.rate, self.means.distortion
        return Reached(
            values=parameters.values.detach(),
            balance=balance,
            beta=balance.beta,
            variance=self.means.variance,
            elbo=-(rate + distortion),
            n_epochs=torch.full(rate.shape, self.n_epochs),
        )

    def best(self) -> tuple[int, Tensor]:
        """The replica with the best elbo, and its weights, of shape (1, n_weights)."""
        end = self.replicas.all(self._reached())
        best = int(end.elbo.argmax())
        return best, end.values[best : best + 1].clone()

    def outcome(self) -> Outcome:
        """The result for all replicas, those that have left included."""
        assert self.means is not None
        end = self.replicas.all(self._reached())
        state = replace(
            self.stepper.state,
            values=end.values,
            balance=end.balance,
            prior=self.task.state.prior,
            generator=self.generator.get_state(),
            n_epochs=self.n_epochs,
        )
        elbo = -self.means.objective
        if self.early_stopping is not None:
            # Training resumes from the best weights; the moments are of others.
            state, elbo = replace(state, mean=None, square=None, n_steps=0), end.elbo
        return Outcome(
            state=state,
            values=end.values,
            beta=end.beta,
            variance=end.variance,
            elbo=elbo,
            n_epochs=end.n_epochs.cpu().numpy(),
            history={
                name: torch.stack([record[name] for record in self.records])
                .cpu()
                .numpy()
                for name in self.records[0]
            },
        )
