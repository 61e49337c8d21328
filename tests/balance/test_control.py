import itertools

import pytest
import torch

from skvae.balance import Control

SETTINGS = {"target": 3.0, "proportional": 0.01, "integral": 1e-3}


def logistic(error):
    return float(torch.tensor(error, dtype=torch.float64).sigmoid())


@pytest.fixture
def feed(make_sizes, make_terms):
    """Feed rates to a policy; return its betas, one a batch."""

    def feed(policy, rates, beta=0.0):
        state = policy.init_state(
            torch.tensor([beta], dtype=torch.float64), make_sizes()
        )
        betas = []
        for rate in rates:
            state = policy.update(state, make_terms([0.0], [rate]), 1.0)
            betas.append(float(state.beta[0]))
        return betas

    return feed


@pytest.mark.parametrize("min_beta", [0.0, 1.0])
def test_at_the_target_it_rests(feed, min_beta):
    policy = Control(**SETTINGS, min_beta=min_beta)
    expected = [0.005 + min_beta] * 10
    assert feed(policy, [3.0] * 10, beta=min_beta) == pytest.approx(expected)
    # The start is where the sum starts.
    assert feed(policy, [3.0], beta=1.5) == pytest.approx([1.505])


def test_positional_formula(feed):
    rates = [2.0, 3.5, 5.0, 1.0, 3.0]
    betas = feed(Control(**SETTINGS), rates, beta=0.5)
    total = 0.0
    for rate, beta in zip(rates, betas, strict=True):
        total += 3.0 - rate
        expected = 0.5 + 0.01 * logistic(rate - 3.0) - 1e-3 * total
        assert beta == pytest.approx(expected, rel=1e-14)


def test_rate_above_the_target_raises_beta(feed):
    betas = feed(Control(**SETTINGS), [3.0, 6.0, 6.0, 6.0, 6.0])
    assert all(a < b for a, b in itertools.pairwise(betas))
    betas = feed(Control(**SETTINGS), [3.0, 1.0, 1.0, 1.0, 1.0], beta=0.5)
    assert all(a > b for a, b in itertools.pairwise(betas))


@pytest.mark.parametrize("saturated", ["low", "high"])
def test_leaves_a_limit_at_once(feed, saturated):
    # A sum that goes on would take as many steps to come back: here 2000.
    low = saturated == "low"
    policy = Control(**SETTINGS, max_beta=1.0)
    rates = [0.0 if low else 6.0] * 3000 + [6.0 if low else 0.0] * 5
    betas = feed(policy, rates)
    assert betas[2999] == (0.0 if low else 1.0)
    if low:
        assert betas[3000] > 0.0
        assert betas[3004] > 0.01
    else:
        assert betas[3000] < 1.0
        assert betas[3004] < 0.99
    assert all(0.0 <= beta <= 1.0 for beta in betas)


@pytest.mark.parametrize("rate", [0.0, 1e6, 1e30])
@pytest.mark.parametrize("target", [1e-6, 1e6, 1e30])
def test_any_error_is_finite(feed, target, rate):
    policy = Control(target=target, max_beta=2.0)
    betas = feed(policy, [rate] * 50 + [target] * 5)
    assert all(0.0 <= beta <= 2.0 for beta in betas)


def test_large_error_goes_to_the_limit_and_no_further(feed):
    betas = feed(Control(target=1e6), [0.0, 0.0, 2e6], beta=1.0)
    assert betas[:2] == [0.0, 0.0]
    assert betas[2] == 100.0


def test_start_is_within_the_limits(make_sizes):
    policy = Control(target=1.0, min_beta=0.5, max_beta=2.0)
    beta = torch.tensor([0.0, 1.0, 7.0], dtype=torch.float64)
    state = policy.init_state(beta, make_sizes(3))
    assert state.beta.tolist() == [0.5, 1.0, 2.0]


def test_limits_in_the_wrong_order(make_sizes):
    policy = Control(target=1.0, min_beta=2.0, max_beta=2.0)
    match = r"min_beta of Control must be below max_beta, got 2\.0 and 2\.0"
    with pytest.raises(ValueError, match=match):
        policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())


def test_ends_at_the_water_level_of_the_linear_model(make_sizes, make_terms):
    """Quasi-static: each step sees the rate of the optimum for its beta."""
    eigenvalues = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25, 0.25], dtype=torch.float64)
    policy = Control(**SETTINGS)
    state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
    for _ in range(4000):
        rate = 0.5 * (eigenvalues / state.beta).log().clamp(min=0.0).sum()
        state = policy.update(state, make_terms([0.0], rate[None]), 1.0)
    assert state.beta.item() == pytest.approx(0.315554, abs=1e-6)
    assert float(rate) == pytest.approx(3.0, abs=1e-6)
