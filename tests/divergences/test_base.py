import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy import stats

from skvae.divergences import Posterior

MEANS = [0.0, 0.3, -2.0, 6.0]
VARIANCES = [1.0, 0.5, 1e-4, 3.0]


def posterior(mean, variance, dtype=torch.float64):
    mean = torch.tensor(mean, dtype=dtype).view(1, -1, 1)
    return Posterior(mean, torch.tensor(variance, dtype=dtype).view(1, -1, 1).log())


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_kl_against_quadrature(mean, variance):
    # log q - log p is a polynomial of degree two: three nodes are exact.
    nodes, weights = hermegauss(3)
    z = mean + np.sqrt(variance) * nodes
    log_ratio = stats.norm(mean, np.sqrt(variance)).logpdf(z) - stats.norm.logpdf(z)
    expected = weights @ log_ratio / weights.sum()
    kl = posterior([mean], [variance]).kl()
    assert float(kl) == pytest.approx(expected, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_kl_and_sample_against_monte_carlo(mean, variance):
    n_draws = 20_000
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((n_draws, 1, 1, 1), generator=generator, dtype=torch.float64)
    q = posterior([mean], [variance])
    z = q.sample(noise).flatten().numpy()
    log_ratio = stats.norm(mean, np.sqrt(variance)).logpdf(z) - stats.norm.logpdf(z)
    error = 5.0 * log_ratio.std() / np.sqrt(n_draws)
    assert float(q.kl()) == pytest.approx(log_ratio.mean(), abs=error + 1e-15)


def test_kl_is_zero_at_the_prior_with_zero_gradient():
    q = posterior([0.0], [1.0])
    for part in q:
        part.requires_grad_()
    kl = q.kl()
    assert kl.tolist() == [[[0.0]]]
    kl.sum().backward()
    assert [float(part.grad) for part in q] == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_kl_near_the_prior_does_not_cancel(dtype):
    # A collapsed latent has a rate of 1e-10 nats or so; it must not be negative.
    size = torch.logspace(-6, 0, 400, dtype=torch.float64)
    log_variance = torch.cat([-size, size])[None, :, None].to(dtype)
    kl = Posterior(torch.zeros_like(log_variance), log_variance).kl().double()
    exact = log_variance.double()
    # By its series, where the closed form cancels in float64 too.
    series = 0.25 * exact**2 * (1 + exact / 3 + exact**2 / 12 + exact**3 / 60)
    exact = torch.where(exact.abs() < 1e-3, series, 0.5 * (exact.expm1() - exact))
    # One rounding of each of two numbers of the size of the log-variance.
    bound = 2.0 * torch.finfo(dtype).eps * log_variance.double().abs()
    assert bool(((kl - exact).abs() <= bound).all())
    assert bool((kl >= -bound).all())


def test_samples_are_those_of_the_posterior():
    q = posterior([1.0, -2.0], [0.25, 4.0])
    noise = torch.tensor([[[1.0], [1.0]], [[-2.0], [0.5]]]).double()
    assert q.sample(noise[:, None]).flatten().tolist() == [1.5, 0.0, 0.0, -1.0]
