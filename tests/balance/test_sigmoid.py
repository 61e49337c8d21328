import math

import pytest

from skvae.balance import Sigmoid


@pytest.mark.parametrize("warmup", [0.25, 0.8, 1.0])
@pytest.mark.parametrize(
    ("share", "factor"),
    [
        (0.0, 0.006692850924284856),
        (0.25, 0.07585818002124355),
        (0.5, 0.5),
        (0.75, 0.9241418199787566),
        (1.0 - 1e-12, 0.9933071490757153),
        (1.0, 1.0),
    ],
)
def test_values(share, factor, warmup, beta_at):
    beta = beta_at(Sigmoid(warmup=warmup), share * warmup)
    assert beta == pytest.approx([factor, 4.0 * factor], rel=1e-9)


def test_formula(beta_at):
    # t and T in steps, as it is published.
    n_planned, T = 1000, 400
    for t in range(T):
        expected = 1.0 / (1.0 + math.exp(-(t - T / 2) / (T / 10)))
        beta = beta_at(Sigmoid(warmup=T / n_planned), t / n_planned)
        assert beta == pytest.approx([expected, 4.0 * expected], rel=1e-12)


def test_last_jump_is_small_for_every_beta(beta_at):
    # A curve that rises to 1 whatever beta is would jump from 0.99 to 4.
    before, after = (beta_at(Sigmoid(warmup=0.5), share)[1] for share in (0.4999, 0.5))
    assert after == 4.0
    assert before == pytest.approx(0.9933 * 4.0, rel=1e-4)
