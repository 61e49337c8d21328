import pytest
import torch

from skvae.balance import Control, Dynamic

GAINS = {"target": 3.0, "proportional": 0.01, "integral": 5e-3}


@pytest.fixture
def feed(make_sizes, make_terms):
    """Feed rates to a policy; return its states, one a batch."""

    def feed(policy, rates, beta=1.0):
        state = policy.init_state(
            torch.tensor([beta], dtype=torch.float64), make_sizes()
        )
        states = []
        for rate in rates:
            state = policy.update(state, make_terms([0.0], [rate]), 1.0)
            states.append(state)
        return states

    return feed


def betas_of(states):
    return [float(state.beta[0]) for state in states]


def test_without_limits_it_is_the_controller(feed):
    generator = torch.Generator().manual_seed(0)
    rates = 6.0 * torch.rand(40, generator=generator, dtype=torch.float64)
    increments = betas_of(feed(Dynamic(**GAINS, window=1), rates, beta=50.0))
    positional = betas_of(feed(Control(**GAINS), rates, beta=50.0))
    assert increments == pytest.approx(positional, rel=1e-13)
    assert len(set(increments)) == 40


def test_rate_is_the_mean_of_the_last_batches(feed):
    rates = [1.0, 2.0, 6.0, 3.0, 5.0, 4.0, 9.0]
    states = feed(Dynamic(**GAINS | {"proportional": 0.0}, window=3), rates)
    means = [1.0, 1.5, 3.0, 11.0 / 3.0, 14.0 / 3.0, 4.0, 6.0]
    expected, beta = [], 1.0
    for mean in means:
        beta -= 5e-3 * (3.0 - mean)
        expected.append(beta)
    assert betas_of(states) == pytest.approx(expected)
    assert states[-1].window.tolist() == [[5.0, 4.0, 9.0]]


def test_default_is_five_batches(feed):
    states = feed(Dynamic(**GAINS), [1.0] * 4 + [6.0] * 2)
    assert states[-1].window.tolist() == [[1.0, 1.0, 1.0, 6.0, 6.0]]


def test_at_the_target_it_rests(feed):
    betas = betas_of(feed(Dynamic(**GAINS), [3.0] * 10))
    assert betas == pytest.approx([1.005] * 10)


def test_integral_is_frozen_at_the_floor(feed):
    policy = Dynamic(**GAINS, min_beta=0.1, window=1)
    states = feed(policy, [0.0] * 2000 + [3.5])
    assert betas_of(states)[1999] == pytest.approx(0.1, rel=1e-14)
    # It leaves the floor with the first error of the other sign.
    share = torch.tensor([0.5, -3.0], dtype=torch.float64).sigmoid()
    expected = 0.1 + 0.01 * float(share[0] - share[1]) + 5e-3 * 0.5
    assert betas_of(states)[2000] == pytest.approx(expected)


def test_at_the_floor_an_increment_of_the_proportional_term_alone_counts(feed):
    policy = Dynamic(**GAINS, min_beta=0.1, window=1)
    betas = betas_of(feed(policy, [0.0] * 2000 + [1.0]))
    share = torch.tensor([-2.0, -3.0], dtype=torch.float64).sigmoid()
    # The error is still positive: its integral would be ten times as much.
    assert betas[2000] == pytest.approx(0.1 + 0.01 * float(share[0] - share[1]))


def test_start_is_above_the_floor(make_sizes):
    beta = torch.tensor([0.0, 50.0], dtype=torch.float64)
    state = Dynamic(target=1.0, min_beta=0.1).init_state(beta, make_sizes(2))
    assert state.beta.tolist() == [0.1, 50.0]


@pytest.mark.parametrize("rate", [0.0, 1e6])
def test_any_error_is_finite(feed, rate):
    betas = torch.tensor(betas_of(feed(Dynamic(target=1e3), [rate] * 50)))
    assert torch.isfinite(betas).all()
    assert (betas >= 1e-3).all()


def test_ends_at_the_water_level_of_the_linear_model(make_sizes, make_terms):
    """Quasi-static: each step sees the rate of the optimum for its beta."""
    eigenvalues = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25, 0.25], dtype=torch.float64)
    policy = Dynamic(**GAINS)
    state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
    for _ in range(4000):
        rate = 0.5 * (eigenvalues / state.beta).log().clamp(min=0.0).sum()
        state = policy.update(state, make_terms([0.0], rate[None]), 1.0)
    assert state.beta.item() == pytest.approx(0.315554, abs=1e-6)
