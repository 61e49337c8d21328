import itertools
import math

import pytest
import torch

from skvae.divergences import KL, FullPosterior, Posterior, TotalCorrelation
from skvae.ground._tensors import standard_normal_log_prob

SAMPLINGS = ["stratified", "weighted"]
every_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


def uneven(n_rows):
    weight = torch.arange(1.0, n_rows + 1.0, dtype=torch.float64)
    return weight / weight.sum()


@every_sampling
@pytest.mark.parametrize("n_rows", [6, 40])
@pytest.mark.parametrize("kind", [Posterior, FullPosterior])
def test_parts_sum_to_the_log_ratio(make_draws, draw, sampling, n_rows, kind):
    parts = [*draw(2, 2, 6, 3), draw(2, 6, 3, seed=4)]
    posterior = kind(*parts[: len(kind._fields)])
    draws = make_draws(posterior, n_draws=3, weight=1.2 * uneven(6), n_rows=n_rows)
    split = TotalCorrelation(sampling=sampling).split(draws)
    assert all(part.shape == (2, 3, 6) for part in split)
    torch.testing.assert_close(sum(split), -draws.log_ratio, rtol=1e-11, atol=1e-11)


@every_sampling
def test_equal_weights_are_the_kl(make_draws, draw, sampling):
    draws = make_draws(Posterior(*draw(2, 2, 6, 3)), n_rows=40)
    divergence = TotalCorrelation(1.0, 1.0, 1.0, sampling)
    assert torch.equal(divergence(draws), KL()(draws))


def test_only_what_is_beyond_1_is_estimated(make_draws, draw):
    draws = make_draws(Posterior(*draw(2, 2, 6, 3)), n_draws=2, weight=uneven(6))
    parts = [draws.mean(part) for part in TotalCorrelation().split(draws)]
    expected = KL()(draws) - 0.5 * parts[0] + 3.0 * parts[1] + 1.0 * parts[2]
    value = TotalCorrelation(0.5, 4.0, 2.0)(draws)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize(("n_batch", "n_rows"), [(2, 10), (5, 6), (7, 1000)])
def test_stratified_shares(make_draws, draw, n_batch, n_rows):
    draws = make_draws(Posterior(*draw(2, 1, n_batch, 2)), n_rows=n_rows)
    shares = TotalCorrelation().mixture_weights(draws)
    ones = torch.ones(n_batch, dtype=torch.float64)
    torch.testing.assert_close(shares.sum(dim=1), ones, rtol=1e-13, atol=0.0)
    # The copies of this elsewhere put the row's own share into the first column.
    torch.testing.assert_close(shares.diagonal(), ones / n_rows)
    others = (n_rows - 1) / (n_rows * (n_batch - 1))
    off = shares[~torch.eye(n_batch, dtype=bool)]
    torch.testing.assert_close(off, torch.full_like(off, others))


def test_stratified_shares_are_the_published_ones_over_all_neighbours(make_draws, draw):
    # Chen et al. give one neighbour of each row a share other than the rest.
    n_batch, n_rows = 5, 20
    n_others = n_batch - 1
    published = []
    for shift in range(1, n_batch):
        shares = torch.full((n_batch, n_batch), 1.0 / n_others, dtype=torch.float64)
        for i in range(n_batch):
            shares[i, i] = 1.0 / n_rows
            neighbour = (i + shift) % n_batch
            shares[i, neighbour] = (n_rows - n_others) / (n_rows * n_others)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(n_batch).double())
        published.append(shares)
    draws = make_draws(Posterior(*draw(2, 1, n_batch, 2)), n_rows=n_rows)
    torch.testing.assert_close(
        TotalCorrelation().mixture_weights(draws), torch.stack(published).mean(dim=0)
    )


def test_stratified_estimate_of_the_aggregate_has_no_bias(make_draws, draw):
    """Mean over all batches that a row can be in, of q(z) at a draw of the row."""
    n_rows, n_batch = 6, 3
    posterior = Posterior(*draw(2, 1, n_rows, 2))
    whole = make_draws(posterior)
    density, _ = posterior.log_prob_of_each(whole.z)
    exact = density.exp()[0, 0].mean(dim=-1)
    for i in range(n_rows):
        others = [j for j in range(n_rows) if j != i]
        found = []
        for batch in itertools.combinations(others, n_batch - 1):
            rows = torch.tensor([i, *batch])
            draws = make_draws(
                Posterior(*(part[:, rows] for part in posterior)),
                noise=whole.noise[:, rows],
                n_rows=n_rows,
            )
            shares = TotalCorrelation().mixture_weights(draws)
            joint, _ = draws.posterior.log_prob_of_each(draws.z)
            found.append((joint.exp()[0, 0] * shares).sum(dim=-1)[0])
        torch.testing.assert_close(torch.stack(found).mean(), exact[i])


@every_sampling
def test_whole_table_is_the_exact_mixture(make_draws, draw, sampling):
    weight = uneven(5)
    posterior = Posterior(*draw(2, 2, 5, 2))
    draws = make_draws(posterior, n_draws=2, weight=weight)
    normal = torch.distributions.Normal(
        posterior.mean[:, None, None],
        (0.5 * posterior.log_variance).exp()[:, None, None],
    )
    density = normal.log_prob(draws.z[:, :, :, None]).exp()
    joint = density.prod(dim=-1) @ weight
    marginal = torch.einsum("rdijk,j->rdik", density, weight)
    mutual, total, dimension = TotalCorrelation(sampling=sampling).split(draws)
    own = posterior.log_prob(draws.noise)
    torch.testing.assert_close(mutual, own - joint.log())
    torch.testing.assert_close(total, joint.log() - marginal.log().sum(dim=-1))
    expected = marginal.log().sum(dim=-1) - standard_normal_log_prob(draws.z)
    torch.testing.assert_close(dimension, expected)


def test_shares_of_weighted_rows(make_draws, draw):
    # Four of nine rows; the weights are those of the table times n / B.
    share = uneven(9)
    draws = make_draws(
        Posterior(*draw(2, 1, 4, 2)), weight=share[:4] * 9.0 / 4.0, n_rows=9
    )
    shares = TotalCorrelation().mixture_weights(draws)
    torch.testing.assert_close(shares.diagonal(), share[:4])
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4).double())
    torch.testing.assert_close(shares[0, 2] / shares[0, 1], share[2] / share[1])


def test_weighted_sampling_is_low_by_the_logarithm_of_the_rows(make_draws, draw):
    draws = make_draws(Posterior(*draw(2, 1, 5, 2)), n_rows=50)
    shares = TotalCorrelation(sampling="weighted").mixture_weights(draws)
    torch.testing.assert_close(shares, torch.full((5, 5), 1.0 / 250.0).double())


def test_mutual_information_of_rows_that_are_the_same_or_apart(make_draws, draw):
    n_rows = 7
    same = Posterior(*(part.expand(1, n_rows, 2) for part in draw(2, 1, 1, 2)))
    mutual, total, _ = TotalCorrelation().split(make_draws(same))
    torch.testing.assert_close(mutual, torch.zeros_like(mutual), atol=1e-12, rtol=0)
    # One diagonal posterior for all has independent latents.
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-12, rtol=0)
    mean = 1e3 * torch.arange(n_rows, dtype=torch.float64)[None, :, None]
    apart = Posterior(mean.expand(1, n_rows, 2), torch.zeros(1, n_rows, 2).double())
    mutual, total, _ = TotalCorrelation().split(make_draws(apart))
    torch.testing.assert_close(mutual, torch.full_like(mutual, math.log(n_rows)))
    # Each latent tells the rows apart, and so each tells what the other does.
    torch.testing.assert_close(total, torch.full_like(total, math.log(n_rows)))


def test_total_correlation_of_correlated_latents(make_draws, draw):
    """A normal posterior for all rows, whose total correlation is a formula."""
    n_rows, ratio = 4, 1.5
    zeros = torch.zeros(1, n_rows, 2, dtype=torch.float64)
    below = torch.full((1, n_rows, 1), ratio, dtype=torch.float64)
    draws = make_draws(FullPosterior(zeros, zeros, below), n_draws=4000)
    mutual, total, _ = TotalCorrelation().split(draws)
    torch.testing.assert_close(mutual, torch.zeros_like(mutual), atol=1e-12, rtol=0)
    expected = 0.5 * math.log(1.0 + ratio**2)
    error = float(total.std()) / math.sqrt(total.numel())
    assert float(total.mean()) == pytest.approx(expected, abs=5.0 * error)
