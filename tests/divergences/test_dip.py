import numpy as np
import pytest
import torch

from skvae.divergences import DIP, KL, FullPosterior, Posterior

WEIGHT = torch.tensor([0.4, 0.1, 0.2, 0.1, 0.2], dtype=torch.float64)

both_kinds = pytest.mark.parametrize("kind", ["I", "II"])


def whitened(draw, n_rows, variance):
    """Means of exact covariance `variance` times the identity, away from zero."""
    centred = draw(n_rows, 2) - draw(n_rows, 2).mean(dim=0)
    basis = torch.linalg.qr(centred)[0] * n_rows**0.5
    return (basis * variance**0.5 + 3.0)[None]


def test_zero_at_identity_covariance(make_draws, draw):
    means = whitened(draw, 12, 1.0)
    draws = make_draws(Posterior(means, draw(1, 12, 2)))
    penalty = DIP("I", 7.0, 3.0)(draws) - KL()(draws)
    torch.testing.assert_close(penalty, torch.zeros(1).double(), rtol=0, atol=1e-12)


def test_zero_where_the_variance_law_holds(make_draws, draw):
    # As at the optimum of a linear model: what the mean lacks, the posterior has.
    means = whitened(draw, 12, 0.7)
    log_variance = torch.full_like(means, 0.3).log()
    draws = make_draws(Posterior(means, log_variance))
    penalty = DIP("II", 7.0, 3.0)(draws) - KL()(draws)
    torch.testing.assert_close(penalty, torch.zeros(1).double(), rtol=0, atol=1e-12)
    assert float(DIP("I", 7.0, 3.0)(draws) - KL()(draws)) == pytest.approx(
        3.0 * 2 * 0.3**2
    )


@both_kinds
@pytest.mark.parametrize("posterior", [Posterior, FullPosterior])
def test_against_numpy(make_draws, draw, kind, posterior):
    parts = [*draw(2, 2, 5, 3), draw(2, 5, 3, seed=4)]
    q = posterior(*parts[: len(posterior._fields)])
    # A batch's weights need not sum to 1.
    draws = make_draws(q, weight=1.3 * WEIGHT)
    value = DIP(kind, 7.0, 3.0)(draws) - KL()(draws)
    for r in range(2):
        # Over rows and divided by their number; variances, not their squares.
        C = np.cov(q.mean[r].numpy().T, aweights=WEIGHT.numpy(), bias=True)
        if kind == "II" and posterior is Posterior:
            C += np.diag(WEIGHT.numpy() @ np.exp(q.log_variance[r].numpy()))
        elif kind == "II":
            factor = q.factor[r].numpy()
            C += np.einsum("b,bij,bkj->ik", WEIGHT.numpy(), factor, factor)
        off = C - np.diag(np.diag(C))
        expected = 7.0 * (off**2).sum() + 3.0 * ((np.diag(C) - 1.0) ** 2).sum()
        assert float(value[r]) == pytest.approx(expected, rel=1e-11)


@both_kinds
def test_where_the_means_lie_does_not_matter(make_draws, draw, kind):
    q = Posterior(*draw(2, 1, 5, 3))
    moved = Posterior(q.mean + 5.0, q.log_variance)
    covariances = [DIP(kind).covariance(make_draws(p)) for p in (q, moved)]
    torch.testing.assert_close(*covariances, rtol=1e-11, atol=1e-11)


def test_a_row_repeated_is_a_row_of_more_weight(make_draws, draw):
    q = Posterior(*draw(2, 1, 5, 3))
    twice = Posterior(*(part.repeat(1, 2, 1) for part in q))
    torch.testing.assert_close(
        DIP().covariance(make_draws(twice)), DIP().covariance(make_draws(q))
    )
