"""Histories in the units of X, and one after the other."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.fit._history import in_units_of_x, joined

HISTORY = {
    "rate": np.array([[1.0], [2.0]], dtype=np.float32),
    "distortion": np.array([[10.0], [8.0]], dtype=np.float32),
    "elbo": np.array([[-11.0], [-10.0]], dtype=np.float32),
    "objective": np.array([[10.5], [9.0]], dtype=np.float32),
    "beta": np.array([[0.5], [0.5]], dtype=np.float32),
    "variance": np.array([[4.0], [2.0]], dtype=np.float32),
}
VALIDATION = {f"validation_{name}": HISTORY[name] for name in ("rate", "distortion")}


def test_distortions_gain_the_jacobian():
    found = in_units_of_x(HISTORY, 3.0, 7.0)
    assert_array_equal(found["rate"], [1.0, 2.0])
    assert_array_equal(found["distortion"], [13.0, 11.0])
    assert_array_equal(found["objective"], [13.5, 12.0])
    assert_array_equal(found["elbo"], [-14.0, -13.0])
    assert_array_equal(found["theta"], [2.0, 1.0])
    assert found.keys() == HISTORY.keys() | {"theta"}
    assert {entries.dtype for entries in found.values()} == {np.dtype("float64")}


def test_held_out_rows_have_a_jacobian_of_their_own():
    found = in_units_of_x({**HISTORY, **VALIDATION}, 3.0, 7.0)
    assert_array_equal(found["validation_distortion"], [17.0, 15.0])
    assert_array_equal(found["validation_elbo"], [-18.0, -17.0])
    assert_array_equal(found["elbo"], [-14.0, -13.0])


def test_history_of_training_stays_as_it_is():
    before = {name: entries.copy() for name, entries in HISTORY.items()}
    in_units_of_x(HISTORY, 3.0, 7.0)
    for name, entries in HISTORY.items():
        assert_array_equal(entries, before[name])


def test_joined_in_order():
    first, then = {"rate": np.array([1.0, 2.0])}, {"rate": np.array([3.0])}
    assert_array_equal(joined(first, then)["rate"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("is_first", [True, False])
def test_what_one_of_them_lacks_is_nan(is_first):
    """`fit` holds rows out, `partial_fit` does not."""
    both = {"rate": np.zeros(2), "validation_rate": np.ones(2)}
    one = {"rate": np.zeros(3)}
    found = joined(both, one) if is_first else joined(one, both)
    gaps, ones = [np.nan] * 3, [1.0] * 2
    expected = ones + gaps if is_first else gaps + ones
    assert_array_equal(found["validation_rate"], expected)
    assert_array_equal(found["rate"], np.zeros(5))
