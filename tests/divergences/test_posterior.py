import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy import stats
from torch.distributions import MultivariateNormal, kl_divergence

from skvae.divergences import POSTERIORS, FullPosterior, Posterior

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


def full(draw, n_components=3):
    """Full posteriors of two replicas and five rows, all different."""
    mean, log_variance = draw(2, 2, 5, n_components)
    n_below = n_components * (n_components - 1) // 2
    return FullPosterior(mean, log_variance, draw(2, 5, n_below, seed=1))


def as_torch(q):
    return MultivariateNormal(q.mean, scale_tril=q.factor)


def test_factor_is_filled_line_after_line():
    mean = torch.zeros(1, 1, 3, dtype=torch.float64)
    log_variance = torch.tensor([[[1.0, 4.0, 9.0]]], dtype=torch.float64).log()
    below = torch.tensor([[[0.5, -1.0, 2.0]]], dtype=torch.float64)
    factor = FullPosterior(mean, log_variance, below).factor
    expected = [[1.0, 0.0, 0.0], [1.0, 2.0, 0.0], [-3.0, 6.0, 3.0]]
    torch.testing.assert_close(factor[0, 0].tolist(), expected)


@pytest.mark.parametrize("n_components", [1, 2, 3, 7])
def test_full_kl_is_that_of_torch(draw, n_components):
    q = full(draw, n_components)
    identity = torch.eye(n_components, dtype=torch.float64)
    prior = MultivariateNormal(torch.zeros_like(q.mean), identity)
    expected = kl_divergence(as_torch(q), prior)
    torch.testing.assert_close(q.kl().sum(dim=-1), expected, rtol=0.0, atol=1e-10)
    variance = (q.factor @ q.factor.mT).diagonal(dim1=-2, dim2=-1)
    cells = 0.5 * (variance + q.mean**2 - 1.0 - q.log_variance)
    torch.testing.assert_close(q.kl(), cells, rtol=0.0, atol=1e-12)
    assert (q.kl().sum(dim=-1) > 0.0).all()


def test_full_kl_is_zero_at_the_prior():
    zeros = torch.zeros(1, 1, 3)
    assert FullPosterior(zeros, zeros, zeros).kl().tolist() == [[[0.0] * 3]]


def test_draws_of_the_full_posterior_and_their_density(draw):
    q = full(draw)
    noise = draw(4, 5, 3, seed=2)
    z = q.sample(noise[:, None])
    assert z.shape == (4, 2, 5, 3)
    expected = q.mean + torch.einsum("rbij,dbj->drbi", q.factor, noise)
    torch.testing.assert_close(z, expected, rtol=1e-12, atol=1e-12)
    density = as_torch(q).log_prob(z).transpose(0, 1)
    torch.testing.assert_close(q.log_prob(noise), density, rtol=1e-11, atol=1e-11)


def test_draws_of_the_diagonal_posterior_and_their_density(draw):
    q = Posterior(*draw(2, 2, 5, 3))
    noise = draw(4, 5, 3, seed=2)
    normal = torch.distributions.Normal(q.mean, (0.5 * q.log_variance).exp())
    density = normal.log_prob(q.sample(noise[:, None])).sum(dim=-1).transpose(0, 1)
    torch.testing.assert_close(q.log_prob(noise), density, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", POSTERIORS)
def test_density_of_each_draw_under_each_posterior(draw, kind):
    q = full(draw)
    if kind == "diagonal":
        q = Posterior(q.mean, q.log_variance)
        covariance = q.log_variance.exp().diag_embed()
    else:
        covariance = q.factor @ q.factor.mT
    z = draw(2, 4, 5, 3, seed=2)
    joint, marginal = q.log_prob_of_each(z)
    for j in range(5):
        of_row = MultivariateNormal(
            q.mean[:, None, None, j], covariance[:, None, None, j]
        )
        torch.testing.assert_close(
            joint[..., j], of_row.log_prob(z), rtol=1e-11, atol=1e-11
        )
        scale = covariance[:, None, None, j].diagonal(dim1=-2, dim2=-1).sqrt()
        alone = torch.distributions.Normal(q.mean[:, None, None, j], scale)
        torch.testing.assert_close(
            marginal[..., j, :], alone.log_prob(z), rtol=1e-11, atol=1e-11
        )
    weight = torch.arange(1.0, 6.0, dtype=torch.float64) / 15.0
    expected = torch.einsum("b,rbij->rij", weight, covariance)
    torch.testing.assert_close(
        q.mean_covariance(weight), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(("kind", "width"), [("diagonal", 6), ("full", 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_posterior_of_an_encoder_that_ran_away_is_finite(draw, kind, width, dtype):
    output = (1e6 * draw(1, 4, width)).to(dtype)
    q = POSTERIORS[kind].from_output(output, 3)
    z = q.sample(draw(2, 1, 4, 3).to(dtype))
    for part in (q.kl(), z, q.log_prob(draw(2, 4, 3).to(dtype))):
        assert torch.isfinite(part).all()


@pytest.mark.parametrize(("kind", "width"), [("diagonal", 2), ("full", 2)])
def test_posterior_of_a_single_latent(draw, kind, width):
    output = draw(1, 4, width)
    # A number of latents may come from numpy.
    q = POSTERIORS[kind].from_output(output, np.int64(1))
    assert torch.equal(q.mean, output[..., :1])
    assert torch.equal(q.log_variance, output[..., 1:])
    assert torch.equal(q.kl(), Posterior(q.mean, q.log_variance).kl())
