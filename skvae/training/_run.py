"""A training in progress: its steps, its history and its replicas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy, pool, tensors_of
from skvae.data._rows import WeightedRows, chunks
from skvae.exceptions import ProcessGroupError
from skvae.model._module import Module
from skvae.training._captured import CapturedStepper
from skvae.training._divided import DividedStepper
from skvae.training._early_stopping import EarlyStopping
from skvae.training._finite import LastFinite
from skvae.training._halving import Halving
from skvae.training._means import Means, Totals
from skvae.training._outcome import Outcome, best_of
from skvae.training._plan import Plan, steps_of
from skvae.training._ranks import Ranks
from skvae.training._replicas import Reached, Replicas
from skvae.training._run_state import RunState
from skvae.training._state import TrainingState
from skvae.training._stepper import Stepper
from skvae.training._task import Task
from skvae.training._validation import Validated, Validation


class Completed(NamedTuple):
    """A training after its latest whole epoch, as copies: later steps change none."""

    state: TrainingState
    """State to resume from."""
    end: Reached
    """Weights to keep of all replicas, and their figures."""
    elbo: Tensor
    """The best on held-out rows, or minus the epoch's objective, (n_replicas,)."""
    run: RunState
    """All of it, for another run to go on from."""


def _sums_by_place(rows: WeightedRows) -> Tensor:
    """Sums of the columns, (n_features,), in which the place of each row counts."""
    total = rows.like.new_zeros(rows.n_features)
    places = torch.linspace(1.0, 2.0, rows.n_rows).to(total)
    for part in chunks(rows.n_rows, rows.n_features):
        some = rows.part(part)
        total += (places[part] * some.weight) @ some.x
    return total


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
        state, source = task.state, task.source
        self.module, self.policy, self.task, self.plan = module, policy, task, plan
        self.generator = torch.Generator()
        self.generator.set_state(state.generator)
        self.ranks = Ranks.now()
        is_alone = self.ranks is None
        if self.ranks is not None:
            self._check_start(self.ranks)
        self.is_captured = state.values.device.type == "cuda" and is_alone
        steps = CapturedStepper if self.is_captured else Stepper
        steps = steps if is_alone else DividedStepper
        self.stepper = steps(module, policy, state, source, plan)
        self.early_stopping = self._early_stopping()
        self.halving = Halving(plan, policy.settled_at)
        self.replicas = Replicas(torch.arange(len(state.values)))
        self.has_left = torch.zeros(len(state.values), dtype=torch.bool)
        self.last_finite = LastFinite()
        self.n_epochs = state.n_epochs
        self.means: Means | None = None
        self.records: list[dict[str, Tensor]] = []
        self.is_ended = False
        #: None before the first epoch has ended.
        self.completed: Completed | None = None
        if task.reached is not None:
            self._resume(task.reached)
        elif self.early_stopping is not None:
            self.early_stopping.start(self.stepper.parameters, self.stepper.balance)

    def _check_start(self, ranks: Ranks) -> None:
        """Raise an error unless all processes start alike."""
        task, state, reached = self.task, self.task.state, self.task.reached
        ranks.check_device(state.values.device)
        numbers = [state.values, state.prior, state.generator]
        numbers += tensors_of(state.balance)
        if reached is not None:
            numbers.append(reached.latest.values)
        for rows in (task.source.sample, task.held_out):
            if rows is not None:
                numbers += [rows.weight, _sums_by_place(rows)]
        # A schedule that is a function is printed with its address.
        rates = [self.plan.schedule(i / 100) for i in range(101)]
        plan = str({**self.plan._asdict(), "schedule": rates})
        differs = ranks.first_different(
            {
                **{name: [checksum] for name, checksum in task.origin.items()},
                "a row, the seed or the epoch": [*numbers, plan],
            }
        )
        if differs is not None:
            raise ProcessGroupError(
                f"The processes of the group do not start alike: {differs} differs. "
                "Each must fit the same table with the same settings, an integer as "
                "random_state, the same number of threads and, with a Checkpoint, from "
                "the same epoch."
            )

    def _early_stopping(self) -> EarlyStopping | None:
        """Early stopping, where rows are held out."""
        task, plan = self.task, self.plan
        if task.held_out is None:
            return None
        validation = Validation.drawn(
            self.module,
            task.source.sample,
            task.held_out,
            task.calibration,
            plan,
            self.generator,
        )
        frequencies = self.module.level_frequencies
        if frequencies.groups:
            # Without held-out rows nothing shows which columns need it.
            shape = len(task.state.values), frequencies.n_columns
            self.stepper.differentiate.pull = task.state.values.new_zeros(shape)
        return EarlyStopping(validation, task.state, plan, self.policy.settled_at)

    def _resume(self, state: RunState) -> None:
        """Go on from an epoch of an earlier run of the same task."""
        running = state.running
        self.generator.set_state(state.latest.generator)
        steps = type(self.stepper)
        self.stepper = steps(
            self.module, self.policy, state.latest, self.task.source, self.plan
        )
        self.stepper.differentiate.pull = state.pull
        if self.early_stopping is not None:
            assert state.best is not None
            assert state.patience is not None
            self.early_stopping.resume(state.best, state.patience, running)
        self.replicas = Replicas(running, state.stopped)
        self.has_left = state.has_left
        self.last_finite = LastFinite(state.last_finite)
        self.n_epochs = state.latest.n_epochs
        self.records = list(state.records)
        self.is_ended = state.is_ended
        self.completed = self._complete()

    def epoch(self) -> dict[str, Tensor]:
        """Train for an epoch, validate, and return its entries of the history."""
        epoch = self.n_epochs
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
            if validated.excess is not None:
                self.stepper.pull(validated.excess)
            record |= validated.record
        self.last_finite.update(self._now(record))
        self._halve(epoch)
        last = self.records[-1] if self.records else record
        self.records.append(self.replicas.record(record, last))
        # One assignment, last of all: an interruption finds a whole epoch or the one
        # before it.
        self.completed = self._complete()
        return self.records[-1]

    def _steps(self, epoch: int) -> float:
        """Take the steps of an epoch; returns the learning rate of the last one."""
        plan, stepper, totals = self.plan, self.stepper, Totals()
        for i, (index, noise) in enumerate(self._batches()):
            learning_rate = plan.learning_rate * plan.schedule(plan.progress(epoch, i))
            step = stepper(index, noise, learning_rate, plan.progress(epoch, i + 1))
            totals.add(step, stepper.balance.variance)
        self.means = totals.means()
        return learning_rate

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of the window, and noise, for each step of an epoch."""
        plan, width = self.plan, self.module.noise_width
        random, like = self.generator, self.task.state.values
        for n_rows, n_steps in self.task.source.fills(
            plan.steps_per_epoch, plan.batch_size, random
        ):
            now = plan._replace(steps_per_epoch=n_steps)
            yield from steps_of(n_rows, now, width, random, like)

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

    def _halve(self, epoch: int) -> None:
        """Stop the replicas of groups that others are better than."""
        rungs = self.halving.rungs(epoch)
        if self.early_stopping is None or not rungs:
            return
        leaves = self.halving.leaving(rungs, self.replicas.all(self._reached()))
        running = self.replicas.running
        stopped = self.early_stopping.stop(epoch, leaves[running])
        has_left = self.has_left[running] | stopped.cpu()
        self.has_left = self.has_left.index_copy(0, running, has_left)

    def end(self) -> None:
        """End before the last epoch."""
        assert self.completed is not None
        self.is_ended = True
        run = self.completed.run._replace(is_ended=True)
        self.completed = self.completed._replace(run=run)

    def is_asked_to_end(self, is_asked_here: bool) -> bool:
        """Return whether a callback stops this process, or one that trains with it.

        The error of processes that have come apart is raised here: they would wait for
        each other, or end with different models.
        """
        if self.ranks is None:
            return is_asked_here
        values = self.stepper.parameters.values
        entries = self.records[-1].values()
        if self.ranks.first_different({"epoch": [values, *entries]}) is not None:
            raise ProcessGroupError(
                "The processes of the group came apart during fit: their weights or "
                "their elbo are no longer the same, bit for bit. Use the same "
                "hardware, versions and number of threads in each, and the same table."
            )
        return self.ranks.any(is_asked_here)

    def goes_on(self) -> bool:
        """Let the replicas leave that have stopped; False if no epoch is left."""
        last = self.task.state.n_epochs + self.plan.n_epochs
        if self.is_ended or self.n_epochs >= last:
            return False
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
            self.last_finite.select(~is_stopped)
        return True

    def _now(self, record: dict[str, Tensor]) -> Reached:
        """Latest weights of the replicas that still train, and their figures."""
        assert self.means is not None
        parameters, balance = self.stepper.parameters, self.stepper.balance
        # All figures of the history must be finite, not this one alone.
        others = [value for name, value in record.items() if name != "elbo"]
        is_finite = torch.stack([value.isfinite() for value in others]).all(dim=0)
        return Reached(
            values=parameters.values.detach(),
            balance=balance,
            beta=balance.beta,
            variance=self.means.variance,
            elbo=record["elbo"],
            n_epochs=torch.full_like(is_finite, self.n_epochs, dtype=torch.int64),
            is_finite=is_finite,
        )

    def _reached(self) -> Reached:
        """Weights to keep of the replicas that still train, and their figures."""
        last = self.last_finite.reached
        if self.early_stopping is None:
            return last
        return self.early_stopping.reached(last)

    def _complete(self) -> Completed:
        """Copy what the training has come to."""
        # Steps write to none of these tensors.
        end = self.replicas.all(self._reached())
        state = latest = replace(
            self.stepper.state.map(torch.clone),
            generator=self.generator.get_state(),
            n_epochs=self.n_epochs,
        )
        if self.early_stopping is not None:
            # Training resumes from the best weights; the moments are of others.
            state, elbo = replace(state, mean=None, square=None, n_steps=0), end.elbo
        else:
            objective = self.records[-1]["objective"]
            elbo = torch.where(end.is_finite, -objective, -torch.inf)
        # Those of a replica that diverged are not to be gone on from.
        mean, square = (
            None if part is None else torch.where(end.is_finite[:, None], part, 0.0)
            for part in (state.mean, state.square)
        )
        state = replace(
            state,
            values=end.values,
            balance=end.balance,
            mean=mean,
            square=square,
            prior=self.task.state.prior,
        )
        stopping, pull = self.early_stopping, self.stepper.differentiate.pull
        run = RunState(
            latest=latest,
            running=self.replicas.running,
            stopped=self.replicas.stopped,
            has_left=self.has_left,
            last_finite=self.last_finite.reached,
            best=None if stopping is None else stopping.best,
            patience=None if stopping is None else stopping.patience,
            pull=None if pull is None else pull.clone(),
            records=tuple(self.records),
            is_ended=self.is_ended,
        )
        return Completed(state, end, elbo, run)

    @property
    def state(self) -> RunState:
        """All of the whole epochs so far, for another run to go on from."""
        assert self.completed is not None
        return self.completed.run

    def best(self) -> tuple[int, Outcome]:
        """The replica with the best elbo, and its result so far."""
        assert self.completed is not None
        best = best_of(self.completed.end.elbo)
        return best, self.outcome().take(best)

    def outcome(self) -> Outcome:
        """The result of the whole epochs so far, replicas that have left included."""
        assert self.completed is not None
        state, end, elbo, run = self.completed
        return Outcome(
            state=state,
            values=end.values,
            beta=end.beta,
            variance=end.variance,
            elbo=elbo,
            n_epochs=end.n_epochs.cpu().numpy(),
            is_finite=end.is_finite.cpu().numpy(),
            has_left=run.has_left.numpy(),
            history={
                name: torch.stack([record[name] for record in run.records])
                .cpu()
                .numpy()
                for name in run.records[0]
            },
        )
