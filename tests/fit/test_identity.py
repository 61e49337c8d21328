import numpy as np
import pytest

from skvae import BalancedVAE
from skvae.fit._identity import Trait, differences, identity_of
from skvae.fit._table import CheckedTable
from skvae.model._settings import Settings

X = np.random.RandomState(0).normal(size=(20, 3))


def identity(rows=X, weight=None, **params):
    vae = BalancedVAE(**params)
    return identity_of(vae, CheckedTable.of(vae, rows, weight), None)


def test_every_setting_is_one_that_a_fit_follows_from():
    names = set(BalancedVAE().get_params(deep=False))
    assert set(Settings.__annotations__) == names - {"warm_start"}
    assert names - set(identity()) == {"verbose", "warm_start"}


def test_equal_calls_are_equal():
    assert identity() == identity()
    assert differences(identity(), identity()) == []
    # Of two generators the one that drew the seed counts.
    one, other = (identity(random_state=np.random.RandomState(i)) for i in range(2))
    assert one == other
    # A name of a device that is found to be the same.
    assert identity(device="cpu:0") == identity(device="cpu")


def test_signs_of_zeros_and_places_of_gaps():
    rows = X.copy()
    rows[3] = 0.0
    assert identity(rows) == identity(np.where(rows == 0.0, -0.0, rows))
    rows[4, 1] = np.nan
    other = rows.copy()
    other[4, [0, 1]] = np.nan, rows[4, 0]
    found = differences(identity(rows), identity(other))
    assert "X or sample_weight had other contents" in found
    assert identity(rows) == identity(rows[::-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_beyond_the_first_block_count(dtype, monkeypatch):
    monkeypatch.setattr("skvae.fit._identity._ROWS_AT_ONCE", 7)
    rows = X.astype(dtype)
    other = rows.copy()
    # The last one in order.
    other[rows[:, 0].argmax()] *= dtype(1.5)
    found = differences(identity(rows), identity(other))
    assert found == ["X or sample_weight had other contents"]


def test_differences_are_clauses():
    one = {"a": Trait("1", "x"), "b": Trait("f()", "y"), "c": Trait("3", "z")}
    other = {"a": Trait("2", "w"), "b": Trait("f()", "v"), "d": Trait("4", "u")}
    assert differences(one, other) == [
        "a was 1 and is 2",
        "b had other contents",
        "c was 3 and is not there",
        "d was not there and is 4",
    ]
