import pytest
import torch

from skvae.balance import BalancePolicy, Terms
from skvae.balance._base import pool


def test_terms_weigh_rows():
    kl = torch.tensor([[[1.0, 0.5], [3.0, 0.0]], [[0.0, 2.0], [4.0, 8.0]]])
    weight = torch.tensor([0.75, 0.25])
    terms = Terms(torch.zeros(2), torch.zeros(2), kl, weight)
    expected = torch.tensor([[1.5, 0.375], [1.0, 3.5]])
    torch.testing.assert_close(terms.latent_rate, expected)
    torch.testing.assert_close(terms.rate, torch.tensor([1.875, 4.5]))


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("shared", [[2.0], [5.0]]), ("feature", [[1.0, 3.0], [4.0, 6.0]])],
)
def test_pool(scope, expected):
    values = torch.tensor([[1.0, 3.0], [4.0, 6.0]])
    assert torch.equal(pool(values, scope), torch.tensor(expected))


def test_base_keeps_a_variance_for_each_feature_that_the_user_fixed(make_sizes):
    sizes = make_sizes(2)
    variance = torch.linspace(1.0, 2.0, sizes.n_features, dtype=torch.float64)
    state = BalancePolicy().init_state(
        torch.ones(2, dtype=torch.float64), sizes._replace(variance=variance)
    )
    assert torch.equal(state.variance, variance.repeat(2, 1))
