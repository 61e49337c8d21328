"""Activity, variance law and information of posteriors that are known exactly."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import norm

from skvae.divergences import FullPosterior, Posterior
from skvae.metrics._diagnostics import (
    activity,
    aggregate_variance,
    mutual_information,
)

N_ROWS, N_LATENTS = 50, 3


def posterior(mean, variance):
    """Diagonal posterior of one replica."""
    mean = torch.as_tensor(np.asarray(mean, dtype=float))[None]
    variance = torch.as_tensor(np.asarray(variance, dtype=float))
    return Posterior(mean, variance.log().expand_as(mean))


def full(mean, factor):
    """Posterior of covariance `factor @ factor.T` for all rows."""
    mean = torch.as_tensor(mean)[None]
    scale = np.diag(factor)
    below = (factor / scale[:, None])[np.tril_indices(len(factor), -1)]
    log_variance = torch.as_tensor(2.0 * np.log(scale))
    shape = (*mean.shape[:2], len(below))
    return FullPosterior(
        mean, log_variance.expand_as(mean), torch.as_tensor(below).expand(shape)
    )


@pytest.fixture
def random():
    return np.random.RandomState(0)


@pytest.fixture
def weight(random):
    weight = random.uniform(0.5, 2.0, N_ROWS)
    return weight / weight.sum()


EQUAL = np.full(N_ROWS, 1.0 / N_ROWS)


def test_activity_is_a_weighted_variance(random, weight):
    mean = random.standard_normal((N_ROWS, N_LATENTS))
    expected = np.diag(np.cov(mean.T, aweights=weight, bias=True))
    assert_allclose(activity(mean, weight), expected)
    assert_allclose(activity(mean + 1e3, weight), expected, rtol=1e-9)
    # The square of what rounding leaves.
    assert_allclose(activity(np.full_like(mean, 3.0), weight), 0.0, atol=1e-26)


def test_variance_law_of_the_prior_is_one(weight):
    prior = posterior(np.zeros((N_ROWS, N_LATENTS)), 1.0)
    assert_allclose(aggregate_variance(prior, weight), 1.0, rtol=1e-14)


def test_variance_law_of_an_autoencoder_is_that_of_its_codes(random, weight):
    mean = 2.0 * random.standard_normal((N_ROWS, N_LATENTS))
    found = aggregate_variance(posterior(mean, 1e-300), weight)
    assert_allclose(found, activity(mean, weight), rtol=1e-12)


def test_variance_law_takes_variances_and_not_deviations():
    mean = np.zeros((4, 1))
    variance = np.array([0.01, 0.04, 0.25, 1.0])[:, None]
    found = aggregate_variance(posterior(mean, variance), np.full(4, 0.25))
    assert found == pytest.approx([variance.mean()])


def test_variance_of_a_latent_counts_its_covariances():
    factor = np.array([[0.5, 0.0], [0.8, 0.3]])
    found = aggregate_variance(full(np.zeros((N_ROWS, 2)), factor), EQUAL)
    assert_allclose(found, np.diag(factor @ factor.T))


@pytest.mark.parametrize("variance", [1.0, 0.1])
def test_equal_posteriors_tell_no_rows(variance, weight):
    same = posterior(np.full((N_ROWS, N_LATENTS), 0.7), variance)
    found = mutual_information(same, weight)
    assert found.joint == pytest.approx(0.0, abs=1e-12)
    assert_allclose(found.latent, 0.0, atol=1e-12)


def test_disjoint_posteriors_tell_all_rows(weight):
    mean = 10.0 * np.arange(N_ROWS)[:, None] * np.ones(N_LATENTS)
    apart = posterior(mean, 1e-4)
    found = mutual_information(apart, EQUAL)
    assert found.joint == pytest.approx(math.log(N_ROWS), abs=1e-12)
    assert_allclose(found.latent, math.log(N_ROWS), atol=1e-12)
    entropy = -(weight @ np.log(weight))
    assert mutual_information(apart, weight).joint == pytest.approx(entropy, abs=1e-12)


def test_one_latent_tells_what_the_others_do_not():
    """Rows on a grid: each latent tells the line or the column, both tell the row."""
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(10.0)), axis=-1)
    found = mutual_information(posterior(10.0 * grid.reshape(-1, 2), 1e-4), EQUAL)
    assert_allclose(found.latent, [math.log(5), math.log(10)], atol=1e-12)
    assert found.joint == pytest.approx(math.log(50), abs=1e-12)


def test_information_of_two_rows_by_quadrature():
    """A mixture of two normal distributions that overlap, with unequal weights."""
    mean, scale, share = np.array([-0.6, 0.9]), np.array([0.5, 0.8]), [0.3, 0.7]
    z = np.linspace(-10.0, 10.0, 20_001)
    each = norm.pdf(z[:, None], mean, scale)
    log_ratio = np.log(each / (each @ share)[:, None])
    expected = (each * log_ratio).sum(axis=0) @ share * (z[1] - z[0])
    # The same two many times over, for many draws.
    two = posterior(np.tile(mean, 1000)[:, None], np.tile(scale**2, 1000)[:, None])
    found = mutual_information(two, np.tile(share, 1000) / 1000.0)
    # Three standard errors of 4000 draws of less than a nat's spread.
    assert found.joint == pytest.approx(expected, abs=0.03)
    assert found.latent[0] == pytest.approx(found.joint, abs=1e-12)


def test_information_of_a_linear_gaussian_model_is_its_rate(random):
    """There the aggregate posterior is the prior."""
    share = np.array([0.1, 0.4])
    mean = np.sqrt(1.0 - share) * random.standard_normal((2000, 2))
    found = mutual_information(posterior(mean, share), np.full(2000, 1.0 / 2000))
    assert_allclose(found.latent, -0.5 * np.log(share), atol=0.05)
    assert found.joint == pytest.approx(-0.5 * np.log(share).sum(), abs=0.1)


def test_full_posterior_without_covariances_is_a_diagonal_one(random, weight):
    mean = random.standard_normal((N_ROWS, 2))
    diagonal = mutual_information(posterior(mean, np.array([0.3, 0.5])), weight)
    found = mutual_information(full(mean, np.diag(np.sqrt([0.3, 0.5]))), weight)
    assert found.joint == pytest.approx(diagonal.joint, abs=1e-12)
    assert_allclose(found.latent, diagonal.latent, atol=1e-12)


def test_information_does_not_depend_on_a_rotation_of_the_latents(random):
    mean = random.standard_normal((500, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    covariance = turn @ np.diag([0.3, 0.05]) @ turn.T
    share = np.full(500, 1.0 / 500)
    one = mutual_information(posterior(mean, np.array([0.3, 0.05])), share)
    other = mutual_information(
        full(mean @ turn.T, np.linalg.cholesky(covariance)), share
    )
    # Not the same draws.
    assert other.joint == pytest.approx(one.joint, abs=0.06)


def test_chunks_of_draws_change_nothing(random, weight, monkeypatch):
    several = posterior(random.standard_normal((N_ROWS, N_LATENTS)), 0.2)
    whole = mutual_information(several, weight)
    monkeypatch.setattr("skvae.metrics._diagnostics._MAX_CELLS", 1)
    found = mutual_information(several, weight)
    assert found.joint == pytest.approx(whole.joint, abs=1e-12)
    assert_allclose(found.latent, whole.latent, atol=1e-12)
    assert mutual_information(several, weight, seed=1).joint != found.joint
