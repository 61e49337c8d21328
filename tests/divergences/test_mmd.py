import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import ncx2

from skvae.divergences import KL, MMD, Draws, Posterior
from skvae.divergences._mmd import kernel, means_over_prior

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def of_square(square, n_components):
    """Kernel at a squared distance."""
    widths = [2.0 * n_components * scale for scale in SCALES]
    return sum(width / (width + square) for width in widths)


def draws_at(z, weight=None):
    """Draws at given latents, of shape (n_replicas, n_draws, n_rows, n_components)."""
    n_rows = z.shape[2]
    if weight is None:
        weight = torch.full((n_rows,), 1.0 / n_rows, dtype=z.dtype)
    return Draws(None, z, None, z[:, 0].square(), weight, n_rows)


def test_kernel_of_every_pair(draw):
    z = draw(6, 3)
    found = kernel(z)
    assert found.shape == (6, 6)
    for i in range(6):
        for j in range(6):
            expected = of_square(float((z[i] - z[j]).square().sum()), 3)
            assert float(found[i, j]) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(found, found.T)


@pytest.mark.parametrize("n_components", [1, 2, 10, 50])
@pytest.mark.parametrize("distance", [0.0, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_means_over_the_prior_against_quadrature(n_components, distance, dtype):
    def mean(square):
        """Mean over a normal vector of variance 1, or of 2 for two of them."""
        width = math.sqrt(n_components)
        law = ncx2(n_components, square) if square else None

        def integrand(u):
            if law is None:
                from scipy.stats import chi2

                return of_square(u, n_components) * chi2.pdf(u, n_components)
            return of_square(u, n_components) * law.pdf(u)

        top = (math.sqrt(square) + width + 12.0) ** 2
        points = [n_components + square]
        return quad(integrand, 0.0, top, points=points, limit=500, epsabs=1e-11)[0]

    z = torch.zeros((1, n_components), dtype=dtype)
    z[0, 0] = distance
    across, prior = means_over_prior(z)
    # For one latent the density at zero is infinite, which quad takes ill.
    atol = 1e-5 if n_components == 1 else 2e-6
    assert float(across) == pytest.approx(mean(distance**2), abs=atol)
    if distance == 0.0:
        from scipy.stats import chi2

        expected = quad(
            lambda u: of_square(2.0 * u, n_components) * chi2.pdf(u, n_components),
            0.0,
            (math.sqrt(n_components) + 12.0) ** 2,
            points=[n_components],
            limit=500,
            epsabs=1e-11,
        )[0]
        assert float(prior) == pytest.approx(expected, abs=atol)


def test_is_the_statistic_of_two_samples_without_their_noise(draw):
    # The textbook's statistic, symmetric in its two samples, with many prior draws.
    z, priors = 0.5 * draw(8, 3) + 1.0, draw(6, 500, 3, seed=1)

    def two_samples(a, b):
        cross = of_square(torch.cdist(a, b).square(), 3).mean()
        within = [
            (kernel(c).sum() - kernel(c).diagonal().sum()) / (len(c) * (len(c) - 1))
            for c in (a, b)
        ]
        return float(sum(within) - 2.0 * cross)

    prior = priors[0]
    assert two_samples(z, prior) == pytest.approx(two_samples(prior, z), rel=1e-12)
    found = float(MMD().discrepancy(draws_at(z[None, None])))
    expected = np.mean([two_samples(z, prior) for prior in priors])
    assert found == pytest.approx(expected, abs=0.03)
    assert found > 0.3


@pytest.mark.parametrize("n_components", [1, 4])
def test_mean_is_zero_where_rows_are_from_the_prior(draw, n_components):
    z = draw(4000, 1, 10, n_components)
    weight = torch.arange(1.0, 11.0, dtype=torch.float64) / 55.0
    values = MMD().discrepancy(draws_at(z, weight))
    error = float(values.std()) / math.sqrt(len(values))
    assert float(values.mean()) == pytest.approx(0.0, abs=4.0 * error)
    # Without a bias it has to be negative at times.
    assert 0.2 < float((values < 0.0).double().mean()) < 0.8
    # The test has the power to see a shift of a fifth of a standard deviation.
    assert float(MMD().discrepancy(draws_at(z + 0.2, weight)).mean()) > 4.0 * error


def test_weights_against_loops(draw):
    z = draw(1, 2, 4, 2)
    weight = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    total = 0.0
    across, prior = means_over_prior(z)
    for d in range(2):
        within, pairs = 0.0, 0.0
        for i in range(4):
            for j in range(4):
                if i != j:
                    square = float((z[0, d, i] - z[0, d, j]).square().sum())
                    within += float(weight[i] * weight[j]) * of_square(square, 2)
                    pairs += float(weight[i] * weight[j])
        total += within / pairs - 2.0 * float(across[0, d] @ weight) + float(prior)
    # What the weights of a batch sum to does not matter.
    found = MMD().discrepancy(draws_at(z, 1.7 * weight))
    assert float(found) == pytest.approx(total / 2.0, rel=1e-12)


def test_row_of_weight_zero_is_not_there(draw):
    z = draw(1, 1, 4, 2)
    weight = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
    torch.testing.assert_close(
        MMD().discrepancy(draws_at(z, weight)),
        MMD().discrepancy(draws_at(z[:, :, :3], weight[:3])),
        rtol=1e-12,
        atol=0.0,
    )


def test_turning_and_mirroring_the_latents_does_not_matter(draw):
    z = draw(1, 2, 9, 3) + 0.5
    rotation = torch.linalg.qr(draw(3, 3, seed=2))[0]
    expected = MMD().discrepancy(draws_at(z))
    for other in (z @ rotation, -z, z.flip(2)):
        torch.testing.assert_close(
            MMD().discrepancy(draws_at(other)), expected, rtol=1e-11, atol=0.0
        )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("lambda_", [1.0, 25.0])
def test_weights_are_those_of_the_paper(make_draws, draw, alpha, lambda_):
    draws = make_draws(Posterior(*draw(2, 2, 6, 3)), n_draws=2)
    expected = (1.0 - alpha) * KL()(draws)
    expected += (alpha + lambda_ - 1.0) * MMD().discrepancy(draws)
    torch.testing.assert_close(MMD(alpha, lambda_)(draws), expected)
    if (alpha, lambda_) == (0.0, 1.0):
        assert torch.equal(MMD(alpha, lambda_)(draws), KL()(draws))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_latents_far_away_and_in_one_point(dtype):
    for z in (1e6 * torch.ones((1, 1, 3, 2), dtype=dtype), torch.zeros((1, 1, 3, 2))):
        z = z.to(dtype).requires_grad_()
        value = MMD().discrepancy(draws_at(z))
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert torch.isfinite(z.grad).all()
        assert 0.0 < float(value.detach()) <= 2.0 * len(SCALES)


def test_larger_shift_is_a_larger_discrepancy(draw):
    z = draw(1, 1, 400, 2)
    values = [
        float(MMD().discrepancy(draws_at(z + shift))) for shift in (0.0, 0.5, 1.0, 2.0)
    ]
    assert (np.diff(values) > 0.0).all()
