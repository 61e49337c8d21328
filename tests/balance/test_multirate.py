import math
import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skvae.balance import Linear, MultiRate, Terms

RANGES = [(0.01, 10.0), (0.1, 0.4), (1e-4, 1e3)]
N_ROWS = 4


def eta_of_steps(policy, sizes, n_rows, n_steps):
    """Etas of some batches, of shape (n_steps, n_rows)."""
    state = policy.init_state(torch.ones(1, dtype=torch.float64), sizes)
    found = []
    for _ in range(n_steps):
        found.append(policy.eta(state, n_rows)[0].numpy())
        state = policy.update(state, None, 0.5)
    return np.array(found)


@pytest.mark.parametrize(("n_rows", "n_steps"), [(256, 20), (7, 500), (1, 4000)])
def test_eta_has_mean_0_and_variance_1(n_rows, n_steps, make_sizes):
    eta = eta_of_steps(MultiRate(), make_sizes(), n_rows, n_steps)
    assert (np.abs(eta) <= math.sqrt(3.0) * (1.0 + 1e-12)).all()
    assert eta.mean() == pytest.approx(0.0, abs=2e-3)
    assert eta.var() == pytest.approx(1.0, abs=2e-3)
    # Every part of the range gets its share.
    counts = np.histogram(eta, bins=10, range=(-math.sqrt(3.0), math.sqrt(3.0)))[0]
    assert_allclose(counts, eta.size / 10, rtol=0.02)


def test_each_row_of_a_batch_has_a_stretch_of_the_range(make_sizes):
    eta = eta_of_steps(MultiRate(), make_sizes(), 10, 50)
    stretch = np.floor((eta / math.sqrt(3.0) + 1.0) * 5.0)
    np.testing.assert_array_equal(stretch, np.arange(10) * np.ones((50, 1)))
    assert len(np.unique(eta.round(12))) == eta.size


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_beta_and_eta_are_each_others_inverse(low, high):
    policy = MultiRate(low, high)
    for beta in np.geomspace(low, high, 7):
        assert policy.beta_of(policy.eta_of(beta)) == pytest.approx(beta, rel=1e-12)
    for eta in np.linspace(-math.sqrt(3.0), math.sqrt(3.0), 7):
        beta = policy.beta_of(torch.tensor(eta)).item()
        assert policy.eta_of(beta) == pytest.approx(eta, abs=1e-12)
    assert policy.eta_of(low) == -math.sqrt(3.0)
    assert policy.eta_of(high) == math.sqrt(3.0)
    middle = math.sqrt(low * high)
    assert policy.eta_of(middle) == pytest.approx(0.0, abs=1e-12)
    # As in the formula of the paper, with half the range of log beta.
    half = 0.5 * math.log(high / low)
    assert policy.beta_of(1.0) == pytest.approx(
        math.exp(half / math.sqrt(3.0) + math.log(middle))
    )


def test_objective_is_a_mean_over_rows_of_their_own_betas(make_sizes):
    policy = MultiRate()
    state = policy.init_state(
        torch.tensor([0.5, 2.0], dtype=torch.float64), make_sizes(2)
    )
    generator = torch.Generator().manual_seed(0)
    kl = torch.rand((2, N_ROWS, 3), generator=generator, dtype=torch.float64)
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    distortion = torch.tensor([7.0, 9.0], dtype=torch.float64)
    terms = Terms(distortion, kl.sum(dim=2) @ weight, kl, weight)
    # Half a step into each of four stretches.
    beta = np.exp(np.log(0.01) + np.log(1000.0) * np.array([1, 3, 5, 7]) / 8)
    rate = kl.sum(dim=2).numpy()
    expected = distortion.numpy() + (weight.numpy() * beta * rate).sum(axis=1)
    assert_allclose(policy.objective(terms, state), expected, rtol=1e-12)
    assert_allclose(policy.price(state, N_ROWS), np.tile(beta, (2, 1)), rtol=1e-12)
    # The beta of the estimator plays no part in it.
    other = state._replace(beta=10.0 * state.beta)
    assert torch.equal(policy.objective(terms, other), policy.objective(terms, state))


def test_objective_of_ones_own_is_no_weighted_sum():
    class Squared(MultiRate):
        def objective(self, terms, state):
            return terms.distortion + terms.rate**2

    assert MultiRate().is_weighted_sum
    assert not Squared().is_weighted_sum


@pytest.mark.parametrize("beta", [0.0, 0.0099, 10.1, 1e6])
def test_beta_outside_of_the_range(beta):
    match = (
        r"balance=MultiRate\(\) trains the betas from 0\.01 to 10, but "
        rf"beta={re.escape(repr(beta))} is outside of that range\. Use a beta in it"
    )
    with pytest.raises(ValueError, match=match):
        MultiRate().eta_of(beta)
    with pytest.raises(ValueError, match=match):
        MultiRate().weight_of(beta, 5, 2)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0)])
def test_range_that_is_none(low, high):
    match = rf"needs low below high.*low={low!r}, high={high!r}"
    with pytest.raises(ValueError, match=match):
        MultiRate(low, high).eta_of(1.0)


def test_wrapper_hands_on_what_rows_are_told(make_sizes):
    policy = Linear(policy=MultiRate())
    state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
    for name in ("eta", "price"):
        found = getattr(policy, name)(state, N_ROWS)
        expected = getattr(policy.inner, name)(state.inner, N_ROWS)
        assert torch.equal(found, expected)
