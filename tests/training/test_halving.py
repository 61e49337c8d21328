"""Replicas that leave a run for better ones."""

import math

import numpy as np
import pytest
import torch

from skvae.balance import Constant, Linear, RunningAverage
from skvae.balance._base import BalanceState, tensors_of
from skvae.training import Interrupted, Rung
from skvae.training._halving import Halving
from skvae.training._optimizer import Adam
from skvae.training._replicas import Reached
from skvae.training._run import Run
from skvae.training._stepper import Stepper

BETAS = [30.0, 0.1, 1.0, 4.0]


def reached(elbo, is_finite=None):
    """Results of replicas of which only the elbo matters."""
    elbo = torch.tensor(elbo, dtype=torch.float64)
    is_finite = [True] * len(elbo) if is_finite is None else is_finite
    return Reached(
        values=elbo[:, None],
        balance=BalanceState(elbo, elbo[:, None]),
        beta=elbo,
        variance=elbo[:, None],
        elbo=elbo,
        n_epochs=torch.ones(len(elbo), dtype=torch.int64),
        is_finite=torch.tensor(is_finite),
    )


def leaving(rungs, *given):
    halving = Halving(plan=None, settled_at=0.0)
    return halving.leaving(rungs, reached(*given)).tolist()


def test_the_best_go_on():
    elbo = [-3.0, -1.0, -2.0, 5.0, 7.0, 6.0]
    found = leaving([Rung(0.5, 1, 3)], elbo)
    assert found == [True, True, True, False, False, False]
    # At once, the smaller number counts.
    both = [Rung(0.3, 1, 3), Rung(0.5, 1, 1)]
    assert leaving(both, elbo) == [True, True, True, True, False, True]


def test_a_group_is_as_good_as_its_best_replica():
    elbo = [-3.0, 6.0, -2.0, -2.5, 7.0, -9.0]
    two, one = (leaving([Rung(0.5, 2, n)], elbo) for n in (2, 1))
    assert two == [False, False, True, True, False, False]
    assert one == [True, True, True, True, False, False]


def test_of_equal_replicas_the_first_go_on():
    assert leaving([Rung(0.5, 1, 2)], [1.0, 1.0, 1.0]) == [False, False, True]


def test_replicas_that_diverged_leave_first():
    rung = Rung(0.5, 1, 1)
    assert leaving([rung], [math.nan, -5.0, math.inf]) == [True, False, True]
    found = leaving([rung], [-1.0, -5.0, -4.0], [False, True, True])
    assert found == [True, True, False]
    # All are as bad as each other.
    assert leaving([rung], [-math.inf] * 3) == [False, True, True]


@pytest.mark.parametrize(
    ("fraction", "settled_at", "n_epochs", "expected"),
    [
        (0.4, 0.0, 100, [39]),
        (0.01, 0.0, 100, [0]),
        # Within the third epoch, which ends at 0.3.
        (0.25, 0.0, 10, [2]),
        # Of the 8 epochs after the schedule.
        (0.5, 0.2, 10, [5]),
        (0.5, 1.0, 10, []),
        # At the last epoch it is too late.
        (0.95, 0.0, 10, []),
        (0.4, 0.0, 1, []),
    ],
)
def test_rungs_are_fractions_of_the_epochs_after_the_schedule(
    fraction, settled_at, n_epochs, expected, make_plan
):
    rung = Rung(fraction, 1, 1)
    plan = make_plan(n_epochs=n_epochs, n_planned_epochs=n_epochs, rungs=(rung,))
    halving = Halving(plan, settled_at)
    epochs = [epoch for epoch in range(n_epochs) if halving.rungs(epoch)]
    assert epochs == expected
    assert all(halving.rungs(epoch) == [rung] for epoch in epochs)


@pytest.fixture
def plan(make_plan):
    """Twenty epochs, after five of which two of four replicas leave, then one more."""
    rungs = (Rung(0.25, 1, 2), Rung(0.5, 1, 1))
    return make_plan(n_epochs=20, n_planned_epochs=20, rungs=rungs)


def results(outcome):
    """Results of a replica."""
    return [
        outcome.values,
        outcome.elbo,
        outcome.beta,
        outcome.variance,
        outcome.state.prior,
        *tensors_of(outcome.state.balance),
    ]


def assert_same(one, other):
    assert one.n_epochs.tolist() == other.n_epochs.tolist()
    for left, right in zip(results(one), results(other), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)
    assert one.history.keys() == other.history.keys()
    for name, entries in one.history.items():
        np.testing.assert_allclose(
            entries, other.history[name], rtol=1e-9, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize(
    ("policy", "left_after"),
    [
        (Constant(), [5, 10]),
        (RunningAverage("feature"), [5, 10]),
        # The schedule takes 8 epochs, and of those that follow a quarter and a half.
        (Linear(warmup=0.4, policy=RunningAverage()), [11, 14]),
    ],
    ids=repr,
)
def test_the_others_go_on_as_they_were(
    policy, left_after, make_problem, plan, monkeypatch
):
    problem, heights, take = make_problem(), [], Stepper.__call__
    whole = problem.train(policy, BETAS, plan._replace(rungs=()), validate=True)
    assert not whole.has_left.any()

    def counted(self, *args):
        heights.append(len(self.parameters.values))
        return take(self, *args)

    monkeypatch.setattr(Stepper, "__call__", counted)
    halved = problem.train(policy, BETAS, plan, validate=True)
    first, second = (after * plan.steps_per_epoch for after in left_after)
    total = 20 * plan.steps_per_epoch
    assert heights == [4] * first + [2] * (second - first) + [1] * (total - second)
    assert sorted(halved.n_epochs.tolist()) == [*left_after[:1] * 2, left_after[1], 20]
    assert halved.has_left.tolist() == [n < 20 for n in halved.n_epochs]
    for r, n_epochs in enumerate(halved.n_epochs):
        expected = whole.take(r)
        if n_epochs < 20:
            # As if the training had been stopped there.
            short = problem.train(
                policy,
                BETAS,
                plan._replace(rungs=()),
                validate=True,
                on_epoch=lambda epoch, record, run, last=n_epochs - 1: epoch == last,
            )
            expected = short.take(r)
        assert_same(halved.take(r), expected)
        assert halved.take(r).has_left.tolist() == [n_epochs < 20]
    # Those that left were not better when they did.
    elbo = whole.history["validation_elbo"][: left_after[0]]
    if policy.settled_at == 0.0:
        worst = elbo.max(axis=0).argsort()[:2]
        assert set(np.flatnonzero(halved.n_epochs == left_after[0])) == set(worst)


def test_recorded_steps_keep_replicas_that_have_left(make_problem, plan):
    problem, policy = make_problem(), RunningAverage("feature")
    expected = problem.train(policy, BETAS, plan, validate=True)
    run = Run(problem.module, policy, problem.task(policy, BETAS, validate=True), plan)
    # As on a GPU, but for the recording.
    run.is_captured = True
    while run.goes_on():
        run.epoch()
    assert run.n_epochs == 20
    assert len(run.stepper.parameters.values) == 4
    found = run.outcome()
    assert found.has_left.tolist() == expected.has_left.tolist()
    for r in range(4):
        one, other = found.take(r), expected.take(r)
        assert one.n_epochs.tolist() == other.n_epochs.tolist()
        for left, right in zip(results(one)[:4], results(other)[:4], strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)


def test_replicas_that_have_stopped_count(make_problem, make_plan):
    problem = make_problem()
    plan = make_plan(n_epochs=40, n_planned_epochs=40, learning_rate=0.1)
    plan = plan._replace(patience=5, tolerance=0.1)
    whole = problem.train(Constant(), BETAS, plan, validate=True)
    # One epoch before the last of them stops.
    epoch = int(whole.n_epochs.max()) - 1
    best = whole.history["validation_elbo"][:epoch].max(axis=0).argmax()
    assert whole.n_epochs[best] < epoch, "the best one must have stopped"
    rung = Rung(epoch / 40, 1, 1)
    halved = problem.train(
        Constant(), BETAS, plan._replace(rungs=(rung,)), validate=True
    )
    assert halved.n_epochs.tolist() == whole.n_epochs.clip(max=epoch).tolist()
    assert halved.has_left.tolist() == (whole.n_epochs > epoch).tolist()


def test_callbacks_get_the_best_of_all_replicas(make_problem, plan):
    seen = []

    def on_epoch(epoch, record, run):
        number, outcome = run.best()
        seen.append((number, outcome.elbo.item(), len(record["elbo"])))
        return epoch == 15

    outcome = make_problem().train(
        Constant(), BETAS, plan, validate=True, on_epoch=on_epoch
    )
    assert outcome.n_epochs.max() == 16
    assert outcome.has_left.sum() == 3
    assert {n_replicas for *_, n_replicas in seen} == {4}
    number, elbo, _ = seen[-1]
    assert not outcome.has_left[number]
    assert elbo == outcome.elbo.max().item()


def test_interruption_holds_replicas_that_have_left(make_problem, plan, monkeypatch):
    problem, step, n_steps = make_problem(), Adam.step, [0]

    def step_or_interrupt(self, *args):
        n_steps[0] += 1
        if n_steps[0] > 7 * plan.steps_per_epoch + 1:
            raise KeyboardInterrupt
        step(self, *args)

    monkeypatch.setattr(Adam, "step", step_or_interrupt)
    with pytest.raises(Interrupted) as interrupted:
        problem.train(Constant(), BETAS, plan, validate=True)
    outcome = interrupted.value.outcome
    assert sorted(outcome.n_epochs.tolist()) == [5, 5, 7, 7]
    assert outcome.has_left.tolist() == [n == 5 for n in outcome.n_epochs]


def test_without_held_out_rows_none_leaves(make_problem, plan):
    outcome = make_problem().train(Constant(), BETAS, plan)
    assert outcome.n_epochs.tolist() == [20] * 4
    assert not outcome.has_left.any()
