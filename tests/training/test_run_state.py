"""A run that is taken up where it was cut off ends as if it never had been."""

import io

import numpy as np
import pytest
import torch

from skvae.balance import Constant, Cyclical, Linear, RunningAverage
from skvae.balance._base import tensors_of
from skvae.training import Rung, RunState, train
from skvae.training._run import Run

BETAS = [30.0, 0.1, 1.0, 4.0]


@pytest.fixture
def plan(make_plan):
    return make_plan(
        n_epochs=8,
        n_planned_epochs=8,
        steps_per_epoch=3,
        learning_rate=0.1,
        patience=2,
        tolerance=1e-2,
    )


def stored(arrays):
    """Arrays as they come out of a file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as found:
        return dict(found)


def states_of(problem, policy, plan, *, validate):
    """The whole outcome, and the state of the run after each of its epochs."""
    seen = []
    outcome = problem.train(
        policy,
        BETAS,
        plan,
        validate=validate,
        on_epoch=lambda epoch, record, run: seen.append(run.state.to_arrays()),
    )
    return outcome, seen


def resumed(problem, policy, plan, arrays, *, validate):
    task = problem.task(policy, BETAS, validate=validate)
    state = RunState.from_arrays(stored(arrays), task.state)
    return train(problem.module, policy, task._replace(reached=state), plan, None)


def assert_same(one, other):
    tensors = [
        [
            *(outcome.values, outcome.beta, outcome.variance, outcome.elbo),
            *(outcome.state.values, outcome.state.generator),
            *tensors_of(outcome.state.balance),
        ]
        for outcome in (one, other)
    ]
    for left, right in zip(*tensors, strict=True):
        assert torch.equal(left, right)
    for name in ("n_epochs", "is_finite", "has_left"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.state.n_steps == other.state.n_steps
    assert one.state.n_epochs == other.state.n_epochs
    assert one.history.keys() == other.history.keys()
    for name, entries in one.history.items():
        np.testing.assert_array_equal(entries, other.history[name], err_msg=name)


@pytest.mark.parametrize("validate", [False, True])
@pytest.mark.parametrize(
    "policy",
    [
        Constant(),
        RunningAverage(),
        Cyclical(warmup=0.5, policy=RunningAverage("feature")),
        Linear(warmup=0.2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("rungs", [(), (Rung(0.3, 1, 2),)])
def test_from_every_epoch_on_it_ends_the_same(
    policy, validate, rungs, make_problem, plan
):
    problem, plan = make_problem(), plan._replace(rungs=rungs)
    whole, seen = states_of(problem, policy, plan, validate=validate)
    assert len(seen) == whole.n_epochs.max()
    if validate and rungs:
        assert len(set(whole.n_epochs.tolist())) > 1, "no replica stops before others"
    for arrays in seen:
        assert_same(resumed(problem, policy, plan, arrays, validate=validate), whole)


def test_replica_that_diverged_stays_so(make_problem, plan, monkeypatch):
    problem, policy = make_problem(), Constant()

    def not_finite(self, record):
        reached = now(self, record)
        if self.n_epochs >= 3:
            reached.elbo[1] = torch.nan
        return reached

    now = Run._now
    monkeypatch.setattr(Run, "_now", not_finite)
    whole, seen = states_of(problem, policy, plan, validate=False)
    assert whole.is_finite.tolist() == [True, False, True, True]
    for arrays in (seen[1], seen[4]):
        assert_same(resumed(problem, policy, plan, arrays, validate=False), whole)


def test_training_that_a_callback_has_ended_goes_no_further(make_problem, plan):
    problem, policy, runs = make_problem(), Constant(), []
    whole = problem.train(
        policy,
        BETAS,
        plan,
        on_epoch=lambda epoch, record, run: runs.append(run) or epoch == 2,
    )
    found = resumed(problem, policy, plan, runs[-1].state.to_arrays(), validate=False)
    assert found.n_epochs.tolist() == [3] * 4
    assert_same(found, whole)


def test_state_of_an_epoch_is_not_changed_by_later_ones(make_problem, plan):
    problem, policy, seen = make_problem(), RunningAverage(), []

    def on_epoch(epoch, record, run):
        seen.append((run.state, run.state.to_arrays()))
        # On the CPU arrays and tensors may be the same memory.
        for name, array in seen[-1][1].items():
            seen[-1][1][name] = array.copy()

    problem.train(policy, BETAS, plan, validate=True, on_epoch=on_epoch)
    for state, expected in seen:
        for name, array in state.to_arrays().items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_weights_of_another_network_are_refused(make_problem, plan):
    policy = Constant()
    _, seen = states_of(make_problem(), policy, plan, validate=False)
    match = r"has 144 weights for each model, and the network now has 128: its code"
    with pytest.raises(ValueError, match=match):
        resumed(make_problem(hidden=(5,)), policy, plan, seen[0], validate=False)
