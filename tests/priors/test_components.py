"""Components of a mixture, against scipy and scikit-learn."""

import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from skvae.priors._components import Components

MIXTURE = Components(
    np.array([0.3, 0.7]),
    np.array([[0.0, 1.0, 2.0], [-1.0, 0.5, 0.0]]),
    np.array([np.diag([1.0, 0.1, 2.0]), 0.2 * np.eye(3) + 0.1]),
)


def test_density_is_that_of_the_mixture():
    z = np.random.RandomState(0).standard_normal((9, 3))
    nats = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(z)
        for weight, mean, covariance in zip(*MIXTURE, strict=True)
    ]
    found = MIXTURE.log_prob(torch.from_numpy(z))
    assert_allclose(found, logsumexp(nats, axis=0), rtol=1e-12)


def test_samples_have_the_moments_of_the_mixture():
    n = 100_000
    z = MIXTURE.sample(n, np.random.RandomState(0))
    mean = MIXTURE.weights @ MIXTURE.means
    off = MIXTURE.means - mean
    covariance = np.einsum("k,kij->ij", MIXTURE.weights, MIXTURE.covariances)
    covariance += np.einsum("k,ki,kj->ij", MIXTURE.weights, off, off)
    assert_allclose(z.mean(axis=0), mean, atol=0.03)
    assert_allclose(np.cov(z.T), covariance, atol=0.05)


@pytest.mark.parametrize("n_components", [1, 3])
def test_fitted_density_is_the_score_of_scikit_learn(
    n_components, make_latents, clusters
):
    z = make_latents(clusters).draw(1000)
    found = Components.fitted(z, n_components, 1e-4)
    scale = z.std(axis=0)
    other = GaussianMixture(n_components, reg_covar=1e-4, random_state=0)
    x = (z - z.mean(axis=0)) / scale
    expected = other.fit(x).score_samples(x) - np.log(scale).sum()
    assert_allclose(found.log_prob(torch.from_numpy(z)), expected, rtol=1e-9)
    # The criterion in nats per row.
    bic = expected.mean() - found.bic_penalty(len(z))
    other_bic = other.bic(x) / len(z) + 2.0 * np.log(scale).sum()
    assert bic == pytest.approx(-0.5 * other_bic, rel=1e-9)


def test_fit_does_not_depend_on_the_units(make_latents, clusters):
    z = make_latents(clusters).draw(1000)
    found, other = (Components.fitted(unit * z, 3, 1e-4) for unit in (1.0, 2.0**20))
    assert_allclose(other.means, 2.0**20 * found.means, rtol=1e-9)
    assert_allclose(other.covariances, 2.0**40 * found.covariances, rtol=1e-9)


def test_latents_without_width_get_the_floor():
    z = np.zeros((100, 2))
    z[:, 0] = np.random.RandomState(0).standard_normal(100)
    found = Components.fitted(z, 1, 1e-4)
    assert_allclose(found.covariances[0, 1], [0.0, 1e-4], atol=1e-12)


def test_component_of_no_weight_has_no_part_in_the_density():
    # The last is where all normals are small, but the standard normal the least.
    z = torch.tensor([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 300.0, 0.0]])
    z = z.double()
    standard = Components.standard(3)
    found = MIXTURE.beside(standard, 0.0).log_prob(z)
    torch.testing.assert_close(found, MIXTURE.log_prob(z))
    found = MIXTURE.beside(standard, 1.0).log_prob(z)
    torch.testing.assert_close(found, standard.log_prob(z))


def test_samples_need_no_factor_each():
    n_latents, n_samples = 30, 20_000
    random = np.random.RandomState(0)
    tracemalloc.start()
    Components.standard(n_latents).sample(n_samples, random)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * 8 * n_samples * n_latents
