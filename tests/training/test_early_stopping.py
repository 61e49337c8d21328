"""The epoch that a training stops at."""

import math

import pytest
import torch

from skvae import learning_rates
from skvae.balance import Constant
from skvae.model._calibration import Calibration
from skvae.training._early_stopping import EarlyStopping
from skvae.training._means import Means
from skvae.training._parameters import FlatParameters
from skvae.training._validation import Validation


@pytest.fixture
def epochs_of(make_problem):
    """Build a function that ends an epoch of two replicas with unchanged weights."""

    def make(plan):
        problem = make_problem()
        state = problem.start(Constant(), [1.0, 1.0])
        calibration = Calibration.of(
            "shared", state.floor, state.prior, problem.rows, problem.held_out
        )
        validation = Validation.drawn(
            problem.module,
            problem.rows,
            problem.held_out,
            calibration,
            plan,
            torch.Generator().manual_seed(0),
        )
        stopping = EarlyStopping(validation, state, plan, settled_at=0.0)
        parameters, balance = FlatParameters(state.shapes, state.values), state.balance
        stopping.start(parameters, balance)
        error = torch.ones(2, 5, dtype=problem.dtype)

        def epoch(number, *objective):
            objective = torch.tensor(objective, dtype=problem.dtype)
            means = Means(objective, objective, objective, balance.variance, error)
            stopping.after_epoch(number, parameters, balance.beta, means)
            return stopping.is_stopped().tolist()

        return epoch

    return make


def test_worse_at_a_higher_learning_rate_is_not_overfitted(epochs_of, make_plan):
    """Where the training rows, too, are explained worse, it may come back."""
    plan = make_plan(n_planned_epochs=100, n_epochs=100, patience=3)
    epoch = epochs_of(plan)
    assert epoch(0, 7.0, 7.0) == [False, False]
    stopped = [epoch(number, 7.5, 6.5) for number in range(1, 90)]
    assert stopped == [[False, False]] + 88 * [[False, True]]
    # No longer where the learning rate is down again, and the weights are not.
    late = [epoch(number, 7.5, 6.5)[0] for number in range(90, 100)]
    assert late[0] is False
    assert late[-1] is True


def test_first_steps_say_nothing_of_the_start(epochs_of, make_plan):
    """They may be worse than all that follows, and the start has no objective."""
    epoch = epochs_of(make_plan(n_planned_epochs=100, n_epochs=100, patience=3))
    assert epoch(0, 30.0, 30.0) == [False, False]
    assert epoch(1, 7.0, 9.0) == [False, False]
    assert [epoch(number, 8.0, 8.0) for number in range(2, 50)] == 48 * [[False, True]]


@pytest.mark.parametrize(
    ("changes", "objective"),
    [
        ({"schedule": learning_rates.Constant()}, 7.5),
        ({"schedule": learning_rates.Cosine()}, 7.5),
        ({"tolerance": 1.0}, 7.5),
        ({}, 7.0),
        ({}, math.nan),
    ],
)
def test_any_other_epoch_counts(changes, objective, epochs_of, make_plan):
    plan = make_plan(n_planned_epochs=100, n_epochs=100, patience=3, **changes)
    epoch = epochs_of(plan)
    # What the start is better than need not be better than what comes after.
    assert epoch(0, 7.0, 7.0) == [False, False]
    assert epoch(1, objective, 7.5) == [False, False]
    assert epoch(2, objective, 7.0)[0] is True
