"""Kinds of columns: the meaning of their numbers, and the way back to values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skvae.data._missing import as_objects, with_none

Floats = NDArray[np.floating]

#: A category that the table of `fit` did not hold.
UNKNOWN = -1.0


class Kind(Protocol):
    """Meaning of the numbers of a column."""

    def to_values(self, numbers: Floats) -> NDArray[Any]:
        """Values of numbers; None, NaN or NaT where these are NaN."""


@dataclass(frozen=True)
class Number:
    """Column of real numbers.

    Attributes
    ----------
    dtype : {"float16", "float32", "float64"}
        Type whose range the values stay in.
    """

    dtype: str = "float64"

    def to_values(self, numbers: Floats) -> NDArray[Any]:
        """Numbers within the range of the type."""
        if self.dtype == "float64":
            return numbers
        largest = float(np.finfo(self.dtype).max)
        return np.clip(numbers, -largest, largest)


@dataclass(frozen=True)
class Whole:
    """Column of whole numbers.

    Attributes
    ----------
    lowest, highest : int or None
        Range of the type; None where it has no end.
    """

    lowest: int | None = None
    highest: int | None = None

    @classmethod
    def of_bits(cls, n_bits: int, *, signed: bool) -> Whole:
        """Whole numbers of a type of so many bits."""
        if signed:
            return cls(-(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1)
        return cls(0, 2**n_bits - 1)

    def to_values(self, numbers: Floats) -> NDArray[Any]:
        """Nearest whole numbers within the range of the type."""
        missing = np.isnan(numbers)
        whole = np.rint(np.where(missing, 0.0, numbers.astype(np.float64)))
        if self.lowest is not None and self.highest is not None:
            whole = np.clip(whole, float(self.lowest), _at_most(self.highest))
            if self.highest < 2**64:
                narrow = np.uint64 if self.highest >= 2**63 else np.int64
                return with_none(whole.astype(narrow), missing)
        exact = np.empty(len(whole), dtype=object)
        exact[:] = [int(value) for value in whole]
        return with_none(exact, missing)


def _at_most(highest: int) -> float:
    """Largest float that is no larger than a whole number."""
    nearest = float(highest)
    return nearest if int(nearest) <= highest else float(np.nextafter(nearest, 0.0))


@dataclass(frozen=True)
class Flag:
    """Column of booleans, as zeros and ones."""

    def to_values(self, numbers: Floats) -> NDArray[Any]:
        """Booleans."""
        return with_none(numbers > 0.5, np.isnan(numbers))


@dataclass(frozen=True)
class Exact:
    """Column of decimal numbers, with so many digits after the point.

    Attributes
    ----------
    scale : int
        Digits after the point.
    precision : int or None
        Digits in all; None where there is no limit.
    """

    scale: int
    precision: int | None = None

    def to_values(self, numbers: Floats) -> NDArray[np.object_]:
        """Decimal numbers."""
        unit = Decimal(1).scaleb(-self.scale)
        found = np.empty(len(numbers), dtype=object)
        for i, number in enumerate(numbers.tolist()):
            if number == number:
                found[i] = self._rounded(number, unit)
        return found

    def _rounded(self, number: float, unit: Decimal) -> Decimal:
        ticks = round(Fraction(number) / Fraction(unit))
        if self.precision is not None:
            most = 10**self.precision - 1
            ticks = max(-most, min(most, ticks))
        return Decimal((ticks < 0, tuple(map(int, str(abs(ticks)))), -self.scale))


@dataclass(frozen=True)
class Ratio:
    """Column of fractions.

    Attributes
    ----------
    denominator : int
        Largest denominator.
    """

    denominator: int

    def to_values(self, numbers: Floats) -> NDArray[np.object_]:
        """Nearest fractions of a denominator that is no larger."""
        found = np.empty(len(numbers), dtype=object)
        for i, number in enumerate(numbers.tolist()):
            if number == number:
                found[i] = Fraction(number).limit_denominator(self.denominator)
        return found


@dataclass(frozen=True)
class Category:
    """Column of categories, as codes from 0.

    Attributes
    ----------
    levels : ndarray of shape (n_levels,), dtype=object
        Declared levels, and those that the table of `fit` held.
    """

    levels: NDArray[np.object_]

    @classmethod
    def of(
        cls, values: NDArray[np.object_], declared: Any = None, *, ordered: bool = False
    ) -> Category:
        """Category of the values of a column.

        Levels are in sorted order, so that they do not depend on the library of the
        table, or in their declared one where that is said to be an order.

        Parameters
        ----------
        values : ndarray of shape (n_samples,), dtype=object
            None where missing.
        declared : sequence or None, default=None
            Levels that the type of the column names.
        ordered : bool, default=False
            Whether the declared levels are in an order.
        """
        if ordered:
            return cls(as_objects(declared))
        distinct = {value for value in values if value is not None}
        if declared is not None:
            distinct |= set(declared)
        try:
            found = sorted(distinct)
        except TypeError:
            found = sorted(distinct, key=lambda each: (type(each).__name__, str(each)))
        return cls(as_objects(found))

    def to_numbers(self, values: NDArray[np.object_]) -> NDArray[np.float64]:
        """Codes of values; NaN where missing, `UNKNOWN` where a level is new."""
        code: dict[Any, float] = {
            level: float(i) for i, level in enumerate(self.levels)
        }
        code[None] = np.nan
        return np.array([code.get(value, UNKNOWN) for value in values], dtype=float)

    def to_values(self, numbers: Floats) -> NDArray[np.object_]:
        """Levels of codes."""
        found = np.empty(len(numbers), dtype=object)
        # A column that was missing altogether has no level to give back.
        is_there = ~np.isnan(numbers) & (len(self.levels) > 0)
        found[is_there] = self.levels[numbers[is_there].astype(np.intp)]
        return found
