import pytest
import torch

from skvae import BalancedVAE
from skvae.divergences import KL, ImportanceWeighted
from skvae.fit._plan import whole
from skvae.training._plan import noise_of


def noise(made, n_rows=5):
    return noise_of(made, n_rows, 3, torch.Generator().manual_seed(0))


def test_draws_come_in_opposite_pairs(make_plan):
    drawn = noise(make_plan(n_draws=4))
    assert drawn.shape == (4, 5, 3)
    assert torch.equal(drawn[2:], -drawn[:2])


@pytest.mark.parametrize("n_draws", [2, 5])
def test_draws_are_independent_where_the_plan_says_so(make_plan, n_draws):
    drawn = noise(make_plan(n_draws=n_draws, is_paired=False))
    assert drawn.shape == (n_draws, 5, 3)
    assert len(drawn.abs().unique()) == n_draws * 5 * 3


@pytest.mark.parametrize("is_paired", [True, False])
def test_single_draw(make_plan, is_paired):
    drawn = noise(make_plan(n_draws=1, is_paired=is_paired))
    assert torch.equal(drawn, noise(make_plan(n_draws=1)))
    assert drawn.shape == (1, 5, 3)


@pytest.mark.parametrize(
    ("divergence", "n_rows", "n_draws", "is_paired"),
    [
        (KL(), 40, 8, True),
        (KL(), 100, 4, True),
        (KL(), 5000, 1, True),
        # A whole number of groups, and not fewer draws than for the elbo.
        (ImportanceWeighted(5), 40, 10, False),
        (ImportanceWeighted(5), 200, 5, False),
        (ImportanceWeighted(5), 5000, 5, False),
        (ImportanceWeighted(20), 40, 20, False),
        (ImportanceWeighted(1), 40, 8, True),
    ],
)
def test_draws_suit_the_divergence(divergence, n_rows, n_draws, is_paired):
    made = whole(BalancedVAE(), n_rows, divergence)
    assert made.n_draws == n_draws
    assert made.is_paired == is_paired
