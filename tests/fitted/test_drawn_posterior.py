"""Mixtures of posteriors over draws of each row."""

import pytest
import torch
from scipy.special import logsumexp

from skvae.divergences._posterior import FullPosterior, Posterior
from skvae.fitted._drawn_posterior import DrawnPosterior

N_DRAWS, N_ROWS, N_LATENTS = 5, 3, 2


def posteriors(kind):
    generator = torch.Generator().manual_seed(0)

    def normal(width):
        shape = 1, N_DRAWS * N_ROWS, width
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    fields = [normal(N_LATENTS), normal(N_LATENTS)]
    if kind is FullPosterior:
        fields.append(normal(N_LATENTS * (N_LATENTS - 1) // 2))
    noise = normal(N_LATENTS)
    each = kind(*fields)
    return each, each.sample(noise[:, None]).transpose(0, 1)


@pytest.mark.parametrize("kind", [Posterior, FullPosterior])
def test_density_is_that_of_the_mixture(kind):
    each, z = posteriors(kind)
    found = DrawnPosterior.of(each, z, N_DRAWS)
    assert found.z.shape == (1, N_DRAWS, N_ROWS, N_LATENTS)
    density = found.log_prob(torch.zeros(()))
    assert density.shape == (1, N_DRAWS, N_ROWS)
    for n in range(N_ROWS):
        for k in range(N_DRAWS):
            nats = []
            for j in range(N_DRAWS):
                mean = each.mean[0, j * N_ROWS + n]
                if kind is FullPosterior:
                    factor = each.factor[0, j * N_ROWS + n]
                else:
                    factor = (0.5 * each.log_variance[0, j * N_ROWS + n]).exp().diag()
                normal = torch.distributions.MultivariateNormal(mean, scale_tril=factor)
                nats.append(float(normal.log_prob(found.z[0, k, n])))
            expected = logsumexp(nats) - torch.tensor(float(N_DRAWS)).log().item()
            assert float(density[0, k, n]) == pytest.approx(expected, abs=1e-6)


def test_equal_draws_are_one_posterior():
    mean = torch.zeros((1, N_ROWS, N_LATENTS), dtype=torch.float64)
    one = Posterior(mean + 1.5, mean - 2.0)
    each = Posterior(*(field.repeat(1, 2, 1) for field in one))
    noise = torch.ones((2, N_ROWS, N_LATENTS), dtype=torch.float64)
    noise[1] = -1.0
    z = each.sample(noise.flatten(0, 1))[:, None]
    found = DrawnPosterior.of(each, z, 2)
    torch.testing.assert_close(found.mean, one.mean)
    torch.testing.assert_close(found.log_density, one.log_prob(noise))
    # Two draws of opposite noise of unit size have the divergence exactly.
    torch.testing.assert_close(found.kl()[..., 0], one.kl().sum(dim=-1))
