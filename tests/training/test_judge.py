"""When a training stops."""

import math

import pytest
import torch

from skvae.balance import Constant
from skvae.model._calibration import Calibration
from skvae.training import Task
from skvae.training._judge import Judge
from skvae.training._stepper import Stepper


@pytest.fixture
def judge_of(make_problem):
    """Build a judge, and what judges an epoch that leaves two replicas as they were."""

    def make(plan):
        problem = make_problem()
        state = problem.start(Constant(), [1.0, 1.0])
        calibration = Calibration.of(
            "shared", state.floor, state.prior, problem.rows, problem.held_out
        )
        task = Task(state, problem.rows, problem.held_out, calibration)
        generator = torch.Generator().manual_seed(0)
        judge = Judge(problem.module, Constant(), task, plan, generator)
        flat = Stepper(problem.module, Constant(), state, problem.rows, plan).flat
        balance = state.balance
        judge.start(0, flat, balance, problem.rows)
        error = torch.ones(2, 5, dtype=problem.dtype)

        def epoch(number, *objective):
            objective = torch.tensor(objective, dtype=problem.dtype)
            judge(number, flat, balance.beta, balance.variance, error, objective)
            return judge.is_stopped().tolist()

        return epoch

    return make


def test_worse_at_a_higher_learning_rate_is_not_overfitted(judge_of, make_plan):
    """Where the training rows, too, are explained worse, it may come back."""
    plan = make_plan(n_planned_epochs=100, n_epochs=100, patience=3)
    epoch = judge_of(plan)
    assert epoch(0, 7.0, 7.0) == [False, False]
    stopped = [epoch(number, 7.5, 6.5) for number in range(1, 90)]
    assert stopped == [[False, False]] + 88 * [[False, True]]
    # No longer where the learning rate is down again, and the weights are not.
    late = [epoch(number, 7.5, 6.5)[0] for number in range(90, 100)]
    assert late[0] is False
    assert late[-1] is True


def test_first_steps_say_nothing_of_the_start(judge_of, make_plan):
    """They may be worse than all that follows, and the start has no objective."""
    epoch = judge_of(make_plan(n_planned_epochs=100, n_epochs=100, patience=3))
    assert epoch(0, 30.0, 30.0) == [False, False]
    assert epoch(1, 7.0, 9.0) == [False, False]
    assert [epoch(number, 8.0, 8.0) for number in range(2, 50)] == 48 * [[False, True]]


@pytest.mark.parametrize(
    ("changes", "objective"),
    [
        ({"schedule": "constant"}, 7.5),
        ({"schedule": "cosine"}, 7.5),
        ({"tolerance": 1.0}, 7.5),
        ({}, 7.0),
        ({}, math.nan),
    ],
)
def test_any_other_epoch_counts(changes, objective, judge_of, make_plan):
    plan = make_plan(n_planned_epochs=100, n_epochs=100, patience=3, **changes)
    epoch = judge_of(plan)
    # What the start is better than need not be better than what comes after.
    assert epoch(0, 7.0, 7.0) == [False, False]
    assert epoch(1, objective, 7.5) == [False, False]
    assert epoch(2, objective, 7.0)[0] is True
