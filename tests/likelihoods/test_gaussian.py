import math

import numpy as np
import pytest
import torch

from skvae.likelihoods import Gaussian

N_ROWS, N_FEATURES = 7, 4


def mean_error(x, parameters, weight):
    """Weighted mean error of each column, from weights of rows."""
    dispersion = Gaussian().column_dispersion(x.shape[1])
    return dispersion.mean_error(x, parameters, weight[:, None])


@pytest.fixture
def batch():
    """Rows, decoder means and weights that differ, which sum to 1."""
    generator = torch.Generator().manual_seed(0)
    x, mean = torch.randn(
        (2, 1, N_ROWS, N_FEATURES), generator=generator, dtype=torch.float64
    )
    weight = torch.arange(1, N_ROWS + 1, dtype=torch.float64)
    return x[0], {"mean": mean}, weight / weight.sum()


@pytest.mark.parametrize("variance", [0.04, 1.0, 25.0])
def test_gradient_to_the_log_of_a_shared_variance(variance, batch):
    x, parameters, weight = batch
    error = mean_error(x, parameters, weight)
    log_variance = torch.tensor([[math.log(variance)]], dtype=torch.float64)
    log_variance.requires_grad_()
    Gaussian().distortion_from_error(error, log_variance.exp()).sum().backward()
    sse = float((x - parameters["mean"]).square().sum(dim=-1)[0] @ weight)
    expected = 0.5 * (N_FEATURES - sse / variance)
    assert float(log_variance.grad) == pytest.approx(expected, rel=1e-12)


def test_error_is_the_maximum_likelihood_variance(batch):
    x, parameters, weight = batch
    error = mean_error(x, parameters, weight)
    expected = ((x - parameters["mean"][0]) ** 2 * weight[:, None]).sum(dim=0)
    torch.testing.assert_close(error[0], expected, rtol=1e-13, atol=0.0)
    log_variance = error.log().requires_grad_()
    Gaussian().distortion_from_error(error, log_variance.exp()).sum().backward()
    assert log_variance.grad.abs().max() < 1e-14


def test_gradient_to_the_mean(batch):
    x, parameters, weight = batch
    mean = parameters["mean"].requires_grad_()
    variance = torch.linspace(0.5, 2.0, N_FEATURES, dtype=torch.float64)[None]
    error = mean_error(x, parameters, weight)
    Gaussian().distortion_from_error(error, variance).sum().backward()
    expected = weight[:, None] * (mean - x) / variance
    torch.testing.assert_close(mean.grad, expected.detach(), rtol=1e-12, atol=0.0)


def test_unit_of_a_column_shifts_the_distortion_by_its_logarithm(batch):
    x, parameters, weight = batch
    unit = torch.tensor([1e-3, 1.0, 7.0, 1e4], dtype=torch.float64)
    error = mean_error(x, parameters, weight)
    scaled = mean_error(x * unit, {"mean": parameters["mean"] * unit}, weight)
    variance = torch.linspace(0.5, 2.0, N_FEATURES, dtype=torch.float64)[None]
    torch.testing.assert_close(
        Gaussian().distortion_from_error(scaled, variance * unit**2),
        Gaussian().distortion_from_error(error, variance) + unit.log().sum(),
        rtol=1e-12,
        atol=0.0,
    )


def test_distortion_of_the_null_model(batch):
    # No latent used: half of the sum of log(2 pi e var_d).
    x, _, weight = batch
    mean = weight @ x
    variance = weight @ (x - mean).square()
    error = mean_error(x, {"mean": mean.expand(1, N_ROWS, -1)}, weight)
    distortion = Gaussian().distortion_from_error(error, variance[None])
    expected = 0.5 * (2.0 * math.pi * math.e * variance).log().sum()
    assert float(distortion) == pytest.approx(float(expected), rel=1e-12)


def test_who_may_move_the_variance():
    assert Gaussian().column_dispersion(2).is_free
    assert not Gaussian(variance=0.5).column_dispersion(2).is_free
    assert not Gaussian(variance=[0.5, 1.0]).column_dispersion(2).is_free


def test_start_is_the_mean_in_the_units_of_the_table():
    X = np.random.RandomState(0).standard_normal((20, 3)) * 5.0 + 7.0
    gaussian = Gaussian().fit(X)
    np.testing.assert_allclose(gaussian.start(3), X.mean(axis=0), rtol=1e-13)
    start = gaussian.start(3, X.mean(axis=0), X.std(axis=0))
    np.testing.assert_allclose(start, 0.0, atol=1e-13)


def test_dispersion_is_the_variance():
    variance = np.array([0.5, 2.0])
    assert Gaussian().dispersion_at(variance) is variance
