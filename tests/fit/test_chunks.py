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
from skvae.fit._table import CheckedTable

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
    with pytest.raises(ValueError, match="chunk 0 had 30 rows at first and 0 later"):
        BalancedVAE(1).fit(Ending(X, 30))


def test_an_iterable_of_no_tables():
    with pytest.raises(ValueError, match="two dimensions, but gave nothing"):
        BalancedVAE(1).fit(Parts(np.zeros((0, 2)), 3))
    with pytest.raises(ValueError, match=r"chunk 0 of X is a ndarray of shape \(3,\)"):
        BalancedVAE(1).fit(Parts(np.zeros(6), 3))


def test_masks_of_chunks_are_read(small_parts):
    X = np.random.default_rng(0).standard_normal((600, 3))
    is_masked = X > 1.0
    masked = np.ma.array(np.where(is_masked, 999.0, X), mask=is_masked)
    vae = BalancedVAE(1, likelihood="gaussian", **SETTINGS).fit(Parts(masked, 200))
    expected = np.nanmean(np.where(is_masked, np.nan, X), axis=0)
    assert_allclose(vae._fitted.view.scaling.center, expected, rtol=1e-6)


@pytest.mark.parametrize("order", [1, -1])
def test_whole_numbers_may_have_gaps_in_some_chunks(small_parts, order):
    frame = pd.DataFrame({"x": np.arange(400.0) % 7, "whole": np.arange(400) % 5})
    other = frame.astype({"whole": float})
    other.iloc[3, 1] = np.nan
    vae = BalancedVAE(1, **SETTINGS).fit(AnyChunks([frame, other][::order]))
    assert vae.sample(3, random_state=0)["whole"].dtype == float


class AnyChunks:
    """The same tables, time and again."""

    def __init__(self, tables):
        self.tables = tables

    def __iter__(self):
        return iter(self.tables)


def test_sample_of_many_counts_stays_small(monkeypatch, small_parts):
    # Each column has hundreds of values that a small sample lacks.
    monkeypatch.setattr(_stream, "_CELLS", 400 * 20)
    random = np.random.default_rng(0)
    X = random.poisson(np.exp(random.normal(3.0, 1.5, (5000, 20)))).astype(float)
    table = CheckedTable.of(BalancedVAE(2), Parts(X, 500), None)
    assert 400 <= len(table.X) <= 800
