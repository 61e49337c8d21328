import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from skvae.balance import POLICIES, Constant, Linear, RunningAverage
from skvae.balance._base import Sizes, tensors_of
from skvae.data._rows import Rows
from skvae.divergences import KL
from skvae.likelihoods import Bernoulli, ByColumns, Categorical, Gaussian
from skvae.model._module import Module
from skvae.networks import MLP
from skvae.training import init
from skvae.training._captured import CapturedStepper
from skvae.training._plan import steps_of
from skvae.training._stepper import Stepper

# Without gradients to record, `item` is not taken apart into what it does.
READING = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "lift_fresh"}


class Pure(TorchDispatchMode):
    """Refuses what a recorded step may not do: read numbers, or be given them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in READING:
            # What a graph of a GPU raises then.
            raise RuntimeError(f"{name} is not permitted while capturing")
        return func(*args, **(kwargs or {}))


class StandIn:
    """Records like a graph: nothing has happened until it is replayed."""

    def __init__(self, stepper):
        self.stepper, self.n_recorded = stepper, 0

    def __call__(self, function):
        moved = [*moved_by(self.stepper), *tensors_of(self.stepper._static)]
        before = [tensor.clone() for tensor in moved]
        try:
            with Pure():
                found = function()
        finally:
            for tensor, old in zip(moved, before, strict=True):
                tensor.copy_(old)
        self.n_recorded += 1

        def replay():
            # As a graph writes, whatever the mode that the places were made in.
            with torch.inference_mode():
                for place, new in zip(leaves(found), leaves(function()), strict=True):
                    place.copy_(new)

        return found, replay


def moved_by(stepper):
    """Tensors that a step writes to."""
    adam = stepper.optimizer
    return [stepper.parameters.values, adam.mean, adam.square, adam.n_steps]


def leaves(step):
    """Tensors of a step; those of the policy's state are the stepper's."""
    return [
        step.objective,
        step.rate,
        *tensors_of(step.terms),
        *([] if step.error is None else [step.error]),
    ]


def policy_of(name):
    has_target = "target" in POLICIES[name]().get_params()
    settings = {"target": 6.0 if name == "geco" else 1.5} if has_target else {}
    return POLICIES[name](**settings)


def steps(problem, plan, n_epochs=3):
    generator = torch.Generator().manual_seed(0)
    n_rows, n_components = len(problem.rows.x), problem.module.n_components
    done = 0
    for _ in range(n_epochs):
        drawn = steps_of(n_rows, plan, n_components, generator, problem.rows.x)
        for index, noise in drawn:
            done += 1
            yield index, noise, 0.01 / done, done / 30


@pytest.mark.parametrize(
    "policy",
    [*map(policy_of, POLICIES), Linear(warmup=0.5, policy=RunningAverage())],
    ids=repr,
)
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_replayed_steps_are_the_steps(policy, likelihood, make_problem, make_plan):
    mover = policy.variance_policy
    if mover is not None and likelihood == "bernoulli":
        pytest.skip("the Bernoulli likelihood has no variance to move")
    problem, plan = make_problem(likelihood), make_plan()
    state = problem.start(policy, [0.5, 2.0])
    arguments = problem.module, policy, state, problem.rows, plan
    eager, captured = Stepper(*arguments), CapturedStepper(*arguments)
    captured.record = StandIn(captured)
    ratio = torch.full_like(state.balance.variance, 1.1)
    for i, step in enumerate(steps(problem, plan)):
        one, other = eager(*step), captured(*step)
        for left, right in zip(leaves(one), leaves(other), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
        if i == 15 and mover is not None:
            # Between two epochs the held-out rows have their say.
            for stepper in (eager, captured):
                stepper.balance = mover.after_validation(stepper.balance, ratio)
    assert captured.record.n_recorded == 1
    assert eager.n_steps == captured.n_steps == 30
    torch.testing.assert_close(eager.parameters.values, captured.parameters.values)
    for left, right in zip(
        tensors_of(eager.balance), tensors_of(captured.balance), strict=True
    ):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("has_gaps", [False, True])
def test_mixed_columns_and_missing_cells_are_recorded(
    has_gaps, make_problem, make_plan
):
    problem, plan = make_problem(), make_plan()
    rows, n_features = problem.rows, problem.module.n_features
    x = rows.x.clone()
    x[:, 2:] = (x[:, 2:] > 0.0).double()
    groups = [(Gaussian(), [1, 0]), (Bernoulli(), [3]), (Categorical(), [4, 2])]
    likelihood = ByColumns(groups).fit(x.numpy())
    masked = (1, 4) if has_gaps else ()
    problem.module = Module(
        MLP((6,)), likelihood, KL(), n_features, n_components=2, masked=masked
    )
    observed = None
    if has_gaps:
        generator = torch.Generator().manual_seed(0)
        observed = torch.ones(x.shape, dtype=torch.bool)
        observed[:, masked] = torch.rand(len(x), 2, generator=generator) > 0.2
        x[~observed] = 0.0
    rows = Rows(x, rows.weight, observed)
    policy, ones = RunningAverage(), torch.ones(2).double()
    sizes = Sizes(2, 2, 2, ones[:1], ones)
    beta = torch.tensor([0.5, 2.0]).double()
    state = init(problem.module, policy, sizes, beta, 1e-6 * ones, seed=0)
    arguments = problem.module, policy, state, rows, plan
    eager, captured = Stepper(*arguments), CapturedStepper(*arguments)
    captured.record = StandIn(captured)
    for step in steps(problem, plan):
        one, other = eager(*step), captured(*step)
        torch.testing.assert_close(one.objective, other.objective)
    assert captured.record.n_recorded == 1
    torch.testing.assert_close(eager.parameters.values, captured.parameters.values)


def test_policy_that_reads_numbers_trains_with_one_warning(make_problem, make_plan):
    class Reading(Constant):
        def update(self, state, terms, progress):
            return state._replace(beta=state.beta + 1e-3 * float(terms.rate[0]))

    problem, plan = make_problem(), make_plan()
    state = problem.start(Reading(), [0.5, 2.0])
    arguments = problem.module, Reading(), state, problem.rows, plan
    eager, captured = Stepper(*arguments), CapturedStepper(*arguments)
    captured.record = StandIn(captured)

    def run():
        for step in steps(problem, plan):
            eager(*step)
            captured(*step)

    with pytest.warns(RuntimeWarning, match="cannot be recorded as a CUDA") as caught:
        run()
    assert len(caught) == 1
    assert captured.n_steps == 30
    torch.testing.assert_close(captured.parameters.values, eager.parameters.values)


# Replays that differ from eager steps.


class WithoutAnUpdate(StandIn):
    """Replays leave a tensor as it was."""

    def __init__(self, stepper, number):
        super().__init__(stepper)
        self.number = number

    def __call__(self, function):
        found, replay = super().__call__(function)

        def replay_in_part():
            place = [*moved_by(self.stepper), *tensors_of(self.stepper._static)]
            before = place[self.number].clone()
            replay()
            place[self.number].copy_(before)

        return found, replay_in_part


class WithAStaleBatch(StandIn):
    """Replays read the batch of the recording."""

    def __call__(self, function):
        found, replay = super().__call__(function)
        stepper = self.stepper
        batch = stepper._index.clone(), stepper._noise.clone()

        def replay_again():
            stepper._index.copy_(batch[0])
            stepper._noise.copy_(batch[1])
            replay()

        return found, replay_again


class WithAStaleOutput(StandIn):
    """Replays move the weights, but leave the objective of the recording."""

    def __call__(self, function):
        found, replay = super().__call__(function)

        def replay_in_part():
            before = found.objective.clone()
            replay()
            with torch.inference_mode():
                found.objective.copy_(before + 1.0)

        return found, replay_in_part


class Counting(Constant):
    """Keeps a number between steps outside the state, which no recording can see."""

    def update(self, state, terms, progress):
        self.n_updates_ = getattr(self, "n_updates_", 0) + 1
        return state._replace(beta=state.beta * (1.0 + 0.01 * self.n_updates_))


WRONG = {
    "no weights moved": lambda stepper: WithoutAnUpdate(stepper, 0),
    "no first moment": lambda stepper: WithoutAnUpdate(stepper, 1),
    "no second moment": lambda stepper: WithoutAnUpdate(stepper, 2),
    "no count of steps": lambda stepper: WithoutAnUpdate(stepper, 3),
    "no beta": lambda stepper: WithoutAnUpdate(stepper, 4),
    "no variance": lambda stepper: WithoutAnUpdate(stepper, 5),
    "stale batch": WithAStaleBatch,
    "stale output": WithAStaleOutput,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_recording_is_caught(wrong, dtype, make_problem, make_plan):
    problem, plan = make_problem(dtype=dtype), make_plan()
    policy = Linear(policy=RunningAverage())
    state = problem.start(policy, [0.5, 2.0])
    arguments = problem.module, policy, state, problem.rows, plan
    eager, captured = Stepper(*arguments), CapturedStepper(*arguments)
    captured.record = WRONG[wrong](captured)

    def run():
        for step in steps(problem, plan):
            one, other = eager(*step), captured(*step)
            for left, right in zip(leaves(one), leaves(other), strict=True):
                torch.testing.assert_close(left, right)

    with pytest.warns(RuntimeWarning, match="differ from eager steps") as caught:
        run()
    assert len(caught) == 1
    assert captured.record.n_recorded == 1
    assert captured.n_steps == 30
    # The first replay may agree by chance, and then differs by rounding.
    for left, right in zip(
        [*moved_by(eager), *tensors_of(eager.balance)],
        [*moved_by(captured), *tensors_of(captured.balance)],
        strict=True,
    ):
        torch.testing.assert_close(left, right)


def test_policy_that_counts_in_python_is_caught(make_problem, make_plan):
    problem, plan, policy = make_problem(), make_plan(), Counting()
    state = problem.start(policy, [0.5, 2.0])
    captured = CapturedStepper(problem.module, policy, state, problem.rows, plan)
    captured.record = StandIn(captured)

    def run():
        for step in steps(problem, plan):
            captured(*step)

    with pytest.warns(RuntimeWarning, match="keep any between steps") as caught:
        run()
    assert len(caught) == 1


def test_diverged_replica_is_no_wrong_recording(make_problem, make_plan):
    problem, plan = make_problem(), make_plan()
    state = problem.start(Constant(), [1.0, math.inf])
    arguments = problem.module, Constant(), state, problem.rows, plan
    captured = CapturedStepper(*arguments)
    captured.record = StandIn(captured)
    for step in steps(problem, plan):
        captured(*step)
    finite = captured.parameters.values.isfinite().all(dim=1)
    assert finite.tolist() == [True, False]


def test_nothing_is_read_after_the_verification(make_problem, make_plan):
    problem, plan = make_problem(), make_plan()
    policy = RunningAverage()
    state = problem.start(policy, [0.5, 2.0])
    captured = CapturedStepper(problem.module, policy, state, problem.rows, plan)
    captured.record = StandIn(captured)
    n_read = []
    for step in steps(problem, plan):
        with Counter() as counter:
            captured(*step)
        n_read.append(counter.n_read)
    # Three steps to warm up, and two replays to verify.
    assert [n > 0 for n in n_read] == [*3 * [False], True, True, *25 * [False]]


class Counter(TorchDispatchMode):
    """Counts the numbers that are read from a device."""

    def __init__(self):
        super().__init__()
        self.n_read = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n_read += func.overloadpacket.__name__ in READING - {"lift_fresh"}
        return func(*args, **(kwargs or {}))
