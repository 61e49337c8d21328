"""The standard normal prior, against its closed form."""

import numpy as np
import torch
from numpy.testing import assert_array_equal
from scipy.stats import norm

from skvae.divergences import Posterior
from skvae.priors import Normal


def test_rate_is_the_closed_form_of_the_posterior():
    generator = torch.Generator().manual_seed(0)
    posterior = Posterior(*torch.randn(2, 1, 7, 3, generator=generator))
    noise = torch.zeros(1, 1, 3)
    rate = Normal().rate(posterior, posterior.sample(noise[:, None]), noise)
    assert torch.equal(rate, posterior.kl().sum(dim=-1))


def test_density_and_samples(make_latents, standard):
    prior = Normal().learn(make_latents(standard))
    z = np.random.RandomState(1).standard_normal((5, 2))
    expected = norm.logpdf(z).sum(axis=1)
    np.testing.assert_allclose(prior.log_prob(torch.from_numpy(z)), expected)
    # The stream of numbers that samples of a seed have always come from.
    assert_array_equal(prior.sample(5, np.random.RandomState(1)), z)
