"""Kinds of columns: values of numbers."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.data._kinds import (
    UNKNOWN,
    Category,
    Exact,
    Flag,
    Number,
    Ratio,
    Whole,
)
from skvae.data._missing import as_objects, is_missing

FAR = np.array([-1e300, 1e300, np.nan])


@pytest.mark.parametrize("n_bits", [8, 16, 32, 64])
@pytest.mark.parametrize("signed", [True, False])
def test_whole_numbers_do_not_wrap(n_bits, signed):
    name = f"{'' if signed else 'u'}int{n_bits}"
    limits = np.iinfo(name)
    low, high, none = Whole.of_bits(n_bits, signed=signed).to_values(FAR)
    assert none is None
    assert limits.min == low
    # The largest float that is no larger than the limit.
    assert limits.max - 2**11 < high <= limits.max


def test_whole_numbers_of_more_bits_are_pythons_own():
    kind = Whole.of_bits(128, signed=True)
    assert kind.to_values(np.array([2.0**100]))[0] == 2**100
    assert kind.to_values(FAR)[1] <= 2**127 - 1
    assert Whole().to_values(np.array([1e30, 2.6])).tolist() == [int(1e30), 3]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_numbers_stay_in_the_range_of_their_type(dtype):
    found = Number(dtype).to_values(FAR).astype(dtype)
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2])


def test_numbers_are_returned_as_they_are():
    assert Number().to_values(FAR) is FAR


def test_flags():
    assert Flag().to_values(np.array([0.2, 0.7, np.nan])).tolist() == [0, 1, None]
    assert Flag().to_values(np.array([0.2])).dtype == bool


def test_decimals_keep_their_digits_and_their_range():
    kind = Exact(scale=2, precision=4)
    found = kind.to_values(np.array([1.005, -3.14159, np.nan, 1e300]))
    expected = ["1.00", "-3.14", None, "99.99"]
    assert [None if v is None else str(v) for v in found] == expected
    assert isinstance(found[0], Decimal)


def test_fractions_keep_their_denominators():
    third, none = Ratio(4).to_values(np.array([0.3334, np.nan]))
    assert (third, none) == (Fraction(1, 3), None)


def test_levels_are_sorted_unless_they_have_an_order():
    values = as_objects(["b", None, "a"])
    assert Category.of(values).levels.tolist() == ["a", "b"]
    assert Category.of(values, ["c", "b", "a"]).levels.tolist() == ["a", "b", "c"]
    ordered = Category.of(values, ["c", "b", "a"], ordered=True)
    assert ordered.levels.tolist() == ["c", "b", "a"]
    assert_array_equal(ordered.to_numbers(values), [1.0, np.nan, 2.0])


def test_levels_that_do_not_compare_are_in_some_order():
    mixed = as_objects([(1, "a"), "b", (1, "a")])
    kind = Category.of(mixed)
    assert kind.to_values(kind.to_numbers(mixed)).tolist() == mixed.tolist()


def test_new_level():
    kind = Category.of(as_objects(["a"]))
    assert_array_equal(kind.to_numbers(as_objects(["z", None])), [UNKNOWN, np.nan])


@pytest.mark.parametrize(
    "value", [None, np.nan, Decimal("nan"), Decimal("sNaN"), np.float32("nan")]
)
def test_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, "", "nan", [], {}, np.zeros(2), False])
def test_not_missing(value):
    assert not is_missing(value)
