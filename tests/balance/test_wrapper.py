import pytest
import torch
from sklearn.base import clone

from skvae.balance import (
    BalancePolicy,
    Constant,
    LearnedVariance,
    Linear,
    Normalized,
    OptimalVariance,
    RunningAverage,
    VariancePolicy,
    Wrapper,
)
from skvae.balance._base import map_state

INNER = [None, Normalized(), LearnedVariance("feature"), RunningAverage()]


def parts(state):
    """Tensors of a state, those of inner states too."""
    found = []
    map_state(found.append, state)
    return found


@pytest.mark.parametrize("inner", INNER, ids=repr)
def test_alone_it_is_the_policy_inside(inner, make_sizes, make_terms):
    policy, inner = Wrapper(inner), inner or Constant()
    sizes, beta = make_sizes(2), torch.tensor([0.5, 2.0], dtype=torch.float64)
    moving = inner.variance_policy or VariancePolicy()
    assert (policy.variance_policy is None) == (inner.variance_policy is None)
    assert policy.settled_at == inner.settled_at
    assert torch.equal(policy.start_variance(sizes), inner.start_variance(sizes))
    parameters = moving.init_parameters(sizes)
    assert policy.init_parameters(sizes).keys() == parameters.keys()
    state, expected = policy.init_state(beta, sizes), inner.init_state(beta, sizes)
    floor = torch.full((5,), 1e-3, dtype=torch.float64)
    error = torch.linspace(0.1, 0.9, 10, dtype=torch.float64).reshape(2, 5)
    terms = make_terms([3.0, 4.0], [1.0, 2.0])
    for step in (1, 2):
        state = policy.move_variance(state, error / step, parameters, floor)
        expected = moving.move_variance(expected, error / step, parameters, floor)
        assert torch.equal(
            policy.objective(terms, state), inner.objective(terms, expected)
        )
        state = policy.update(state, terms, step / 2)
        expected = inner.update(expected, terms, step / 2)
        assert torch.equal(state.beta, expected.beta)
        assert torch.equal(state.variance, expected.variance)
        for one, other in zip(parts(state.inner), parts(expected), strict=True):
            assert torch.equal(one, other)


def test_settings_of_the_policy_inside_are_settings():
    policy = Linear(policy=Wrapper(RunningAverage()))
    policy.set_params(policy__policy__decay=0.5, warmup=0.75)
    assert policy.policy.policy.decay == 0.5
    copy = clone(policy)
    assert copy.get_params()["policy__policy__decay"] == 0.5
    assert copy.policy.policy is not policy.policy.policy
    assert repr(copy) == (
        "Linear(policy=Wrapper(policy=RunningAverage(decay=0.5)), warmup=0.75)"
    )


def test_frozen_settings_may_serve_two_wrappers(make_sizes):
    inner = OptimalVariance()
    first, second = Linear(policy=inner), Linear(warmup=0.5, policy=inner)
    assert first.policy is inner
    assert second.policy is inner
    assert vars(inner) == {"scope": "shared", "source": "auto"}


def test_state_is_mapped_to_the_innermost(make_sizes):
    policy = Linear(policy=Linear(policy=RunningAverage()))
    state = policy.init_state(torch.ones(2, dtype=torch.float64), make_sizes(2))
    doubled = map_state(lambda part: 2.0 * part, state)
    assert type(doubled.inner.inner) is type(state.inner.inner)
    assert torch.equal(doubled.inner.inner.average, 2.0 * state.inner.inner.average)


def test_every_public_name_is_forwarded():
    """A new name of the bases is one of `Wrapper` too, or deliberately its own."""
    names = {name for base in (BalancePolicy, VariancePolicy) for name in vars(base)}
    public = {name for name in names if not name.startswith("_")}
    assert public - vars(Wrapper).keys() == {"ends_at_beta"}


class Probe(VariancePolicy):
    """A policy whose answers are its own."""

    scope, source, settled_at, is_weighted_sum = "feature", "train", 0.125, False

    def weight_of(self, beta, n_features, n_components):
        return ("weight", beta, n_features, n_components)

    def conflict_with(self, divergence):
        return f"has nothing to do with {divergence}"

    def remedy(self, beta):
        return f"Use another beta than {beta}."

    def start_variance(self, sizes):
        return "variance"

    def init_parameters(self, sizes):
        return {"own": sizes}

    def with_shared_variance(self):
        return LearnedVariance("shared")


@pytest.mark.parametrize("policy", [Wrapper(Probe()), Wrapper(Wrapper(Probe()))])
def test_answers_are_those_of_the_policy_inside(policy):
    probe = Probe()
    assert policy.variance_policy is policy
    for name in ("scope", "source", "settled_at", "is_weighted_sum"):
        assert getattr(policy, name) == getattr(probe, name)
    assert policy.weight_of(2.0, 5, 3) == probe.weight_of(2.0, 5, 3)
    assert policy.conflict_with("it") == probe.conflict_with("it")
    assert policy.remedy(2.0) == probe.remedy(2.0)
    assert policy.start_variance(None) == probe.start_variance(None)
    assert policy.init_parameters("sizes") == probe.init_parameters("sizes")
    for copy, innermost in (
        (policy.with_shared_variance(), "LearnedVariance()"),
        (policy.replaced_by(Normalized()), "Normalized()"),
    ):
        assert repr(copy) == repr(policy).replace("Probe()", innermost)
    # What the user passed stays as it is.
    assert "Probe()" in repr(policy)
    assert not policy.ends_at_beta
