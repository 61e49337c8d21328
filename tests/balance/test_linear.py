import itertools

import pytest
import torch

from skvae.balance import Linear


@pytest.fixture
def beta_at(make_sizes, make_terms):
    """Beta of two replicas, asked to end at 1 and 4, at a share of the steps."""

    def beta_at(policy, progress):
        beta = torch.tensor([1.0, 4.0], dtype=torch.float64)
        state = policy.init_state(beta, make_sizes(2))
        if progress > 0.0:
            state = policy.update(state, make_terms([1.0] * 2, [1.0] * 2), progress)
        return state.beta.tolist()

    return beta_at


@pytest.mark.parametrize("warmup", [0.25, 0.8, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_values(share, warmup, beta_at):
    beta = beta_at(Linear(warmup=warmup), share * warmup)
    assert beta == pytest.approx([share, 4.0 * share], rel=1e-14)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_values_from_a_start_of_its_own(share, beta_at):
    beta = beta_at(Linear(start=0.1, warmup=0.5), 0.5 * share)
    assert beta == pytest.approx([0.1 + 0.9 * share, 0.1 + 3.9 * share], rel=1e-14)


def test_rises_and_then_is_constant(beta_at):
    policy = Linear(warmup=0.3)
    shares = [step / 100 for step in range(101)]
    betas = [beta_at(policy, share)[0] for share in shares]
    rising = [beta for beta, share in zip(betas, shares, strict=True) if share <= 0.3]
    assert all(a < b for a, b in itertools.pairwise(rising))
    held = betas[len(rising) :]
    assert held == [1.0] * 70
    assert policy.settled_at == 0.3


def test_ends_exactly_at_the_beta_asked_for(beta_at):
    assert beta_at(Linear(start=0.1, warmup=1.0), 1.0) == [1.0, 4.0]
