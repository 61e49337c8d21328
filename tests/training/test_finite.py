import pytest
import torch

from skvae.balance._base import BalanceState
from skvae.training._finite import LastFinite
from skvae.training._replicas import Reached


def reached(values, elbo=(0.0, 0.0), epoch=1, variance=1.0):
    values = torch.tensor(values)[:, None]
    ones = torch.ones(len(values))
    return Reached(
        values=values,
        balance=BalanceState(ones, variance * values),
        beta=ones,
        variance=values,
        elbo=torch.tensor(elbo),
        n_epochs=torch.full((len(values),), epoch),
        is_finite=ones > 0.0,
    )


def test_the_latest_results_are_kept_and_copied():
    last, now = LastFinite(), reached([1.0, 2.0])
    last.update(now)
    now.values.zero_()
    assert last.reached.values[:, 0].tolist() == [1.0, 2.0]
    last.update(reached([3.0, 4.0], epoch=2))
    assert last.reached.values[:, 0].tolist() == [3.0, 4.0]
    assert last.reached.is_finite.tolist() == [True, True]


@pytest.mark.parametrize(
    "broken",
    [
        {"values": [3.0, torch.nan]},
        {"values": [3.0, torch.inf]},
        {"values": [3.0, 4.0], "elbo": (0.0, -torch.inf)},
        {"values": [3.0, 4.0], "elbo": (0.0, torch.nan)},
    ],
)
def test_a_replica_that_diverges_stays_where_it_was_for_good(broken):
    last = LastFinite()
    last.update(reached([1.0, 2.0]))
    last.update(reached(**broken, epoch=2))
    last.update(reached([5.0, 6.0], epoch=3))
    assert last.reached.values[:, 0].tolist() == [5.0, 2.0]
    assert last.reached.n_epochs.tolist() == [3, 1]
    assert last.reached.is_finite.tolist() == [True, False]
    last.select(torch.tensor([False, True]))
    assert last.reached.values[:, 0].tolist() == [2.0]


def test_a_policy_that_is_not_a_number_has_diverged():
    last = LastFinite()
    last.update(reached([1.0, 2.0]))
    last.update(reached([3.0, 4.0], epoch=2, variance=torch.nan))
    assert last.reached.is_finite.tolist() == [False, False]
    # Infinite is the start of some, such as a smallest value so far.
    last = LastFinite()
    last.update(reached([1.0, 2.0], variance=torch.inf))
    assert last.reached.is_finite.tolist() == [True, True]


def test_there_is_nothing_before_the_first_epoch():
    with pytest.raises(ValueError, match="before the first epoch"):
        _ = LastFinite().reached
