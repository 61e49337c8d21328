"""Canonical rows against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from skvae.data._canonical import canonical_rows


def brute_force(X, weight):
    """Distinct rows in lexicographic order and the weight of each."""
    kept = weight > 0
    # Adding zero turns -0.0 into 0.0.
    rows, inverse = np.unique(X[kept] + 0.0, axis=0, return_inverse=True)
    return rows, np.bincount(inverse.ravel(), weight[kept], minlength=len(rows))


@st.composite
def tables(draw):
    """Few values in few or many columns, for ties of every depth, and weights."""
    shape = draw(st.integers(1, 30)), draw(st.integers(1, 12))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    cells = st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0])
    X = draw(arrays(dtype, shape, elements=cells, fill=st.sampled_from([0.0, -0.0])))
    weights = arrays(np.float64, shape[0], elements=st.integers(0, 2))
    return X, draw(weights.filter(np.any))


@settings(max_examples=200)
@given(tables())
def test_canonical_rows_are_those_of_brute_force(table):
    X, weight = table
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


@given(tables(), st.data())
def test_order_survives_positive_rescaling_of_columns(table, data):
    X, weight = table
    n_columns = X.shape[1]
    factors = st.sampled_from([2.0**-60, 0.5, 1.0, 1024.0, 2.0**60])
    scale = data.draw(arrays(X.dtype, n_columns, elements=factors))
    shift = data.draw(arrays(X.dtype, n_columns, elements=st.integers(-3, 3)))
    index, summed = canonical_rows(X, weight)
    for other in (X * scale, X + shift):
        index_other, summed_other = canonical_rows(other, weight)
        assert_array_equal(X[index_other], X[index])
        assert_array_equal(summed_other, summed)


@given(tables(), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_the_order(table, random):
    """Weights so far apart that the rounding of their sum depends on its order."""
    X, _ = table
    weight = np.array([10.0 ** random.uniform(-12, 12) for _ in X])
    index, summed = canonical_rows(X, weight)
    assert_allclose(summed, brute_force(X, weight)[1], rtol=1e-12)
    for _ in range(3):
        order = random.sample(range(len(X)), len(X))
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
    rng = np.random.default_rng(3)
    X = rng.integers(-1, 2, size=(40, 6)).astype(float)
    weight = rng.integers(0, 3, size=40).astype(float)
    expected = canonical_rows(X, weight)
    for layout in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        for array, other in zip(expected, canonical_rows(layout, weight), strict=True):
            assert_array_equal(array, other)
