"""Cells as Python objects, and which of them are missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Missing values that compare with nothing, by the names of their types.
_MISSING_TYPES = {"NoneType", "NAType", "NaTType"}


def is_missing(value: Any) -> bool:
    """True for None, NA, NaT, and for a NaN of any type.

    >>> import decimal
    >>> import numpy as np
    >>> is_missing(decimal.Decimal("NaN")), is_missing(np.datetime64("NaT"))
    (True, True)
    >>> is_missing(0), is_missing("")
    (False, False)
    """
    if type(value).__name__ in _MISSING_TYPES:
        return True
    try:
        # Only what is not a number, nor a time, is unequal to itself.
        return bool(value != value)
    except (TypeError, ValueError, ArithmeticError):
        # An array has no truth value, and a signalling NaN is compared with nothing.
        return type(value).__name__ == "Decimal"


def as_objects(values: Iterable[Any]) -> NDArray[np.object_]:
    """Cells as an array of objects, None where missing."""
    cells = list(values)
    found = np.empty(len(cells), dtype=object)
    for i, value in enumerate(cells):
        if not is_missing(value):
            found[i] = value
    return found


def with_none(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Values as they are where none is missing, else as objects with None.

    >>> import numpy as np
    >>> with_none(np.array([1, 2]), np.array([False, True]))
    array([1, None], dtype=object)
    """
    if not missing.any():
        return values
    found = np.empty(len(values), dtype=object)
    there = np.flatnonzero(~missing)
    found[there] = values[there].tolist()
    return found
