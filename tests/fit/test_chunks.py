"""Iterables of tables, which are never in memory as a whole."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.data import _large
from skvae.data._chunks import is_chunked
from skvae.data._large import blocks_of
from skvae.fit import _stream, _windows

SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 5, "tol": 1e3, "random_state": 0}


class Parts:
    """Tables of so many rows each, from a whole one."""

    def __init__(self, table, n_rows):
        self.table, self.n_rows = table, n_rows

    def __iter__(self):
        for start in range(0, len(self.table), self.n_rows):
            yield self.table[start : start + self.n_rows]


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(_large, "_SMALL", 0)
    monkeypatch.setattr(_windows, "_WINDOW", 2**12)
    monkeypatch.setattr(_stream, "_ROWS", 400)


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    code = random.standard_normal(1000)
    frame = pd.DataFrame(
        {
            "size": code + 0.2 * random.standard_normal(1000),
            "weight": 3.0 * code + random.standard_normal(1000),
            # Not all levels are in each chunk.
            "colour": np.repeat(["red", "blue", "green", "red"], 250),
        }
    )
    # The first chunk is far smaller than the others.
    frame.iloc[:90, :2] *= 0.01
    return frame


def test_what_is_chunked():
    assert is_chunked(Parts(np.zeros((4, 2)), 2))
    for table in (np.zeros((4, 2)), pd.DataFrame({"a": [1]}), [[1.0]], 3.0, {"a": 1}):
        assert not is_chunked(table)
    with pytest.raises(TypeError, match="generator, which can be iterated over only"):
        BalancedVAE().fit(part for part in [np.zeros((4, 2))])


@pytest.mark.parametrize(
    "as_table", [lambda frame: frame, lambda f: f.iloc[:, :2].to_numpy()]
)
def test_few_rows_are_fitted_as_one_table(frame, as_table):
    X = as_table(frame)
    one, other = (BalancedVAE(1, **SETTINGS).fit(each) for each in (X, Parts(X, 90)))
    assert_array_equal(other.transform(Parts(X, 70)), one.transform(X))


def test_fit_is_about_as_good_as_in_memory(frame, small_parts):
    parts = Parts(frame, 90)
    assert blocks_of(parts).n_rows == 1000
    one = BalancedVAE(1, **SETTINGS).fit(frame)
    other = BalancedVAE(1, **SETTINGS).fit(parts)
    assert_allclose(
        other._fitted.view.scaling.center, one._fitted.view.scaling.center, rtol=1e-9
    )
    assert list(other._fitted.view.columns.levels(2)) == ["blue", "green", "red"]
    assert other.score(frame) == pytest.approx(one.score(frame), abs=0.3)
    assert other.score(parts) == pytest.approx(other.score(frame), abs=1e-3)
    assert list(other.sample(2, random_state=0).columns) == list(frame.columns)


def test_an_iterable_that_ends_early(small_parts):
    class Ending(Parts):
        n_left = 2

        def __iter__(self):
            self.n_left -= 1
            return iter([]) if self.n_left < 0 else super().__iter__()

    X = np.random.default_rng(0).standard_normal((100, 2))
    with pytest.raises(ValueError, match="100 rows at first and 0 later"):
        BalancedVAE(1).fit(Ending(X, 30))


def test_an_iterable_of_no_tables():
    with pytest.raises(ValueError, match="two dimensions, but gave nothing"):
        BalancedVAE(1).fit(Parts(np.zeros((0, 2)), 3))
    with pytest.raises(ValueError, match=r"two dimensions, but gave \[\(3,\)\]"):
        BalancedVAE(1).fit(Parts(np.zeros(6), 3))
