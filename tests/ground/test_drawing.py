"""Draws of torch's distributions and start values from a private generator."""

import pytest
import torch
from torch import distributions, nn

from skvae.ground._drawing import PrivateDraws

A = torch.linspace(0.1, 0.9, 200, dtype=torch.float64)
MATRIX = torch.eye(2, dtype=torch.float64)

# One for each operation that torch's distributions draw with.
DISTRIBUTIONS = {
    "normal": distributions.Normal(A, A),
    "uniform_": distributions.Laplace(A, A),
    "bernoulli": distributions.Bernoulli(A),
    "_standard_gamma": distributions.StudentT(A, A, A),
    "_sample_dirichlet": distributions.Beta(A, A),
    "poisson": distributions.Poisson(A),
    "exponential_": distributions.Exponential(A),
    "cauchy_": distributions.Cauchy(A, A),
    "binomial": distributions.Binomial(5, A),
    "multinomial": distributions.Categorical(A),
    "rand": distributions.Gumbel(A, A),
    "of others": distributions.MixtureSameFamily(
        distributions.Categorical(A), distributions.NegativeBinomial(5, A)
    ),
    "many at once": distributions.LowRankMultivariateNormal(A, A[:, None], A),
    "of matrices": distributions.LKJCholesky(3, 0.5),
}
# Each draws in a function of torch.nn.init of its own.
INITIALISERS = {
    name: lambda name=name: getattr(nn.init, name)(torch.empty(20, 20))
    for name in (
        *("kaiming_normal_", "kaiming_uniform_", "normal_", "orthogonal_"),
        *("trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_"),
    )
}
OPERATIONS = {
    "rand_like": lambda: torch.rand_like(A),
    "rand_like by name": lambda: torch.rand_like(input=A, dtype=torch.float32),
    "randn_like": lambda: torch.randn_like(A),
    "randint": lambda: torch.randint(9, (20,)),
    "randperm": lambda: torch.randperm(20),
    "normal_": lambda: torch.empty(20).normal_(),
    "bernoulli_": lambda: torch.empty(20).bernoulli_(),
    "geometric_": lambda: torch.empty(20).geometric_(0.3),
    "log_normal_": lambda: torch.empty(20).log_normal_(),
    "random_": lambda: torch.empty(20).random_(),
    "sparse_": lambda: nn.init.sparse_(torch.empty(20, 20), 0.1),
    "linear": lambda: nn.Linear(9, 9).weight.detach(),
    "convolution": lambda: nn.Conv2d(3, 3, 3).bias.detach(),
    "embedding": lambda: nn.Embedding(9, 9).weight.detach(),
    "attention": lambda: nn.MultiheadAttention(4, 2).in_proj_weight.detach(),
    "recurrent": lambda: nn.GRU(3, 3).weight_hh_l0.detach(),
    **INITIALISERS,
    **{name: each.sample for name, each in DISTRIBUTIONS.items()},
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_draws_are_those_of_the_global_generator_with_the_seed(name):
    draw = OPERATIONS[name]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        expected = draw()
        second = draw()
    before = torch.get_rng_state()
    with PrivateDraws(3):
        found = draw()
        # The generator goes on within the context.
        next_one = draw()
        others = [draw() for _ in range(9)]
    assert torch.equal(torch.get_rng_state(), before)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)
    assert torch.equal(next_one, second)
    # One draw of a whole number may well equal another, but not ten.
    assert not all(torch.equal(each, found) for each in others)


def test_generator_that_is_given_is_the_one_that_is_used():
    given = torch.Generator().manual_seed(1)
    with PrivateDraws(0):
        found = torch.rand(3, generator=given)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found, expected)


def test_context_ends_with_an_error_in_it():
    def fails():
        with PrivateDraws(0):
            raise RuntimeError("now")

    with pytest.raises(RuntimeError, match="now"):
        fails()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        found = torch.rand(3)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found, expected)
