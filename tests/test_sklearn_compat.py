import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae._sklearn_compat import check_sample_weight

X = np.zeros((4, 1))


def test_ordinary_weights_are_returned_as_they_are():
    weight = np.array([1e-300, 0.0, 1.0, 1e100])
    assert_array_equal(check_sample_weight(weight, X), weight)
    assert_array_equal(check_sample_weight(None, X), 1.0)


@pytest.mark.parametrize("exponent", [-1060, -500, 500, 1022])
def test_extreme_weights_are_divided_by_a_power_of_two(exponent):
    weight = np.array([1.0, 0.75, 0.5, 0.0])
    found = check_sample_weight(np.ldexp(weight, exponent), X)
    assert_array_equal(found, 0.5 * weight)


def test_a_weight_above_zero_stays_so():
    found = check_sample_weight(np.array([1e300, 1e-300, 0.0, 1e308]), X)
    assert_array_equal(found > 0.0, [True, True, False, True])
    assert np.isfinite(found.sum())
