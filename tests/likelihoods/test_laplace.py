import math

import numpy as np
import pytest
import torch

from skvae.likelihoods import Laplace


def mean_error(x, parameters, weight):
    """Weighted mean error of each column, from weights of rows."""
    dispersion = Laplace().column_dispersion(x.shape[1])
    return dispersion.mean_error(x, parameters, weight[:, None])


@pytest.fixture
def batch():
    """Rows, decoder locations and weights that differ, which sum to 1."""
    generator = torch.Generator().manual_seed(0)
    x, location = torch.randn((2, 1, 7, 4), generator=generator, dtype=torch.float64)
    weight = torch.arange(1, 8, dtype=torch.float64)
    return x[0], {"location": location}, weight / weight.sum()


def test_best_dispersion_is_the_mean_absolute_error(batch):
    x, parameters, weight = batch
    error = mean_error(x, parameters, weight)
    expected = weight @ (x - parameters["location"][0]).abs()
    torch.testing.assert_close(error[0], expected, rtol=1e-13, atol=0.0)
    log_dispersion = error.log().requires_grad_()
    Laplace().distortion_from_error(error, log_dispersion.exp()).sum().backward()
    assert log_dispersion.grad.abs().max() < 1e-14


def test_unit_of_a_column_shifts_the_distortion_by_its_logarithm(batch):
    x, parameters, weight = batch
    error = mean_error(x, parameters, weight)
    unit = torch.tensor([1e-3, 1.0, 7.0, 1e4], dtype=torch.float64)
    dispersion = torch.linspace(0.5, 2.0, 4, dtype=torch.float64)[None]
    torch.testing.assert_close(
        Laplace().distortion_from_error(error * unit, dispersion * unit),
        Laplace().distortion_from_error(error, dispersion) + unit.log().sum(),
        rtol=1e-12,
        atol=0.0,
    )


def test_distortion_of_the_null_model():
    X = np.random.RandomState(0).laplace(size=(31, 2))
    start = torch.from_numpy(Laplace().fit(X).start(2))
    weight = torch.full((31,), 1.0 / 31, dtype=torch.float64)
    parameters = {"location": start.expand(1, 31, 2)}
    error = mean_error(torch.from_numpy(X), parameters, weight)
    distortion = Laplace().distortion_from_error(error, error)
    spread = np.abs(X - np.median(X, axis=0)).mean(axis=0)
    assert float(distortion) == pytest.approx(np.log(2.0 * math.e * spread).sum())


def test_gradient_at_the_kink_is_zero():
    location = torch.zeros((1, 1, 1), requires_grad=True)
    x = torch.zeros(1, 1)
    Laplace().log_prob(x, {"location": location}, torch.ones(1, 1)).sum().backward()
    assert location.grad == 0.0


def test_dispersion_of_a_variance():
    dispersion = Laplace().dispersion_at(np.array([2.0, 8.0]))
    np.testing.assert_allclose(dispersion, [1.0, 2.0])
    location = torch.zeros(1, 1, 2)
    distribution = Laplace().distribution(
        {"location": location}, torch.tensor(dispersion)[None]
    )
    np.testing.assert_allclose(distribution.variance[0, 0], [2.0, 8.0])


def test_who_may_move_the_dispersion():
    assert Laplace().column_dispersion(2).is_free
    assert not Laplace(variance=0.5).column_dispersion(2).is_free
