import numpy as np
import pytest

from skvae.data import _rows
from skvae.likelihoods._weighted import (
    column_means,
    columns_at,
    mean_and_std,
    quantile,
)

X = np.random.RandomState(0).standard_normal((21, 3))


def means(table, weight):
    """Means of a table that comes in two parts."""
    rows = np.ones(len(table)) if weight is None else weight
    parts = slice(None, None, 2), slice(1, None, 2)
    return column_means(lambda: [(table[part], rows[part]) for part in parts])


def test_without_weights_they_are_those_of_numpy():
    mean, std = mean_and_std(X, None)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(means(X, None), mean, rtol=1e-13)
    np.testing.assert_allclose(std, X.std(axis=0), rtol=1e-13)
    for fraction in (0.0, 0.25, 0.5, 1.0):
        expected = np.quantile(X, fraction, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(quantile(X, None, fraction), expected)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_weight_is_repetition(fraction):
    times = np.random.RandomState(0).randint(1, 4, len(X))
    repeated, weight = np.repeat(X, times, axis=0), times.astype(float)
    np.testing.assert_allclose(
        mean_and_std(X, weight), mean_and_std(repeated, None), rtol=1e-12
    )
    np.testing.assert_allclose(means(X, weight), means(repeated, None), rtol=1e-12)
    np.testing.assert_array_equal(
        quantile(X, weight, fraction), quantile(repeated, None, fraction)
    )


@pytest.mark.parametrize("n_columns", [1, 2])
def test_long_columns_come_in_blocks(monkeypatch, n_columns):
    weight, rows = np.arange(1.0, 22.0), np.array([5, 0, 20])
    whole = mean_and_std(X, weight)
    monkeypatch.setattr(_rows, "_CELLS", n_columns * len(X))
    np.testing.assert_allclose(mean_and_std(X, weight), whole, rtol=1e-13)
    monkeypatch.setattr(_rows, "_CELLS", n_columns * len(rows))
    for columns, expected in ((None, X[rows]), (np.array([2, 0]), X[rows][:, [2, 0]])):
        blocks = list(columns_at(X, rows, columns))
        assert all(block.shape[1] <= n_columns for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected)


def test_missing_cells_do_not_count():
    table = X.copy()
    table[::2, 1] = np.nan
    mean, std = mean_and_std(table, None)
    assert mean[1] == pytest.approx(np.nanmean(table[:, 1]))
    np.testing.assert_allclose(means(table, None), mean, rtol=1e-13)
    assert std[1] == pytest.approx(np.nanstd(table[:, 1]))
    assert quantile(table, None, 0.5)[1] == np.quantile(
        X[1::2, 1], 0.5, method="inverted_cdf"
    )


def test_column_that_is_missing_altogether_is_zero():
    table = np.full((3, 1), np.nan)
    assert mean_and_std(table, None) == (0.0, 0.0)
    assert means(table, None) == 0.0
    assert quantile(table, None, 0.5) == 0.0


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units_in_which_squares_are_lost(unit):
    mean, std = mean_and_std(X * unit, None)
    np.testing.assert_allclose(mean, X.mean(axis=0) * unit, rtol=1e-12)
    np.testing.assert_allclose(std, X.std(axis=0) * unit, rtol=1e-12)
