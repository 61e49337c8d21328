"""Kinds, names and levels of the user's columns; their conversion to numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._frames import LIBRARIES, container_of
from skvae.data._joined import JoinedColumn
from skvae.data._kinds import UNKNOWN, Category, Flag, Kind, Number, Whole
from skvae.data._library import Labels, Library
from skvae.data._refuse import column_name


@dataclass(frozen=True)
class Columns:
    """Contents of the columns of a table, learned from the table of `fit`.

    Categories become codes from 0, booleans become zeros and ones, times become
    seconds, and missing cells (None, NaN, NaT, NA, null) become NaN. The conversion
    back restores the kind of table and the name and type of each column.

    Attributes
    ----------
    container : {"array", "pandas", "polars", "arrow"}
        Kind of table.
    labels : Labels
        Names of the columns, where the table has any.
    kinds : list of Kind
        Meaning of the numbers of each column.
    dtypes : list
        Types of the columns as the table's library calls them.
    """

    container: str
    labels: Labels
    kinds: list[Kind]
    dtypes: list[Any]

    @classmethod
    def of(cls, X: Any) -> Columns:
        """Learn the contents of the columns of a table.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)

        Raises
        ------
        TypeError
            If a column is of a type that holds neither numbers, times nor categories.
        ValueError
            If a column of objects holds values of several kinds.
        """
        container = container_of(X)
        library = LIBRARIES[container]
        labels, columns = library.labels(X), library.columns(X)
        kinds = [
            library.kind(column, column_name(d, labels.names))
            for d, column in enumerate(columns)
        ]
        dtypes = [library.dtype(column) for column in columns]
        return cls(container, labels, kinds, dtypes)

    @classmethod
    def of_numbers(cls, n_features: int) -> Columns:
        """Columns of an array of numbers, which are returned as they are."""
        kinds: list[Kind] = [Number()] * n_features
        return cls("array", Labels(None, []), kinds, [None] * n_features)

    @classmethod
    def of_parts(cls, parts: Iterable[Any]) -> Columns:
        """Learn the contents of the columns of a table from chunks of its rows.

        Levels are those of all chunks. One in which a column is missing altogether does
        not count for its kind.

        Raises
        ------
        ValueError
            If a column is of several kinds in several chunks.
        """
        found: Columns | None = None
        for i, part in enumerate(parts):
            own = cls.of(part)
            columns = zip(own.library.columns(part), own.kinds, own.dtypes, strict=True)
            each = [JoinedColumn.of(*column, i, own.library) for column in columns]
            if found is None:
                found, joined = own, each
                continue
            joined = [
                one.joined(other, found.name(d), own.library)
                for d, (one, other) in enumerate(zip(joined, each, strict=True))
            ]
        assert found is not None
        kinds, dtypes = [one.kind for one in joined], [one.dtype for one in joined]
        return replace(found, kinds=kinds, dtypes=dtypes)

    @property
    def library(self) -> Library:
        """Library of the table."""
        return LIBRARIES[self.container]

    @property
    def names(self) -> list[Any] | None:
        """Names of the columns, where the table has any."""
        return self.labels.names

    def name(self, column: int) -> str:
        """Name of a column in an error message."""
        return column_name(column, self.names)

    def levels(self, column: int) -> NDArray[np.object_] | None:
        """Levels of a column of categories, None for any other."""
        kind = self.kinds[column]
        return kind.levels if isinstance(kind, Category) else None

    @property
    def is_category(self) -> NDArray[np.bool_]:
        """Columns of categories."""
        return self._are(Category)

    @property
    def is_boolean(self) -> NDArray[np.bool_]:
        """Columns of booleans."""
        return self._are(Flag)

    @property
    def is_integer(self) -> NDArray[np.bool_]:
        """Columns of whole numbers."""
        return self._are(Whole)

    def _are(self, kind: type) -> NDArray[np.bool_]:
        return np.array([isinstance(each, kind) for each in self.kinds], dtype=bool)

    def to_numbers(self, X: Any) -> NDArray[np.float64]:
        """Table as numbers: codes for categories, NaN for missing cells.

        A category that is new becomes `UNKNOWN`.
        """
        library = LIBRARIES[container_of(X)]
        return np.stack(
            [
                library.numbers(column, kind, self.name(d))
                for d, (column, kind) in enumerate(
                    zip(library.columns(X), self.kinds, strict=True)
                )
            ],
            axis=1,
        )

    def unknown(self, X: Any, column: int) -> Any:
        """First value of a column that is in none of its levels."""
        library = LIBRARIES[container_of(X)]
        values = library.objects(library.columns(X)[column])
        known = {None, *self.kinds[column].levels}  # type: ignore[attr-defined]
        return next(value for value in values if value not in known)

    def to_table(self, numbers: NDArray[np.floating], index: Any = None) -> Any:
        """Table of the kind, names and types of that of `fit`, from numbers.

        A frame of pandas gets `index`, if there is one.
        """
        if self.is_array_of_numbers:
            return numbers
        columns = [
            self.library.column(kind.to_values(own), dtype)
            for kind, own, dtype in zip(self.kinds, numbers.T, self.dtypes, strict=True)
        ]
        return self.library.table(columns, self.labels, index)

    def filled(
        self,
        numbers: NDArray[np.floating],
        X: Any,
        is_missing: NDArray[np.bool_],
        index: Any = None,
    ) -> Any:
        """A table with some of its cells from numbers, and all others as they are.

        Columns have their types of `fit`, but for one that these cannot hold.

        Parameters
        ----------
        numbers : ndarray of shape (n_samples, n_features)
        X : array or DataFrame of shape (n_samples, n_features)
            The user's table.
        is_missing : ndarray of shape (n_samples, n_features), dtype=bool
            Cells to fill.
        index : Index or None, default=None
            Of the rows, for a frame of pandas.
        """
        library = LIBRARIES[container_of(X)]
        if self.is_array_of_numbers and library.name == "array":
            table = np.asarray(X)
            if not is_missing.any():
                return table.copy()
            observed = ~is_missing
            floats = np.where(is_missing, numbers, table).astype(np.float64)
            # Objects may be whole numbers that no float holds.
            if (floats[observed] == table[observed]).all():
                return floats.astype(numbers.dtype, copy=False)
            return np.where(is_missing, numbers, table)
        columns, dtypes = library.columns(X), self.dtypes
        if library is not self.library:
            dtypes = [library.dtype(column) for column in columns]
        for d in np.flatnonzero(is_missing.any(axis=0)).tolist():
            values = library.column(self.kinds[d].to_values(numbers[:, d]), dtypes[d])
            columns[d] = library.filled(columns[d], values, is_missing[:, d])
        return library.table(columns, library.labels(X), index)

    @property
    def holds_numbers(self) -> bool:
        """True where all columns hold numbers, real or whole."""
        return all(isinstance(kind, (Number, Whole)) for kind in self.kinds)

    @property
    def is_array_of_numbers(self) -> bool:
        """True for arrays whose numbers are their values."""
        return self.container == "array" and self.holds_numbers


def holds_numbers_alone(X: Any) -> bool:
    """True for a table of numbers that scikit-learn's own checks accept."""
    library = LIBRARIES[container_of(X)]
    if library.name != "array":
        return _all_plain(X, library)
    if isinstance(getattr(X, "dtype", None), np.dtype) and X.dtype.kind not in "OUSMm":
        return True
    try:
        array = np.asarray(X, dtype=object)
    except ValueError:
        return True
    if array.ndim != 2 or array.dtype.kind != "O":
        return True
    return _all_plain(X, library)


def _all_plain(X: Any, library: Library) -> bool:
    names = library.labels(X).names
    return all(
        library.is_plain(column, column_name(d, names))
        for d, column in enumerate(library.columns(X))
    )


__all__ = ["UNKNOWN", "Columns", "container_of", "holds_numbers_alone"]
