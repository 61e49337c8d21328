"""What training promises for every balance policy and likelihood."""

import pickle

import numpy as np
import pytest
import torch

from skvae.balance import (
    POLICIES,
    Cyclical,
    LearnedVariance,
    Linear,
    Normalized,
    RunningAverage,
    Sigmoid,
)
from skvae.balance._base import map_state

BETAS = [0.1, 1.0, 4.0]

WRAPPED = [
    Linear(policy=LearnedVariance()),
    Cyclical(warmup=0.5, policy=RunningAverage(scope="feature")),
    Linear(start=0.1, policy=Sigmoid(policy=Normalized())),
]


def likelihoods_of_policies():
    """Every policy, and the likelihoods that it can be trained with."""
    policies = {repr(policy): policy for policy in WRAPPED}
    for name, cls in POLICIES.items():
        policies[name] = cls()
        if "scope" in cls().get_params():
            policies[f"{name}-feature"] = cls(scope="feature")
    for key, policy in policies.items():
        likelihoods = (
            ["gaussian"]
            if policy.variance_policy is not None
            else ["bernoulli", "gaussian"]
        )
        yield key, policy, likelihoods


def pairs(name="", values=(None,), ids=("",), *, may_stop_apart=False):
    """Parametrize by policy, likelihood and, perhaps, one thing more.

    A policy never sees a row, and a likelihood never sees a policy: each policy has one
    of its likelihoods, and one of the values, in rotation. The others are slow, as are,
    where stopping is tested, policies that settle when one before them does.
    """
    found, seen = [], set()
    for i, (key, policy, likelihoods) in enumerate(likelihoods_of_policies()):
        stops_as = policy.settled_at, policy.variance_policy is not None
        is_new = not may_stop_apart or stops_as not in seen
        seen.add(stops_as)
        for j, likelihood in enumerate(likelihoods):
            of = policy
            if likelihood == "bernoulli" and "target" in policy.get_params():
                # There is no linear model to take a target from.
                of = type(policy)(target=1.0)
            for k, (value, value_id) in enumerate(zip(values, ids, strict=True)):
                is_kept = i % len(likelihoods) == j and i // 2 % len(values) == k
                is_kept = is_kept and is_new
                found.append(
                    pytest.param(
                        *((of, likelihood, value) if name else (of, likelihood)),
                        id="-".join(filter(None, (key, likelihood, value_id))),
                        marks=() if is_kept else pytest.mark.slow,
                    )
                )
    names = ["policy", "likelihood", *([name] if name else [])]
    return pytest.mark.parametrize(names, found)


every_pair = pairs()
every_dtype = pairs("dtype", (torch.float32, torch.float64), ids=("float32", "float64"))


def balance_of(state):
    """Tensors of the policy's state, those of inner states too."""
    parts = []
    map_state(parts.append, state.balance)
    return parts


def moved_by_training(state):
    return [state.values, state.mean, state.square, *balance_of(state)]


def of_replica(state, r):
    """A replica's part of each tensor of a state."""
    one = slice(r, r + 1)
    return [state.values[one], *(part[one] for part in balance_of(state))]


@pairs("hidden", [(6,), ()], ids=["mlp", "linear"])
def test_replicas_together_equal_each_alone(
    policy, likelihood, hidden, make_problem, make_plan
):
    problem = make_problem(likelihood, hidden)
    plan = make_plan(n_epochs=3, n_planned_epochs=3)
    together = problem.train(policy, BETAS, plan)
    assert together.state.n_steps == 30
    for r, beta in enumerate(BETAS):
        alone = problem.train(policy, [beta], plan)
        for one, other in zip(
            of_replica(alone.state, 0), of_replica(together.state, r), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
        for name, entries in alone.history.items():
            np.testing.assert_allclose(
                entries[:, 0], together.history[name][:, r], rtol=1e-9, atol=1e-9
            )
    # Nobody is everybody: replicas of different betas end at different weights.
    assert len(together.values[:, 0].unique()) == len(BETAS)


def kernels_are_exact(shapes, batch_size, dtype, sees_means):
    """Whether what this machine makes of a replica ignores those beside it.

    Means over rows, of the rate and the distortion, count where the policy steers by
    them.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    def is_exact(function, *stacks):
        together = function(*stacks)
        alone = [
            function(*(stack[r : r + 1] for stack in stacks)) for r in range(len(BETAS))
        ]
        return torch.equal(together, torch.cat(alone))

    n, exact = len(BETAS), True
    # The last digit of a single draw may agree by chance.
    for _ in range(20):
        weight = draw(batch_size)
        if sees_means:
            exact &= is_exact(lambda rows, w=weight: rows @ w, draw(n, batch_size))
        for n_in, n_out in (shape for shape in shapes.values() if len(shape) == 2):
            x, kernel = draw(n, batch_size, n_in), draw(n, n_in, n_out)
            bias, slope = draw(n, 1, n_out), draw(n, batch_size, n_out)
            exact &= is_exact(torch.baddbmm, bias, x, kernel)
            exact &= is_exact(torch.bmm, x.transpose(1, 2), slope)
            exact &= is_exact(torch.bmm, slope, kernel.transpose(1, 2))
            exact &= is_exact(lambda rows, w=weight: w @ rows, slope)
            for function in (torch.exp, torch.expm1, torch.log1p, torch.sigmoid):
                exact &= is_exact(function, slope.abs())
    return exact


@every_dtype
def test_replicas_are_bitwise_alone_where_the_kernels_are(
    policy, likelihood, dtype, make_problem, make_plan
):
    # Elementwise kernels round what is left over after full vector registers in
    # another way; 32 rows leave nothing over.
    problem = make_problem(likelihood, dtype=dtype)
    plan = make_plan(batch_size=32, n_draws=2)
    sees_means = "target" in policy.get_params()
    shapes = problem.module.shapes
    if not kernels_are_exact(shapes, plan.batch_size, dtype, sees_means):
        pytest.skip("a kernel of this machine depends on the height of the stack")
    together = problem.train(policy, BETAS, plan).state
    for r, beta in enumerate(BETAS):
        alone = of_replica(problem.train(policy, [beta], plan).state, 0)
        for one, other in zip(alone, of_replica(together, r), strict=True):
            assert torch.equal(one, other)


@pairs(may_stop_apart=True)
def test_replicas_stop_when_each_alone_would(
    policy, likelihood, make_problem, make_plan
):
    problem = make_problem(likelihood)
    # As many epochs to stop in, however late the policy settles.
    n_epochs = max(40, round(12 / (1.0 - policy.settled_at)))
    plan = make_plan(
        n_epochs=n_epochs,
        n_planned_epochs=n_epochs,
        steps_per_epoch=5,
        learning_rate=0.1,
        patience=5,
        tolerance=1e-2,
    )
    together = problem.train(policy, BETAS, plan, validate=True)
    for r, beta in enumerate(BETAS):
        alone = problem.train(policy, [beta], plan, validate=True)
        assert alone.n_epochs[0] == together.n_epochs[r]
        for name in ("values", "beta", "variance"):
            torch.testing.assert_close(
                getattr(alone, name)[0],
                getattr(together, name)[r],
                rtol=1e-9,
                atol=1e-9,
            )
        n_epochs = alone.n_epochs[0]
        for name, entries in alone.history.items():
            assert len(entries) == n_epochs
            np.testing.assert_allclose(
                entries[:, 0],
                together.history[name][:n_epochs, r],
                rtol=1e-9,
                atol=1e-9,
                err_msg=name,
            )
    # The test says nothing if they all stop at once, or at the end.
    assert together.n_epochs.min() < plan.n_epochs
    assert len(np.unique(together.n_epochs)) > 1


@every_dtype
def test_stopped_and_pickled_it_goes_on_the_same(
    policy, likelihood, dtype, make_problem, make_plan
):
    problem = make_problem(likelihood, dtype=dtype)
    whole = problem.train(policy, BETAS, make_plan(n_epochs=6, n_planned_epochs=6))

    half = make_plan(n_epochs=3, n_planned_epochs=6)
    first = problem.train(policy, BETAS, half)
    again, arrays = pickle.loads(pickle.dumps((policy, first.state.to_numpy())))
    second = problem.train(again, arrays.to_torch(torch.device("cpu"), dtype), half)

    for one, other in zip(
        moved_by_training(second.state), moved_by_training(whole.state), strict=True
    ):
        assert torch.equal(one, other)
    assert second.state.n_epochs == 6
    assert second.state.n_steps == whole.state.n_steps
    assert torch.equal(second.state.generator, whole.state.generator)
    for name, entries in whole.history.items():
        parts = first.history[name], second.history[name]
        np.testing.assert_array_equal(np.concatenate(parts), entries, err_msg=name)


@every_pair
def test_training_leaves_where_it_started(policy, likelihood, make_problem, make_plan):
    problem = make_problem(likelihood)
    state = problem.start(policy, BETAS)
    before = pickle.dumps(state.to_numpy())
    first = problem.train(policy, state, make_plan())
    assert pickle.dumps(state.to_numpy()) == before
    assert not any(part.requires_grad for part in balance_of(first.state))
    assert torch.equal(problem.train(policy, state, make_plan()).values, first.values)


@every_pair
def test_no_step_waits_for_a_number(
    policy, likelihood, make_problem, make_plan, monkeypatch
):
    problem = make_problem(likelihood)
    state, plan = problem.start(policy, BETAS), make_plan(n_draws=2)

    def refuse(self, *args, **kwargs):
        pytest.fail("a number was read from the device")

    names = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__")
    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(torch.Tensor, name, refuse)
        with pytest.raises(pytest.fail.Exception):
            bool(state.values.isfinite().all())
        outcome = problem.train(policy, state, plan)
    assert torch.isfinite(outcome.values).all()


@every_pair
def test_objective_falls(policy, likelihood, make_problem, make_plan):
    problem = make_problem(likelihood)
    plan = make_plan(n_epochs=10, n_planned_epochs=10, learning_rate=0.04)
    history = problem.train(policy, [0.5, 1.0], plan).history
    # Warm-ups raise the weight, so the elbo judges.
    assert (history["elbo"][-3:].mean(axis=0) > history["elbo"][:3].mean(axis=0)).all()


@every_pair
def test_history(policy, likelihood, make_problem, make_plan):
    problem = make_problem(likelihood)
    outcome = problem.train(policy, BETAS, make_plan(), validate=True)
    history = outcome.history
    names = {"rate", "distortion", "elbo", "objective", "beta"}
    if likelihood == "gaussian":
        names |= {"variance"}
    validation = {f"validation_{name}" for name in ("rate", "distortion", "elbo")}
    assert set(history) == names | validation | {"learning_rate"}
    for name, entries in history.items():
        assert entries.shape == (5, len(BETAS)), name
        assert np.isfinite(entries).all(), name
    for prefix in ("", "validation_"):
        rate, distortion, elbo = (
            history[f"{prefix}{name}"] for name in ("rate", "distortion", "elbo")
        )
        np.testing.assert_allclose(elbo, -(rate + distortion), rtol=1e-12)
        assert (rate >= 0.0).all()
    assert (outcome.n_epochs == 5).all()
