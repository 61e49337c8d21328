import pytest

from skvae.balance import Cosine


@pytest.mark.parametrize("warmup", [0.25, 0.8, 1.0])
@pytest.mark.parametrize(
    ("share", "factor"),
    [(0.0, 0.0), (0.25, 0.146447), (0.5, 0.5), (0.75, 0.853553), (1.0, 1.0)],
)
def test_values(share, factor, warmup, beta_at):
    beta = beta_at(Cosine(warmup=warmup), share * warmup)
    assert beta == pytest.approx([factor, 4.0 * factor], abs=2e-6)


def test_ends_exactly_at_the_beta_asked_for(beta_at):
    assert beta_at(Cosine(warmup=0.3), 0.3) == [1.0, 4.0]
