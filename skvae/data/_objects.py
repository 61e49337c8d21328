"""Columns of Python objects: their kind, and their numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from numbers import Number as AnyNumber
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._kinds import Category, Exact, Flag, Kind, Number, Ratio, Whole
from skvae.data._missing import as_objects
from skvae.data._refuse import capital
from skvae.data._times import PYTHON_TIMES, Time, python_seconds, seconds_of

Objects = NDArray[np.object_]


def kind_of_objects(values: Objects, name: str) -> Kind:
    """Kind of a column of objects, or an error that names the column.

    Parameters
    ----------
    values : ndarray of shape (n_samples,), dtype=object
        None where missing.
    name : str
        The column in a message, such as "column 'age'".

    Raises
    ------
    TypeError
        If values are neither numbers, times nor categories.
    ValueError
        If they are of several kinds.
    """
    there = [value for value in values if value is not None]
    families = {_family(value): value for value in reversed(there)}
    if len(families) > 1 and set(families) != {"boolean", "number"}:
        _refuse_mixture(families, name)
    if not there:
        return Number()
    family = "number" if "number" in families else next(iter(families))
    if family in _REFUSED:
        raise TypeError(f"{_start(name, there[0])}. {_REFUSED[family]}")
    return _KINDS[family](there)


def numbers_of_objects(values: Objects, kind: Kind, name: str) -> NDArray[np.float64]:
    """Numbers of a column of objects; NaN where missing.

    Raises
    ------
    ValueError
        If a value is not of the kind that `fit` found.
    """
    if isinstance(kind, Category):
        return kind.to_numbers(values)
    number = _seconds if isinstance(kind, Time) else _float
    found = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        if value is None:
            continue
        try:
            found[i] = number(value)
        except (TypeError, ValueError, AttributeError):
            what = "times" if isinstance(kind, Time) else "numbers"
            what = "booleans" if isinstance(kind, Flag) else what
            raise ValueError(
                f"{_start(name, value)}, but held {what} in the table of fit. Turn "
                f"all of it into {what}, with NaN or None for what is missing."
            ) from None
    return found


def _float(value: Any) -> float:
    is_number = isinstance(value, (AnyNumber, np.bool_))
    if isinstance(value, (str, bytes)) or not is_number:
        # Text that looks like a number would be one in this row alone.
        raise TypeError
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _seconds(value: Any) -> float:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return float(seconds_of(np.atleast_1d(value))[0])
    return python_seconds(value)


def _family(value: Any) -> str:
    """Family of a value: a key of `_KINDS` or `_REFUSED`."""
    if isinstance(value, (bool, np.bool_)):
        return "boolean"
    if isinstance(value, AnyNumber):
        is_complex = isinstance(value, (complex, np.complexfloating))
        return "complex" if is_complex else "number"
    # A datetime is a date, and must come before it.
    for kind in (dt.datetime, dt.date, dt.time, dt.timedelta):
        if isinstance(value, kind):
            return kind.__name__
    if isinstance(value, np.datetime64):
        return "datetime"
    if isinstance(value, np.timedelta64):
        return "timedelta"
    if isinstance(value, (str, bytes)):
        return "text" if isinstance(value, str) else "bytes"
    try:
        hash(value)
    except TypeError:
        return "container"
    # Two cells hold the same category where they are equal, not where they are one.
    by_value = vars(object)["__eq__"] is not type(value).__eq__
    return "category" if by_value else "identity"


def _whole_or_real(there: list[Any]) -> Kind:
    """Kind of numbers, which may be of several types."""
    types = {type(value) for value in there if not isinstance(value, (bool, np.bool_))}
    if all(issubclass(each, (int, np.integer)) for each in types):
        return Whole()
    if all(issubclass(each, (int, np.integer, Decimal)) for each in types):
        exponents = [
            value.as_tuple().exponent for value in there if isinstance(value, Decimal)
        ]
        digits = [-each for each in exponents if isinstance(each, int)]
        return Exact(scale=max(0, *digits)) if digits else Number()
    if all(issubclass(each, (int, np.integer, Fraction)) for each in types):
        return Ratio(max(int(value.denominator) for value in there))
    return Number()


def _time(there: list[Any]) -> Kind:
    """Kind of times; numpy's and pandas' own have nanoseconds."""
    first = there[0]
    if isinstance(first, (np.datetime64, np.timedelta64)):
        form = "instant" if isinstance(first, np.datetime64) else "duration"
        return Time(form, "ns")
    kinds = (dt.datetime, dt.date, dt.time, dt.timedelta)
    found = PYTHON_TIMES[next(k for k in kinds if isinstance(first, k)).__name__]
    zone = getattr(first, "tzinfo", None)
    return Time(found.form, found.unit, found.python, zone)


_KINDS: dict[str, Callable[[list[Any]], Kind]] = {
    "boolean": lambda there: Flag(),
    "number": _whole_or_real,
    **dict.fromkeys(("datetime", "date", "time", "timedelta"), _time),
    **dict.fromkeys(
        ("text", "bytes", "category"), lambda there: Category.of(as_objects(there))
    ),
}

_REFUSED = {
    "complex": "Pass its real and imaginary parts as two columns.",
    "container": "Each cell of the argument must be a time, a string or a real number. "
    "Give the parts of the value columns of their own, or leave the column out.",
    "identity": "Two of them are never equal, so that they are no categories. Turn "
    "them into text or numbers, or leave the column out.",
}


def _refuse_mixture(families: dict[str, Any], name: str) -> None:
    """Raise an error about a column of several kinds."""
    for family, remedy in _REFUSED.items():
        if family in families:
            raise TypeError(f"{_start(name, families[family])}. {remedy}")
    if set(families) >= {"number", "text"}:
        raise ValueError(
            f"{capital(name)} holds numbers and text, such as "
            f"{families['text']!r}. Turn all of it into text, or all of it into "
            "numbers with NaN for what is none."
        )
    kinds = " and ".join(
        f"{type(value).__name__} ({value!r})" for value in families.values()
    )
    raise ValueError(
        f"{capital(name)} holds values of several types: {kinds}. Turn all "
        "of it into one type, with None for what is missing."
    )


def _start(name: str, value: Any) -> str:
    """Start of a message about a value."""
    shown = repr(value)
    if len(shown) > 40:
        shown = shown[:37] + "..."
    return f"{capital(name)} holds the value {shown} of type {type(value).__name__}"
