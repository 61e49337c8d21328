import pytest
import torch

from skvae.divergences import KL, Draws, Posterior


def draws_of(posterior, kl, weight):
    """Neither draws nor noise matter: it is the rate itself."""
    return Draws(posterior, None, None, kl, weight, len(weight))


def test_sums_latents_and_weighs_rows():
    kl = torch.tensor([[[1.0, 2.0], [0.5, 0.0], [4.0, 8.0]]])
    weight = torch.tensor([0.5, 0.25, 0.25])
    assert KL()(draws_of(None, kl, weight)).tolist() == [1.5 + 0.125 + 3.0]


def test_zero_at_the_prior():
    prior = Posterior(torch.zeros(2, 5, 3), torch.zeros(2, 5, 3))
    weight = torch.full((5,), 0.2)
    assert KL()(draws_of(prior, prior.kl(), weight)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("mean", "variance"), [(0.1, 1.0), (0.0, 0.9), (0.0, 1.1), (-3.0, 0.01)]
)
def test_positive_elsewhere(mean, variance):
    shape = (1, 4, 2)
    log_variance = torch.full(shape, variance, dtype=torch.float64).log()
    q = Posterior(torch.full(shape, mean, dtype=torch.float64), log_variance)
    weight = torch.full((4,), 0.25, dtype=torch.float64)
    assert float(KL()(draws_of(q, q.kl(), weight))) > 0.0
