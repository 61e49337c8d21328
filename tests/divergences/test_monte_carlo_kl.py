import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from skvae.divergences import KL, FullPosterior, MonteCarloKL, Posterior


@pytest.mark.parametrize("kind", [Posterior, FullPosterior])
def test_expectation_is_the_closed_form(make_draws, draw, kind):
    n_draws = 20_000
    parts = [*(0.5 * draw(2, 1, 3, 2)), draw(1, 3, 1, seed=3)]
    posterior = kind(*parts[: len(kind._fields)])
    weight = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    draws = make_draws(posterior, n_draws=n_draws, weight=weight)
    single = -draws.log_ratio[0] @ weight
    error = float(single.std()) / math.sqrt(n_draws)
    value, expected = float(MonteCarloKL()(draws)), float(KL()(draws))
    assert value == pytest.approx(expected, abs=5.0 * error)
    assert value == pytest.approx(float(single.mean()), rel=1e-12)
    assert value != expected


def test_is_the_log_ratio_of_the_densities(make_draws, draw):
    posterior = Posterior(*draw(2, 2, 3, 2))
    draws = make_draws(posterior, n_draws=4)
    normal = torch.distributions.Normal(
        posterior.mean[:, None], (0.5 * posterior.log_variance[:, None]).exp()
    )
    prior = torch.distributions.Normal(torch.zeros(()).double(), 1.0)
    ratio = (normal.log_prob(draws.z) - prior.log_prob(draws.z)).sum(dim=-1)
    torch.testing.assert_close(
        MonteCarloKL()(draws), ratio.mean(dim=(1, 2)), rtol=1e-12, atol=1e-12
    )


def test_what_the_docstring_says_of_the_estimator_that_is_not_offered(make_draws):
    ones = torch.ones(1, 1, 1, dtype=torch.float64)
    posterior = Posterior(0.5 * ones, (0.36 * ones).log())
    draws = make_draws(posterior, n_draws=100_000)
    assert float(draws.log_ratio.std()) == pytest.approx(0.54, abs=0.01)
    # E_q[r^2] is the integral of p^2 / q: without end for variances below a half.
    prior, q = stats.norm(), stats.norm(0.5, 0.6)
    squares = [
        quad(lambda z: prior.pdf(z) ** 2 / q.pdf(z), -top, top)[0]
        for top in (5.0, 10.0, 20.0)
    ]
    assert squares[2] > 1e10 * squares[1] > 1e15 * squares[0]
