"""Interface to a library of tables, and tables without a library: arrays."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from skvae.data._kinds import Kind, Number, Whole
from skvae.data._missing import as_objects
from skvae.data._objects import kind_of_objects, numbers_of_objects
from skvae.data._times import Time, seconds_of


class Labels(NamedTuple):
    """Names of the columns of a table."""

    names: list[Any] | None
    """One for each column, where the table has any."""
    levels: list[Any]
    """Names of the levels that these names have in pandas."""


class Library(Protocol):
    """Tables of one library: their columns as numbers, and columns back as a table."""

    name: str
    """Name of the library."""

    def labels(self, X: Any) -> Labels:
        """Names of the columns, if there are any."""

    def columns(self, X: Any) -> list[Any]:
        """Columns of a table."""

    def dtype(self, column: Any) -> Any:
        """Type of a column, in a form that can be stored."""

    def kind(self, column: Any, name: str) -> Kind:
        """Kind of a column, or TypeError that names it."""

    def is_plain(self, column: Any, name: str) -> bool:
        """True for numbers of a type that numpy has."""

    def numbers(self, column: Any, kind: Kind, name: str) -> NDArray[np.float64]:
        """Numbers of a column; NaN where missing, `UNKNOWN` for a new level."""

    def objects(self, column: Any) -> NDArray[np.object_]:
        """Cells as Python objects, None where missing."""

    def column(self, values: NDArray[Any], dtype: Any) -> Any:
        """Column in a type, or as it is where the type cannot hold the values."""

    def of_floats(self, numbers: NDArray[np.floating]) -> Any:
        """Column of numbers as they are."""

    def filled(self, column: Any, values: Any, missing: NDArray[np.bool_]) -> Any:
        """Column with some of its cells from another one, the others untouched."""

    def table(self, columns: list[Any], labels: Labels, index: Any) -> Any:
        """Table of columns; a row index where the library has one."""

    def joined(self, tables: list[Any]) -> Any:
        """Rows of several tables as one table."""

    def joined_type(self, dtype: Any, other: Any) -> Any:
        """Type of a column with the levels of two, or TypeError where it has none."""


class Arrays:
    """Arrays, lists of lists and whatever else numpy makes an array of."""

    name = "array"

    def labels(self, X: Any) -> Labels:
        """Names of the columns: none."""
        return Labels(None, [])

    def columns(self, X: Any) -> list[NDArray[Any]]:
        """Columns of a table."""
        array = X if isinstance(X, np.ndarray) and X.dtype.kind in "Mm" else None
        return list((np.asarray(X, dtype=object) if array is None else array).T)

    def dtype(self, column: NDArray[Any]) -> None:
        """Type of a column, which an array does not have."""

    def kind(self, column: NDArray[Any], name: str) -> Kind:
        """Kind of a column."""
        if column.dtype.kind in "Mm":
            form = "instant" if column.dtype.kind == "M" else "duration"
            unit = np.datetime_data(column.dtype)[0]
            return Time(form, unit if unit in {"D", "s", "ms", "us", "ns"} else "s")
        return kind_of_objects(as_objects(column), name)

    def is_plain(self, column: NDArray[Any], name: str) -> bool:
        """True for numbers: a column of objects counts by its cells."""
        return isinstance(self.kind(column, name), (Number, Whole))

    def numbers(
        self, column: NDArray[Any], kind: Kind, name: str
    ) -> NDArray[np.float64]:
        """Numbers of a column."""
        if column.dtype.kind in "Mm":
            return seconds_of(column)
        return numbers_of_objects(as_objects(column), kind, name)

    def objects(self, column: NDArray[Any]) -> NDArray[np.object_]:
        """Cells as Python objects."""
        return as_objects(column)

    def column(self, values: NDArray[Any], dtype: Any) -> NDArray[Any]:
        """Column as it is."""
        return values

    def of_floats(self, numbers: NDArray[np.floating]) -> NDArray[np.floating]:
        """Column of numbers as they are."""
        return numbers

    def filled(
        self,
        column: NDArray[Any],
        values: NDArray[Any],
        missing: NDArray[np.bool_],
    ) -> NDArray[Any]:
        """Column with some of its cells from another one."""
        if column.dtype == object or values.dtype == object:
            column, values = column.astype(object), values.astype(object)
        found = column.copy()
        found[missing] = values[missing]
        return found

    def table(
        self, columns: list[NDArray[Any]], labels: Labels, index: Any
    ) -> NDArray[Any]:
        """Array of columns, of objects where any of them holds objects."""
        kinds = {column.dtype.kind for column in columns}
        if len(kinds) > 1 or "b" in kinds or "O" in kinds:
            columns = [column.astype(object) for column in columns]
        return np.stack(columns, axis=1)

    def joined(self, tables: list[Any]) -> NDArray[Any]:
        """Rows of several tables as one array."""
        return np.concatenate(tables)

    def joined_type(self, dtype: None, other: None) -> None:
        """Type of a column with the levels of two: an array has none."""
