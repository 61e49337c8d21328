"""What all schedules of beta promise, whatever their curve."""

import itertools

import pytest
import torch

from skvae.balance import (
    Constant,
    Cosine,
    Cyclical,
    LearnedVariance,
    Linear,
    Normalized,
    OptimalVariance,
    Schedule,
    Sigmoid,
)

SCHEDULES = [Linear, Sigmoid, Cosine, Cyclical]
RISING = [Linear, Sigmoid, Cosine]
every_schedule = pytest.mark.parametrize("cls", SCHEDULES)


@pytest.mark.parametrize("cls", RISING)
@pytest.mark.parametrize("warmup", [0.3, 1.0])
def test_rises_and_then_is_constant(cls, warmup, beta_at):
    policy = cls(warmup=warmup)
    shares = [step / 100 for step in range(101)]
    betas = [beta_at(policy, share)[1] for share in shares]
    n_rising = round(100 * warmup)
    assert all(a < b for a, b in itertools.pairwise(betas[: n_rising + 1]))
    assert betas[n_rising:] == [4.0] * (101 - n_rising)
    assert policy.settled_at == warmup


# Tables of a cycle's steps had no entry for steps left over by the division.
@every_schedule
@pytest.mark.parametrize("n_steps", [*range(1, 24), 97, 1009])
def test_any_number_of_steps(cls, n_steps, beta_at):
    betas = [beta_at(cls(warmup=1.0), step / n_steps)[1] for step in range(n_steps + 1)]
    assert all(0.0 <= beta <= 4.0 for beta in betas)
    assert betas[0] < 0.03
    assert betas[-1] == 4.0


@every_schedule
@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0])
def test_whole_curve_is_scaled_by_beta(cls, warmup, share, beta_at):
    one, four = beta_at(cls(warmup=warmup), share * warmup)
    assert four == pytest.approx(4.0 * one, rel=1e-14)


@every_schedule
def test_settles_exactly_where_it_says(cls, beta_at):
    policy = cls(warmup=0.7)
    at = policy.settled_at
    assert 0.0 < at <= 0.7
    assert [beta_at(policy, at + (1.0 - at) * k / 50)[1] for k in range(51)] == [
        4.0
    ] * 51
    assert beta_at(policy, at - 1e-6)[1] < 4.0


@every_schedule
def test_beta_of_the_policy_inside_is_brought_in(cls, make_sizes, make_terms, beta_at):
    # Five features and three latents.
    policy = cls(warmup=0.5, policy=Normalized())
    plain = cls(warmup=0.5)
    for share in (0.0, 0.2, 0.4, 0.9):
        expected = [beta * 5 / 3 for beta in beta_at(plain, share)]
        assert beta_at(policy, share) == pytest.approx(expected, rel=1e-14)
    assert isinstance(policy, Schedule)


@every_schedule
def test_objective_is_at_the_beta_in_force(cls, make_sizes, make_terms):
    policy = cls(warmup=0.5, policy=LearnedVariance())
    terms = make_terms([3.0, 5.0], [2.0, 1.0])
    beta = torch.tensor([1.0, 4.0], dtype=torch.float64)
    state = policy.init_state(beta, make_sizes(2))
    for share in (0.1, 0.3):
        state = policy.update(state, terms, share)
        expected = terms.distortion + state.beta * terms.rate
        torch.testing.assert_close(policy.objective(terms, state), expected)
        assert torch.equal(state.inner.beta, beta)


def test_linear_around_a_beta_that_moves_starts_at_its_own(beta_at):
    inner = Linear(warmup=0.5)
    # Halfway through the outer warm-up the inner beta is full.
    policy = Linear(start=0.5, warmup=1.0, policy=inner)
    assert beta_at(policy, 0.0) == [0.5, 0.5]
    assert beta_at(policy, 0.25) == pytest.approx([0.5, 0.75 * 0.5 + 0.25 * 2.0])
    assert beta_at(policy, 0.5) == pytest.approx([0.75, 0.5 * 0.5 + 0.5 * 4.0])
    assert beta_at(policy, 1.0) == [1.0, 4.0]


@pytest.mark.parametrize(
    ("policy", "settled_at"),
    [
        (Linear(warmup=0.4, policy=OptimalVariance()), 0.4),
        (Linear(warmup=0.4, policy=Cosine(warmup=0.6)), 0.6),
        (Linear(warmup=0.8, policy=Cosine(warmup=0.6)), 0.8),
        (Sigmoid(warmup=0.2, policy=Cyclical()), 0.875),
        (Cyclical(policy=Constant()), 0.875),
    ],
    ids=repr,
)
def test_settled_when_all_are(policy, settled_at):
    assert policy.settled_at == settled_at


@every_schedule
def test_variance_of_the_policy_inside_is_in_force(cls, tiny_model):
    alone, _, state = tiny_model.step(OptimalVariance(scope="feature"), 0.0)
    policy = cls(policy=OptimalVariance(scope="feature"))
    objective, _, wrapped = tiny_model.step(policy, 0.0)
    assert policy.scope == "feature"
    assert policy.moves_variance
    assert torch.equal(wrapped.variance, state.variance)
    assert torch.equal(objective, alone)


def test_curve_is_the_subclass_own():
    with pytest.raises(NotImplementedError):
        Schedule().curve(0.5)
