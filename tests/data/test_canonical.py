"""Canonical rows against brute force."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae.data._canonical import canonical_rows


def brute_force(X, weight):
    """Distinct rows in lexicographic order and the weight of each."""
    kept = weight > 0
    # Adding zero turns -0.0 into 0.0.
    rows, inverse = np.unique(X[kept] + 0.0, axis=0, return_inverse=True)
    return rows, np.bincount(inverse.ravel(), weight[kept], minlength=len(rows))


def random_table(seed):
    """Few values in few or many columns: rows with ties of every depth."""
    rng = np.random.default_rng(seed)
    n_rows, n_columns = rng.integers(1, 60), rng.integers(1, 12)
    X = rng.integers(-1, rng.integers(0, 4), size=(n_rows, n_columns), endpoint=True)
    X = X.astype(rng.choice([np.float32, np.float64]))
    # Long runs of equal columns, and both signs of zero.
    X[:, : rng.integers(n_columns + 1)] = 0.0
    X[X == 0.0] *= rng.choice([-1.0, 1.0], size=(X == 0.0).sum())
    weight = rng.integers(0, 3, size=n_rows).astype(float)
    weight[rng.integers(n_rows)] = 1.0
    return X, weight, rng


@pytest.mark.parametrize("seed", range(200))
def test_canonical_rows_are_those_of_brute_force(seed):
    X, weight, _ = random_table(seed)
    before = X.copy(), weight.copy()
    index, summed = canonical_rows(X, weight)
    rows, expected = brute_force(X, weight)
    assert_array_equal(X[index], rows)
    # Sums of whole numbers are exact.
    assert_array_equal(summed, expected)
    assert (weight[index] > 0).all()
    assert_array_equal(X, before[0])
    assert_array_equal(weight, before[1])


def test_signs_of_zero_are_one_value():
    X = np.array([[0.0, 1.0], [-0.0, 0.0], [0.0, -0.0], [-0.0, 1.0]])
    index, weight = canonical_rows(X, np.ones(4))
    assert_array_equal(X[index], [[0.0, 0.0], [0.0, 1.0]])
    assert_array_equal(weight, [2.0, 2.0])


@pytest.mark.parametrize("n_rows", [1, 2, 50])
def test_only_distinct_and_only_equal_rows(n_rows):
    distinct = np.arange(n_rows, dtype=float)[::-1, None]
    index, weight = canonical_rows(distinct, np.full(n_rows, 0.5))
    assert_array_equal(index, np.arange(n_rows)[::-1])
    assert_array_equal(weight, np.full(n_rows, 0.5))
    index, weight = canonical_rows(np.full((n_rows, 3), 7.0), np.full(n_rows, 0.5))
    assert len(index) == 1
    assert_array_equal(weight, [0.5 * n_rows])


def test_rows_that_differ_in_the_last_of_many_columns():
    X = np.zeros((6, 500))
    X[:, -1] = [3.0, 1.0, 2.0, 1.0, 3.0, 0.0]
    index, weight = canonical_rows(X, np.ones(6))
    assert_array_equal(X[index, -1], [0.0, 1.0, 2.0, 3.0])
    assert_array_equal(weight, [1.0, 2.0, 1.0, 2.0])


@pytest.mark.parametrize("seed", range(20))
def test_order_survives_positive_rescaling_of_columns(seed):
    X, weight, rng = random_table(seed)
    scale = rng.choice([2.0**-60, 0.5, 1.0, 1024.0, 2.0**60], size=X.shape[1])
    shift = rng.integers(-3, 3, size=X.shape[1])
    index, summed = canonical_rows(X, weight)
    for other in (X * scale.astype(X.dtype), X + shift.astype(X.dtype)):
        index_other, summed_other = canonical_rows(other, weight)
        assert_array_equal(X[index_other], X[index])
        assert_array_equal(summed_other, summed)


@pytest.mark.parametrize("seed", range(20))
def test_sums_do_not_depend_on_the_order(seed):
    """Weights so far apart that the rounding of their sum depends on its order."""
    X, _, rng = random_table(seed)
    weight = rng.exponential(size=len(X)) * 10.0 ** rng.integers(-12, 12, size=len(X))
    index, summed = canonical_rows(X, weight)
    assert_allclose(summed, brute_force(X, weight)[1], rtol=1e-12)
    for _ in range(5):
        order = rng.permutation(len(X))
        index_other, summed_other = canonical_rows(X[order], weight[order])
        assert_array_equal(X[order][index_other], X[index])
        assert_array_equal(summed_other, summed)


def test_the_order_of_a_sum_can_matter():
    """Else the test above would show nothing."""
    weight = np.array([1.0, 1e-16, 1e-16])
    assert weight.cumsum()[-1] != weight[::-1].cumsum()[-1]
    X = np.zeros((3, 1))
    _, forward = canonical_rows(X, weight)
    _, backward = canonical_rows(X, weight[::-1])
    assert_array_equal(forward, backward)


def test_index_views_the_table_of_any_layout():
    X, weight, _ = random_table(3)
    expected = canonical_rows(X, weight)
    for layout in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        for array, other in zip(expected, canonical_rows(layout, weight), strict=True):
            assert_array_equal(array, other)
