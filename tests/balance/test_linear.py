import pytest

from skvae.balance import Linear


@pytest.mark.parametrize("warmup", [0.25, 0.8, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_values(share, warmup, beta_at):
    beta = beta_at(Linear(warmup=warmup), share * warmup)
    assert beta == pytest.approx([share, 4.0 * share], rel=1e-14)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_values_from_a_start_of_its_own(share, beta_at):
    beta = beta_at(Linear(start=0.1, warmup=0.5), 0.5 * share)
    assert beta == pytest.approx([0.1 + 0.9 * share, 0.1 + 3.9 * share], rel=1e-14)


@pytest.mark.parametrize("start", [0.1, 0.7, 3.0])
def test_ends_exactly_at_the_beta_asked_for(start, beta_at):
    assert beta_at(Linear(start=start, warmup=0.3), 0.3) == [1.0, 4.0]
    assert beta_at(Linear(start=start, warmup=1.0), 1.0) == [1.0, 4.0]
