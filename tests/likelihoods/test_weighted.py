import numpy as np
import pytest

from skvae.likelihoods._weighted import column_means, mean_and_spread, quantile

X = np.random.RandomState(0).standard_normal((21, 3))


def test_without_weights_they_are_those_of_numpy():
    mean, spread = mean_and_spread(X, None)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(column_means(X, None), mean, rtol=1e-13)
    np.testing.assert_allclose(spread, X.std(axis=0), rtol=1e-13)
    for share in (0.0, 0.25, 0.5, 1.0):
        expected = np.quantile(X, share, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(quantile(X, None, share), expected)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_weight_is_repetition(share):
    times = np.random.RandomState(0).randint(1, 4, len(X))
    repeated, weight = np.repeat(X, times, axis=0), times.astype(float)
    np.testing.assert_allclose(
        mean_and_spread(X, weight), mean_and_spread(repeated, None), rtol=1e-12
    )
    np.testing.assert_allclose(
        column_means(X, weight), column_means(repeated, None), rtol=1e-12
    )
    np.testing.assert_array_equal(
        quantile(X, weight, share), quantile(repeated, None, share)
    )


def test_missing_cells_do_not_count():
    table = X.copy()
    table[::2, 1] = np.nan
    mean, spread = mean_and_spread(table, None)
    assert mean[1] == pytest.approx(np.nanmean(table[:, 1]))
    np.testing.assert_allclose(column_means(table, None), mean, rtol=1e-13)
    assert spread[1] == pytest.approx(np.nanstd(table[:, 1]))
    assert quantile(table, None, 0.5)[1] == np.quantile(
        X[1::2, 1], 0.5, method="inverted_cdf"
    )


def test_column_that_is_missing_altogether_is_zero():
    table = np.full((3, 1), np.nan)
    assert mean_and_spread(table, None) == (0.0, 0.0)
    assert column_means(table, None) == 0.0
    assert quantile(table, None, 0.5) == 0.0


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units_in_which_squares_are_lost(unit):
    mean, spread = mean_and_spread(X * unit, None)
    np.testing.assert_allclose(mean, X.mean(axis=0) * unit, rtol=1e-12)
    np.testing.assert_allclose(spread, X.std(axis=0) * unit, rtol=1e-12)
