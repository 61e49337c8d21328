"""Error messages about the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._rows import chunks

# Types that have no numbers and no levels, by what their names contain.
_REMEDIES = {
    "complex": "Pass its real and imaginary parts as two columns.",
    "list": "Give each of its parts a column of its own, or leave it out.",
    "struct": "Give each of its fields a column of its own.",
    "array": "Give each of its parts a column of its own, or leave it out.",
    "map": "Give each of its keys a column of its own, or leave it out.",
}
_OTHER = "Turn it into numbers, times or text, or leave it out."


def column_name(column: int, names: Sequence[Any] | None) -> str:
    """Name of a column in an error message."""
    return f"column {column}" if names is None else f"column {names[column]!r}"


def capital(name: str) -> str:
    """Name of a column at the start of a sentence.

    >>> capital("column 'Age'")
    "Column 'Age'"
    """
    return name[0].upper() + name[1:]


def listed(values: Sequence[Any], most: int) -> str:
    """Values, at most so many of them, in an error message.

    >>> listed(["red", "green", "blue"], 2)
    "'red', 'green', ..."
    """
    more = ", ..." if len(values) > most else ""
    return ", ".join(map(repr, values[:most])) + more


def refuse_type(name: str, dtype: Any) -> TypeError:
    """Error about a column of a type that is not recognised.

    >>> str(refuse_type("column 'tags'", "list<string>"))
    "Column 'tags' is of type list<string>, which holds neither numbers nor times nor \
categories. Give each of its parts a column of its own, or leave it out."
    """
    shown = str(dtype)
    remedy = next((r for key, r in _REMEDIES.items() if key in shown.lower()), _OTHER)
    return TypeError(
        f"{capital(name)} is of type {shown}, which holds neither numbers "
        f"nor times nor categories. {remedy}"
    )


def refuse_infinite(
    X: NDArray[np.floating],
    names: Sequence[Any] | None,
    place: NDArray[np.intp] | None = None,
) -> None:
    """Raise ValueError about the first infinite cell of a table, if there is one.

    `place` has the number of each row in the user's table, where X is a part of it.
    """
    for part in chunks(*X.shape):
        # One sum per chunk is finite in nearly every table, and far faster.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(X[part].sum()):
                continue
        infinite = np.isinf(X[part])
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            number = part.start + row if place is None else place[part.start + row]
            raise ValueError(
                "Input X contains infinity or a value too large for "
                f"dtype({X.dtype.name!r}): {column_name(int(column), names)} holds "
                f"{X[part][row, column]:g} in row {number}. Replace it by a "
                "finite number, or by NaN for a missing cell."
            )
