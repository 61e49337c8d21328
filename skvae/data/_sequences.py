"""Sequences of rows, or of tables, which are no tables themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from skvae.data._no_table import named

# An object that has any of these is a table itself, or a column.
_OF_TABLES = ("__array__", "__dataframe__", "__arrow_c_stream__", "shape")


def is_container(X: Any) -> bool:
    """True for an object that may hold rows or tables, and is not itself one."""
    if isinstance(X, (str, bytes, Mapping, type)):
        return False
    return not any(hasattr(X, name) for name in _OF_TABLES)


def is_sequence(X: Any) -> bool:
    """True for a container of known length, whose items have numbers.

    Lists are such, and datasets of torch, which need not have an `__iter__`.

    >>> is_sequence([[1.0, 2.0]]), is_sequence({1.0, 2.0})
    (True, False)
    """
    if not (hasattr(X, "__getitem__") and hasattr(X, "__len__") and is_container(X)):
        return False
    torch = sys.modules.get("torch.utils.data")
    # It has a `__getitem__` that is an error.
    return torch is None or not isinstance(X, torch.IterableDataset)


def items(X: Any) -> Iterator[Any]:
    """Items of an iterable, or of a sequence, in order.

    The end of a sequence is that of its length: not all raise an error beyond it.
    """
    return iter(X) if hasattr(X, "__iter__") else (X[i] for i in range(len(X)))


def array_of_rows(X: Any, chunk: int | None = None) -> Any:
    """Array of a sequence of rows, of objects where they hold text.

    Parameters
    ----------
    X : sequence
    chunk : int or None, default=None
        Number of the chunk of the user's table that it is.

    Returns
    -------
    array : ndarray or list
        The rows as a list where they are no table, for scikit-learn to refuse.

    Raises
    ------
    TypeError
        If items are paths or dicts.
    ValueError
        If items hold arrays, are text, or are of several lengths.

    Examples
    --------
    >>> from skvae.data._sequences import array_of_rows
    >>> array_of_rows([[1.0, "a"]])
    array([[1.0, 'a']], dtype=object)
    """
    subject = named(chunk)[0]
    _refuse_item(f"{subject} is a {type(X).__name__}", next(items(X), None))
    rows = list(items(X))
    try:
        array = np.asarray(rows)
    except ValueError:
        _refuse_lengths(subject, rows)
        return rows
    if array.dtype.kind in "fiub":
        return array
    return np.asarray(rows, dtype=object) if array.ndim == 2 else rows


def _refuse_item(subject: str, first: Any) -> None:
    """Raise an error if the first item of a sequence is no row."""
    if isinstance(first, (str, os.PathLike)):
        raise ValueError(
            "Expected 2D array, got 1D array instead: a list of text, whose first is "
            f"{str(first)!r}. Pass a list of rows, or pyarrow.dataset.dataset(X) for "
            "several Parquet files. To a search of scikit-learn a path is a list of "
            "letters: read the table into memory before."
        )
    is_dict, shown = isinstance(first, Mapping), _shown(first)
    is_row = len(getattr(first, "shape", ())) < 2
    if is_dict or isinstance(first, (list, tuple)):
        cells = first.values() if is_dict else first
        array = next((cell for cell in cells if len(getattr(cell, "shape", ()))), None)
        is_row = array is None
        shown = f"a {type(first).__name__} with {_shown(array)}"
    if not is_row:
        raise ValueError(
            f"{subject} whose first item is {shown}, and no row. Pass the rows alone: "
            "of pairs such as (row, target), leave the target out."
        )
    if is_dict:
        raise TypeError(
            f"{subject} whose items are each a {type(first).__name__}. Use "
            "pandas.DataFrame(list(X))."
        )


def _refuse_lengths(subject: str, rows: list[Any]) -> None:
    """Raise ValueError about the first row that is not like row 0, if there is one."""
    shown = [_shown(row) for row in rows]
    i = next((i for i, each in enumerate(shown) if each != shown[0]), None)
    if i is not None:
        raise ValueError(
            f"{subject} has rows of several forms: row 0 is {shown[0]}, and row {i} is "
            f"{shown[i]}. Give all rows the same columns; where it is a list of "
            "tables, make each an array or a frame."
        )


def _shown(item: Any) -> str:
    """Type of an item, and its shape or length."""
    name, shape = type(item).__name__, getattr(item, "shape", None)
    if shape is None and hasattr(item, "__len__"):
        return f"a {name} of length {len(item)}"
    return f"a {name}" if shape is None else f"a {name} of shape {tuple(shape)}"
