import itertools
import math

import pytest
import torch

from skvae.divergences import ImportanceWeighted, MonteCarloKL, Posterior

WEIGHT = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def likelihood_of(z, x=1.0):
    """Log-likelihood of rows at x, seen through the sum of the latents and noise."""
    normal = torch.distributions.Normal(z.sum(dim=-1), torch.tensor(0.5).double())
    return normal.log_prob(torch.as_tensor(x, dtype=torch.float64))


@pytest.fixture
def make(make_draws, draw):
    """Build draws with the log-likelihood above, and the objective with beta = 1."""

    def make(n_draws, posterior=None, **more):
        if posterior is None:
            posterior = Posterior(*draw(2, 2, 3, 2))
        draws = make_draws(posterior, n_draws=n_draws, weight=WEIGHT, **more)
        return draws._replace(log_likelihood=likelihood_of(draws.z))

    return make


def objective(divergence, draws, beta=1.0):
    return -draws.mean(draws.log_likelihood) + beta * divergence(draws)


def log_weights(draws):
    """From the densities of torch, with every constant."""
    posterior = draws.posterior
    q = torch.distributions.Normal(
        posterior.mean[:, None], (0.5 * posterior.log_variance[:, None]).exp()
    )
    prior = torch.distributions.Normal(torch.zeros(()).double(), 1.0)
    ratio = prior.log_prob(draws.z) - q.log_prob(draws.z)
    return draws.log_likelihood + ratio.sum(dim=-1)


@pytest.mark.parametrize("n_samples", [1, 2, 5])
@pytest.mark.parametrize("n_groups", [1, 3])
def test_with_the_distortion_it_is_the_bound(make, n_samples, n_groups):
    draws = make(n_samples * n_groups)
    groups = log_weights(draws).split(n_samples, dim=1)
    bounds = [group.exp().mean(dim=1).log() @ WEIGHT for group in groups]
    torch.testing.assert_close(
        objective(ImportanceWeighted(n_samples), draws),
        -torch.stack(bounds).mean(dim=0),
        rtol=1e-12,
        atol=1e-12,
    )


def test_one_sample_is_a_draw_of_the_elbo(make):
    draws = make(4)
    torch.testing.assert_close(
        ImportanceWeighted(1)(draws), MonteCarloKL()(draws), rtol=1e-12, atol=1e-12
    )


def test_every_draw_more_tightens_the_bound(make):
    """L_K is above the mean of L_{K-1} over what it leaves out, for any draws."""
    draws = make(6)
    bounds = []
    for n_samples in range(1, 7):
        subsets = [
            -objective(
                ImportanceWeighted(n_samples),
                draws._replace(
                    z=draws.z[:, subset],
                    noise=draws.noise[subset],
                    log_likelihood=draws.log_likelihood[:, subset],
                ),
            )
            for subset in map(list, itertools.combinations(range(6), n_samples))
        ]
        bounds.append(torch.stack(subsets).mean(dim=0))
    assert (torch.stack(bounds).diff(dim=0) > 0.0).all()


def test_bound_is_below_the_log_likelihood_and_comes_close(make, draw):
    # z has two standard normal entries, their sum is seen with a noise of 0.5.
    marginal = torch.distributions.Normal(0.0, math.sqrt(2.25))
    expected = float(marginal.log_prob(torch.tensor(1.0)))
    zeros = torch.zeros(1, 3, 2, dtype=torch.float64)
    posterior = Posterior(zeros, zeros)
    found = [
        -float(objective(ImportanceWeighted(n), make(4000, posterior)))
        for n in (1, 10, 1000)
    ]
    assert found[0] < found[1] < found[2]
    assert found[2] == pytest.approx(expected, abs=0.02)
    assert found[0] < expected - 1.0


@pytest.mark.parametrize("n_samples", [1, 2, 8])
def test_at_an_exact_posterior_every_weight_is_the_likelihood(make_draws, n_samples):
    """z is standard normal, x = 2 z + noise of variance 0.5: no bound is loose."""
    x = torch.tensor([0.3, -1.0, 2.5], dtype=torch.float64)
    variance = 1.0 / (1.0 + 4.0 / 0.5)
    mean = (variance * 2.0 * x / 0.5)[None, :, None]
    posterior = Posterior(mean, torch.full_like(mean, math.log(variance)))
    draws = make_draws(posterior, n_draws=8, weight=WEIGHT)
    deviation = torch.tensor([0.5, 4.5], dtype=torch.float64).sqrt()
    seen = torch.distributions.Normal(2.0 * draws.z[..., 0], deviation[0])
    draws = draws._replace(log_likelihood=seen.log_prob(x))
    expected = torch.distributions.Normal(0.0, deviation[1]).log_prob(x)
    weights = draws.log_likelihood + draws.log_ratio
    torch.testing.assert_close(
        weights, expected.expand_as(weights), rtol=1e-12, atol=1e-12
    )
    value = objective(ImportanceWeighted(n_samples), draws)
    torch.testing.assert_close(value, -(expected @ WEIGHT)[None])


@pytest.mark.parametrize("n_samples", [1, 5])
def test_better_reconstructions_are_a_better_objective(make, n_samples):
    # Code that adds the squared error in place of subtracting it rewards bad ones.
    draws = make(5)
    values = [
        objective(
            ImportanceWeighted(n_samples),
            draws._replace(log_likelihood=draws.log_likelihood - penalty),
        )
        for penalty in (0.0, 1.0)
    ]
    # One nat less of every draw is one nat of the bound.
    torch.testing.assert_close(values[1] - values[0], torch.ones(2).double())
    log_likelihood = draws.log_likelihood.clone().requires_grad_()
    value = objective(
        ImportanceWeighted(n_samples), draws._replace(log_likelihood=log_likelihood)
    )
    value.sum().backward()
    assert (log_likelihood.grad < 1e-14).all()
    # Draws share a row's weight by their importance.
    total = log_likelihood.grad.sum(dim=1)
    torch.testing.assert_close(total, -WEIGHT.expand(2, -1))
    groups = 5 // n_samples
    share = log_weights(draws).unflatten(1, (groups, n_samples)).softmax(dim=2)
    expected = -(share / groups).flatten(1, 2) * WEIGHT
    torch.testing.assert_close(log_likelihood.grad, expected)


def test_no_beta_above_1_has_a_minimum(make):
    """Why the estimator refuses it: one good draw of many pays for all bad ones."""

    def at(scale, beta):
        mean = torch.full((1, 3, 1), 0.8, dtype=torch.float64)
        posterior = Posterior(mean, torch.full_like(mean, 2.0 * math.log(scale)))
        return float(objective(ImportanceWeighted(20), make(20_000, posterior), beta))

    assert at(1000.0, 2.0) < at(100.0, 2.0) < at(10.0, 2.0) < at(1.0, 2.0)
    assert at(1000.0, 2.0) < -1e5
    for beta in (0.5, 1.0):
        assert at(1000.0, beta) > at(100.0, beta) > at(10.0, beta) > at(1.0, beta)
