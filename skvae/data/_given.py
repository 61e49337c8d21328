"""A few cells of a row, given by the names of their columns, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._columns import UNKNOWN, Columns
from skvae.data._frames import LIBRARIES
from skvae.data._refuse import listed, refuse_infinite

# Columns or levels that a message lists.
_LISTED = 10


def given_row(columns: Columns, given: Mapping[Any, Any]) -> NDArray[np.float64]:
    """Row as numbers, NaN where nothing is given.

    Parameters
    ----------
    columns : Columns
        Contents of the columns of the table of `fit`.
    given : mapping of column to value
        Columns by name, or by number where they have no names.

    Returns
    -------
    row : ndarray of shape (1, n_features)

    Raises
    ------
    TypeError
        If `given` is no mapping.
    ValueError
        If it is empty, names a column that the table of `fit` does not have, or holds a
        value that is missing, infinite, of another kind, or none of the levels.
    """
    if not isinstance(given, Mapping):
        raise TypeError(
            "given must map columns to values, as in given={'age': 39}, got "
            f"{type(given).__name__}."
        )
    if not given:
        raise ValueError(
            "given is empty: name at least one column and its value, or leave it out "
            "for rows from the whole distribution."
        )
    row = np.full((1, len(columns.kinds)), np.nan)
    places = list(range(len(columns.kinds))) if columns.names is None else columns.names
    for key, value in given.items():
        if isinstance(key, bool) or key not in places:
            raise ValueError(_no_column(key, places, columns.names is not None))
        d = places.index(key)
        row[0, d] = _number(columns, d, value)
    refuse_infinite(row, columns.names)
    return row


def _number(columns: Columns, d: int, value: Any) -> float:
    """Number of a value of a column."""
    cell = np.empty(1, dtype=object)
    cell[0] = value
    kind, name = columns.kinds[d], columns.name(d)
    arrays = LIBRARIES["array"]
    number = float(arrays.numbers(cell, kind, name)[0])
    if np.isnan(number):
        raise ValueError(
            f"given: {name} is missing ({value!r}). Leave the column out, so that it "
            "is drawn, or give it a value."
        )
    levels = columns.levels(d)
    if levels is not None and number == UNKNOWN:
        raise ValueError(
            f"given: {name} does not have the category {value!r}. Choose one of "
            f"{listed(list(levels), _LISTED)}."
        )
    return number


def _no_column(key: Any, places: list[Any], is_named: bool) -> str:
    """Message about a column that the table of `fit` does not have."""
    if is_named:
        return (
            f"given: {key!r} is no column of the table of fit. Its columns are "
            f"{listed(places, _LISTED)}."
        )
    return (
        f"given: {key!r} is no column of the table of fit, which has no names. Use the "
        f"numbers 0 to {len(places) - 1}."
    )
