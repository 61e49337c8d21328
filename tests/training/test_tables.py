"""Replicas of several tables in one training: each as if its table were alone."""

import pytest
import torch

from skvae.balance import (
    Capacity,
    Constant,
    FreeBits,
    LearnedVariance,
    Linear,
    OptimalVariance,
    RunningAverage,
)
from skvae.training import train

POLICIES = [
    Constant(),
    RunningAverage(),
    OptimalVariance(),
    LearnedVariance("feature"),
    FreeBits(kind="total"),
    FreeBits(),
    FreeBits(kind="row"),
    Capacity(target=1.0),
    Linear(warmup=0.3, policy=RunningAverage()),
]


def assert_alone(module, policy, tasks, plan):
    together = train(module, policy, tasks, plan, None)
    assert len(together) == len(tasks)
    for task, outcome in zip(tasks, together, strict=True):
        (alone,) = train(module, policy, [task], plan, None)
        assert outcome.n_epochs.tolist() == alone.n_epochs.tolist()
        for name in ("values", "beta", "variance", "elbo"):
            torch.testing.assert_close(
                getattr(outcome, name), getattr(alone, name), rtol=1e-9, atol=1e-9
            )
        assert torch.equal(outcome.state.generator, alone.state.generator)
        assert torch.equal(outcome.state.floor, task.state.floor)
        for r in range(len(task.state.values)):
            one, other = outcome.take(r), alone.take(r)
            assert one.history.keys() == other.history.keys()
            for name, entries in one.history.items():
                torch.testing.assert_close(
                    *map(torch.from_numpy, (entries, other.history[name])),
                    **{"rtol": 1e-9, "atol": 1e-9, "msg": name},
                )
    return together


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("judge", [False, True])
@pytest.mark.parametrize("n_draws", [1, 2])
def test_tables_together_are_each_alone(policy, judge, n_draws, make_tasks, make_plan):
    plan = make_plan(n_draws=n_draws)
    assert_alone(*arguments(policy, make_tasks(policy, judge=judge)), plan)


def arguments(policy, made):
    module, tasks = made
    return module, policy, tasks


@pytest.mark.parametrize("likelihood", ["bernoulli", "laplace"])
def test_other_likelihoods(likelihood, make_tasks, make_plan):
    policy = RunningAverage() if likelihood == "laplace" else Constant()
    assert_alone(*arguments(policy, make_tasks(policy, likelihood)), make_plan())


@pytest.mark.parametrize("n_draws", [1, 2])
def test_missing_cells_and_full_covariances(n_draws, make_tasks, make_plan):
    policy, plan = RunningAverage(), make_plan(n_draws=n_draws)
    for changes in ({"gaps": True}, {"posterior": "full"}):
        assert_alone(*arguments(policy, make_tasks(policy, **changes)), plan)


def test_replicas_of_a_table_stop_when_they_would_alone(make_tasks, make_plan):
    plan = make_plan(
        **{"n_epochs": 60, "n_planned_epochs": 60, "patience": 4, "tolerance": 0.05}
    )
    policy = RunningAverage()
    outcomes = assert_alone(*arguments(policy, make_tasks(policy)), plan)
    ends = [int(outcome.n_epochs.max()) for outcome in outcomes]
    # One table leaves the training before another.
    assert len(set(ends)) > 1
    assert max(ends) < 60
