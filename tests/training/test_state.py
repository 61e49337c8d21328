import pickle

import numpy as np
import pytest
import torch

from skvae.balance import LearnedVariance as Learned
from skvae.balance import Linear, RunningAverage
from skvae.balance._base import map_state
from skvae.training import TrainingState

CPU = torch.device("cpu")
WITH_A_STATE = [
    Linear(),
    Learned("feature"),
    RunningAverage(),
    Linear(policy=RunningAverage("feature")),
]


def balance_of(state):
    """Tensors of the policy's state, those of inner states too."""
    parts = []
    map_state(parts.append, state.balance)
    return parts


def assert_equal(one, other):
    for left, right in zip(
        [one.values, *balance_of(one), one.floor, one.prior, one.generator],
        [other.values, *balance_of(other), other.floor, other.prior, other.generator],
        strict=True,
    ):
        assert torch.equal(left, right)


@pytest.mark.parametrize("policy", WITH_A_STATE)
def test_replicas_start_together_and_as_each_alone(policy, make_problem):
    problem = make_problem()
    state = problem.start(policy, [0.5, 1.0, 4.0])
    for r, beta in enumerate([0.5, 1.0, 4.0]):
        alone = problem.start(policy, [beta])
        assert torch.equal(alone.values[0], state.values[r])
        assert torch.equal(alone.generator, state.generator)
        for one, other in zip(balance_of(alone), balance_of(state), strict=True):
            assert torch.equal(one[0], other[r])
    assert torch.equal(state.values[0], state.values[2])


def test_weights_are_those_of_module_and_policy(make_problem):
    problem = make_problem()
    state = problem.start(Learned("feature"), [1.0, 2.0])
    assert set(state.weights) == {*problem.module.shapes, "log_variance"}
    start = problem.module.init(torch.Generator().manual_seed(0))
    for name, weight in start.items():
        assert torch.equal(state.weights[name][1], weight), name
    assert state.weights["log_variance"].shape == (2, 5)
    assert (state.n_steps, state.n_epochs) == (0, 0)


def test_start_depends_on_the_seed_alone(make_problem):
    problem = make_problem()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    first = problem.start(Linear(), [1.0], seed=3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)
    torch.rand(1)
    assert_equal(problem.start(Linear(), [1.0], seed=3), first)
    torch.set_rng_state(torch_state)
    other = problem.start(Linear(), [1.0], seed=4)
    assert not torch.equal(other.values, first.values)


def test_precision_rounds_the_same_start(make_problem):
    single, double = (
        make_problem(dtype=dtype).start(Learned(), [1.0])
        for dtype in (torch.float32, torch.float64)
    )
    assert single.values.dtype == torch.float32
    assert torch.equal(single.values, double.values.float())
    assert torch.equal(single.generator, double.generator)


@pytest.mark.parametrize("is_trained", [False, True])
@pytest.mark.parametrize("policy", WITH_A_STATE)
def test_there_and_back(policy, is_trained, make_problem, make_plan):
    problem = make_problem()
    state = problem.start(policy, [0.5, 1.0])
    if is_trained:
        state = problem.train(policy, state, make_plan()).state
    arrays = state.to_numpy()
    content = pickle.dumps(arrays)
    # An estimator that was fitted on a GPU opens where there is none.
    assert b"torch._utils" not in content
    again = pickle.loads(content).to_torch(CPU, torch.float64)
    assert isinstance(again, TrainingState)
    assert_equal(again, state)
    assert type(again.balance) is type(state.balance)
    assert again.shapes == state.shapes
    assert (again.n_steps, again.n_epochs) == (state.n_steps, state.n_epochs)
    for name in ("mean", "square"):
        one, other = getattr(again, name), getattr(state, name)
        assert (one is None) == (other is None) == (not is_trained)
        if is_trained:
            assert torch.equal(one, other)


def test_arrays_may_be_read_only(make_problem, make_plan):
    # As joblib gives them to its workers.
    problem = make_problem()
    arrays = problem.train(Linear(), [1.0], make_plan()).state.to_numpy()
    for array in (
        arrays.values,
        *balance_of(arrays),
        arrays.floor,
        arrays.prior,
        arrays.generator,
        arrays.mean,
        arrays.square,
    ):
        array.setflags(write=False)
    before = arrays.values.copy()
    state = arrays.to_torch(CPU, torch.float64)
    problem.train(Linear(), state, make_plan(n_planned_epochs=10))
    np.testing.assert_array_equal(arrays.values, before)


def test_precision_may_change_on_the_way_back(make_problem, make_plan):
    problem = make_problem()
    trained = problem.train(RunningAverage(), [1.0], make_plan()).state
    state = trained.to_numpy().to_torch(CPU, torch.float32)
    parts = [state.values, state.floor, state.prior, state.mean, state.square]
    for part in [*parts, *balance_of(state)]:
        assert part.dtype == torch.float32
    assert torch.equal(state.generator, trained.generator)


@pytest.mark.parametrize("policy", WITH_A_STATE)
def test_state_of_one_replica(policy, make_problem, make_plan):
    problem = make_problem()
    state = problem.train(policy, [0.5, 1.0, 4.0], make_plan()).state
    for r in range(3):
        one = state.take(r)
        assert torch.equal(one.values, state.values[r : r + 1])
        for part, whole in zip(balance_of(one), balance_of(state), strict=True):
            assert torch.equal(part, whole[r : r + 1])
        for name in ("prior", "mean", "square"):
            assert torch.equal(getattr(one, name), getattr(state, name)[r : r + 1])
        assert torch.equal(one.floor, state.floor)
        assert torch.equal(one.generator, state.generator)
        # It goes on alone as it would among the others.
        plan = make_plan(n_planned_epochs=10)
        alone = problem.train(policy, one, plan)
        together = problem.train(policy, state, plan)
        torch.testing.assert_close(
            alone.values[0], together.values[r], rtol=1e-9, atol=1e-9
        )


def test_prior_is_what_the_linear_model_leaves(make_problem):
    problem = make_problem()
    state = problem.start(RunningAverage(), [1.0, 2.0])
    # Without one, all of the column's variance is left.
    assert torch.equal(state.prior, torch.ones(2, 5, dtype=torch.float64))
