import math

import pytest
import torch

from skvae.balance import OptimalVariance


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_is_the_mean_squared_error_of_the_batch(scope, feed):
    errors = torch.tensor([[0.5, 1.0, 1.5, 2.0, 2.5], [4.0, 0.1, 0.2, 0.3, 0.4]])
    states = feed(OptimalVariance(scope), errors.double())
    for state, error in zip(states, errors.double(), strict=True):
        expected = error if scope == "feature" else error.mean()[None]
        torch.testing.assert_close(state.variance[0], expected, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize(
    ("error", "expected"), [(0.0, 0.2), (0.1999, 0.2), (0.2001, 0.2001), (0.3, 0.3)]
)
def test_clamp_is_hard(error, expected, feed):
    # A soft clamp shifts values near the floor by up to log 2.
    for scope in ("shared", "feature"):
        (state,) = feed(OptimalVariance(scope), [error], floor=0.2)
        assert state.variance[0].tolist() == pytest.approx(
            [expected] * len(state.variance[0]), rel=1e-14
        )


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_gradient_is_that_of_the_profile_objective(scope, tiny_model, gradient):
    # Envelope theorem: the variance held fixed at its optimum makes no difference.
    objective, detached, _ = tiny_model.step(OptimalVariance(scope), beta=1.7)

    weights = tiny_model.weights()
    sample = tiny_model.sample(weights)
    error = tiny_model.module.error(sample)
    n_features = error.shape[1]
    if scope == "shared":
        error = error.mean(dim=1, keepdim=True).expand(-1, n_features)
    rate = sample.posterior.kl().sum(dim=-1) @ tiny_model.weight
    profile = 0.5 * ((2.0 * math.pi * error).log() + 1.0).sum(dim=1) + 1.7 * rate
    torch.testing.assert_close(objective, profile, rtol=1e-12, atol=0.0)
    through = gradient(profile, weights)
    for name, value in through.items():
        torch.testing.assert_close(
            detached[name], value, rtol=1e-12, atol=1e-12, msg=name
        )


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_perfectly_reconstructed_row_is_finite(scope, tiny_model):
    tiny_model.x = tiny_model.x[:1]
    tiny_model.weight = tiny_model.weight[:1] * len(tiny_model.weight)
    tiny_model.noise = tiny_model.noise[:, :1]
    # The decoder's bias alone gives the row.
    tiny_model.values["decoder.1.weight"].zero_()
    tiny_model.values["decoder.linear"].zero_()
    tiny_model.values["decoder.1.bias"] = tiny_model.x.clone()
    objective, gradient, state = tiny_model.step(OptimalVariance(scope), 1.0, floor=0.3)
    assert state.variance == pytest.approx(0.3)
    assert torch.isfinite(objective)
    for name, value in gradient.items():
        assert torch.isfinite(value).all(), name
