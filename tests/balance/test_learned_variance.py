import math

import pytest
import torch

from skvae.balance import LearnedVariance
from skvae.likelihoods import Gaussian

N_FEATURES = 5


@pytest.fixture
def move(make_sizes):
    """State at a log-variance of one replica."""

    def move(policy, log_variance, floor=0.0):
        state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
        return policy.move_variance(
            state,
            torch.full((1, N_FEATURES), torch.nan, dtype=torch.float64),
            {"log_variance": log_variance},
            torch.full((N_FEATURES,), floor, dtype=torch.float64),
        )

    return move


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_starts_at_the_variance_of_the_data(scope, make_sizes, move):
    policy = LearnedVariance(scope)
    sizes = make_sizes()
    start = policy.init_parameters(sizes)["log_variance"]
    variance = sizes.data_variance
    expected = variance if scope == "feature" else variance.mean()[None]
    torch.testing.assert_close(move(policy, start).variance[0], expected)


@pytest.mark.parametrize("variance", [0.01, 1.0, 30.0])
def test_gradient_of_the_shared_variance(variance, move):
    # dL / dlog sigma = D - SSE / sigma^2, half of it for log sigma^2.
    error = torch.linspace(0.1, 2.0, N_FEATURES, dtype=torch.float64)[None]
    log_variance = torch.tensor([[math.log(variance)]], dtype=torch.float64)
    log_variance.requires_grad_()
    state = move(LearnedVariance(), log_variance)
    Gaussian().distortion_from_error(error, state.variance).sum().backward()
    expected = 0.5 * (N_FEATURES - float(error.sum()) / variance)
    assert float(log_variance.grad) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scope", ["shared", "feature"])
@pytest.mark.parametrize("floor", [1e-9, 0.08])
def test_stationary_at_the_mean_squared_error(scope, floor, move):
    # The floor shifts nothing, not even an error that is just above it: what is
    # trained is the rest of the variance.
    error = torch.linspace(0.1, 2.0, N_FEATURES, dtype=torch.float64)[None]
    policy = LearnedVariance(scope)
    best = error if scope == "feature" else error.mean(dim=1, keepdim=True)
    log_variance = (best - floor).log().requires_grad_()
    state = move(policy, log_variance, floor)
    torch.testing.assert_close(state.variance, best, rtol=1e-14, atol=0.0)
    Gaussian().distortion_from_error(error, state.variance).sum().backward()
    assert log_variance.grad.abs().max() < 1e-13


def test_comes_back_from_below_the_floor(move):
    # A clamped variance would have no gradient here.
    log_variance = torch.tensor([[-10.0]], dtype=torch.float64, requires_grad=True)
    state = move(LearnedVariance(), log_variance, floor=1e-3)
    error = torch.ones(1, N_FEATURES, dtype=torch.float64)
    Gaussian().distortion_from_error(error, state.variance).sum().backward()
    assert float(log_variance.grad) < -1.0


def test_gradient_of_a_step(tiny_model):
    objective, gradient, state = tiny_model.step(LearnedVariance("feature"), beta=1.0)
    error = tiny_model.module.error(tiny_model.sample(tiny_model.values))
    expected = 0.5 * (1.0 - error / state.variance)
    torch.testing.assert_close(
        gradient["log_variance"], expected, rtol=1e-12, atol=1e-12
    )
    assert torch.isfinite(objective)
