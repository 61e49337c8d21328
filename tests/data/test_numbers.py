import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.data._numbers import (
    differs_by_rounding,
    standardized,
    unit_of,
    unstandardized,
)

LARGEST = np.finfo(np.float64).max


def test_ordinary_columns_have_no_unit():
    assert_array_equal(unit_of(np.array([0.0, 1e-100, 3.0, 1e100])), 1.0)


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-300, 1e101, 1e300, LARGEST])
def test_units_are_powers_of_two_near_the_size(size):
    unit = unit_of(np.array([size]))[0]
    assert np.frexp(unit)[0] == 0.5
    assert 0.5 <= size / unit < 2.0


def test_rounding_is_relative_to_the_numbers():
    low, high = (
        np.array([0.3, 0.3, 0.0, -1e-300]),
        np.array([0.1 + 0.2, 0.31, 0.0, 1.0]),
    )
    assert_array_equal(differs_by_rounding(low, high), [True, False, True, False])
    single = float(np.finfo(np.float32).eps)
    assert differs_by_rounding(np.float64(0.3), np.float64(np.float32(0.3)), single)


def test_opposite_ends_of_all_numbers_are_standardized():
    X = np.array([[-LARGEST], [LARGEST]])
    center, scale = np.array([-LARGEST]), np.array([LARGEST])
    assert_array_equal(standardized(X, center, scale), [[0.0], [2.0]])
    # What is beyond all numbers after the division stays so.
    assert_array_equal(standardized(X, 0.0 * center, 1e-10), [[-np.inf], [np.inf]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_way_back_ends_at_the_largest_number_of_a_type(dtype):
    x = np.array([-2.0, 0.5, 2.0])
    found = unstandardized(x, 0.0, np.array(LARGEST), dtype)
    limit = float(np.finfo(dtype).max)
    assert_array_equal(found, [-limit, min(0.5 * LARGEST, limit), limit])
