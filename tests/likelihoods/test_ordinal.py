import numpy as np
import pytest
import torch

from skvae.likelihoods import Bernoulli, Ordinal

NO_VARIANCE = torch.empty(1, 0)


def probabilities(location, thresholds):
    """Probability of each level of columns of equally many, from the likelihood."""
    n_features, n_thresholds = thresholds.shape[-2:]
    n_levels = n_thresholds + 1
    X = np.tile(np.arange(float(n_levels))[:, None], n_features)
    likelihood = Ordinal().fit(X)
    parameters = {
        "location": location.expand(1, n_levels, n_features),
        "thresholds": thresholds.view(1, 1, n_features, n_thresholds),
    }
    return likelihood.log_prob(torch.from_numpy(X), parameters, NO_VARIANCE)[0].exp()


def draw(*shape, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def test_probabilities_sum_to_one():
    total = probabilities(draw(1, 1, 1000), draw(1000, 4)).sum(dim=0)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0.0, atol=1e-13)


def test_common_shift_of_location_and_thresholds_changes_nothing():
    location, thresholds = draw(1, 1, 100), draw(100, 4)
    shifted = thresholds.clone()
    # Of the first alone: the others are distances.
    shifted[:, 0] += 5.0
    torch.testing.assert_close(
        probabilities(location + 5.0, shifted),
        probabilities(location, thresholds),
        rtol=1e-11,
        atol=1e-13,
    )


def test_larger_location_means_higher_levels():
    thresholds = draw(50, 4)
    low = probabilities(torch.zeros(1, 1, 50).double(), thresholds).cumsum(dim=0)
    high = probabilities(torch.ones(1, 1, 50).double(), thresholds).cumsum(dim=0)
    assert (high[:-1] < low[:-1]).all()


def test_two_levels_are_bernoulli():
    location, thresholds = draw(1, 1, 30), draw(30, 1)
    x = torch.tensor([[0.0], [1.0]]).double().expand(2, 30)
    logits = (location - thresholds[:, 0]).expand(1, 2, 30)
    torch.testing.assert_close(
        probabilities(location, thresholds).log(),
        Bernoulli().log_prob(x, {"logits": logits}, NO_VARIANCE)[0],
        rtol=1e-11,
        atol=1e-13,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equal_thresholds_are_finite(dtype):
    likelihood = Ordinal().fit(np.array([[0.0], [1.0], [2.0]]))
    thresholds = torch.tensor([0.3, -1e4], dtype=dtype).view(1, 1, 1, 2)
    thresholds.requires_grad_()
    location = torch.zeros((1, 1, 1), dtype=dtype, requires_grad=True)
    parameters = {"location": location, "thresholds": thresholds}
    x = torch.ones((1, 1), dtype=dtype)
    log_prob = likelihood.log_prob(x, parameters, NO_VARIANCE)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(thresholds.grad).all()


def test_start_gives_each_level_its_share():
    random = np.random.RandomState(0)
    X = np.stack(
        [
            random.choice(7, 300, p=[0.01, 0.3, 0.02, 0.2, 0.07, 0.2, 0.2]),
            random.choice([10, 20, 40], 300),
        ],
        1,
    ).astype(float)
    likelihood = Ordinal().fit(X)
    codes = torch.arange(7.0).double()
    thresholds = likelihood.feature_parameters()["thresholds"]
    parameters = {
        "location": torch.from_numpy(likelihood.start(2)).expand(1, 7, 2),
        "thresholds": torch.from_numpy(thresholds)[None, None],
    }
    x = torch.stack([codes, codes.clamp_max(2.0)], 1)
    found = likelihood.log_prob(x, parameters, NO_VARIANCE)[0].exp().numpy()
    _, count = np.unique(X[:, 0], return_counts=True)
    np.testing.assert_allclose(found[:, 0], count / 300, rtol=1e-9)
    _, count = np.unique(X[:, 1], return_counts=True)
    np.testing.assert_allclose(found[:3, 1], count / 300, rtol=1e-9)


def test_reconstruction_and_samples_hold_levels():
    X = np.array([[1.0, 10.0], [2.0, 20.0], [5.0, 10.0]])
    likelihood = Ordinal().fit(X)
    parameters = {
        "location": torch.tensor([[[-9.0, 9.0], [9.0, -9.0]]]).double(),
        "thresholds": torch.from_numpy(likelihood.feature_parameters()["thresholds"])[
            None, None
        ],
    }
    found = likelihood.reconstruction(parameters, NO_VARIANCE)
    np.testing.assert_allclose(found, [[[1.0, 20.0], [5.0, 10.0]]])
    draws = likelihood.sample(parameters, NO_VARIANCE, seed=0).numpy()
    np.testing.assert_allclose(likelihood.to_user(draws), found)


def test_inputs_are_centred_and_scaled():
    X = np.random.RandomState(0).choice([1.0, 2.0, 9.0], (200, 2))
    likelihood = Ordinal().fit(X)
    inputs = likelihood.inputs(torch.from_numpy(likelihood.to_model(X))).numpy()
    np.testing.assert_allclose(inputs.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(inputs.std(axis=0), 1.0, rtol=1e-12)


def test_columns_of_one_level_cost_nothing():
    likelihood = Ordinal().fit(np.full((4, 2), 3.0))
    thresholds = torch.from_numpy(likelihood.feature_parameters()["thresholds"])
    parameters = {
        "location": draw(1, 4, 2),
        "thresholds": thresholds[None, None],
    }
    x = torch.zeros((4, 2), dtype=torch.float64)
    assert (likelihood.log_prob(x, parameters, NO_VARIANCE) == 0.0).all()
    assert (likelihood.sample(parameters, NO_VARIANCE, seed=0) == 0.0).all()
