"""A column that comes in chunks: its kind and its type in all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skvae.data._kinds import Category, Exact, Flag, Kind, Number, Ratio, Whole
from skvae.data._library import Labels, Library
from skvae.data._refuse import capital, listed
from skvae.data._times import Time

# Kinds of columns in a message.
_WORDS = {
    Number: "numbers",
    Whole: "whole numbers",
    Flag: "booleans",
    Exact: "decimal numbers",
    Ratio: "fractions",
    Time: "times",
}

# Types of a column of missing cells that may be of anything.
_UNTYPED = {"None", "object", "null", "Null", "null[pyarrow]"}


class JoinedColumn(NamedTuple):
    """Contents of a column in one chunk, or in several."""

    kind: Kind
    dtype: Any
    """As the table's library calls it."""
    chunk: int
    """Number of the chunk that they are of."""
    is_blank: bool
    """True where it has no value, and numbers are but a guess."""

    @classmethod
    def of(
        cls, column: Any, kind: Kind, dtype: Any, chunk: int, library: Library
    ) -> JoinedColumn:
        """Contents of a column in one chunk."""
        is_blank = False
        if isinstance(kind, Number):
            is_blank = bool(np.isnan(library.numbers(column, kind, "")).all())
        return cls(kind, dtype, chunk, is_blank)

    def joined(self, other: JoinedColumn, name: str, library: Library) -> JoinedColumn:
        """Contents in the chunks of two, or ValueError where these are of two kinds.

        Parameters
        ----------
        other : JoinedColumn
            Of a later chunk.
        name : str
            The column in a message.
        library : Library
            Of the table.
        """
        both = self._with_levels(other, library) or self._with_values(other, library)
        if other.is_blank and (both is None or str(other.dtype) in _UNTYPED):
            return self
        if self.is_blank and (both is None or str(self.dtype) in _UNTYPED):
            return other
        if both is None:
            are_categories = isinstance(self.kind, Category) and isinstance(
                other.kind, Category
            )
            same = (
                "the same categories, in one order," if are_categories else "one type"
            )
            raise ValueError(
                f"{capital(name)} holds {self._shown} in chunk {self.chunk} of X and "
                f"{other._shown} in chunk {other.chunk}. Give it {same} in all chunks."
            )
        is_blank = self.is_blank and other.is_blank
        return both._replace(chunk=self.chunk, is_blank=is_blank)

    def _with_levels(
        self, other: JoinedColumn, library: Library
    ) -> JoinedColumn | None:
        """Column of categories with the levels of two; None where it cannot be."""
        kind, its = self.kind, other.kind
        if not (isinstance(kind, Category) and isinstance(its, Category)):
            return None
        if np.array_equal(kind.levels, its.levels):
            # In their declared order, if they have one.
            return self
        try:
            dtype = library.joined_type(self.dtype, other.dtype)
        except TypeError:
            return None
        levels = Category.of(np.concatenate([kind.levels, its.levels]))
        return self._replace(kind=levels, dtype=dtype)

    def _with_values(
        self, other: JoinedColumn, library: Library
    ) -> JoinedColumn | None:
        """Column of no categories with the values of two; None where it cannot be.

        Numbers are of the type in which the library joins those of two.
        """
        kinds = {type(self.kind), type(other.kind)}
        if Category in kinds:
            return None
        if not kinds <= {Number, Whole}:
            return self if self.kind == other.kind else None
        if (self.kind, self.dtype) == (other.kind, other.dtype):
            return self
        zeros = [
            library.column(each.kind.to_values(np.zeros(1)), each.dtype)
            for each in (self, other)
        ]
        tables = [library.table([each], Labels(["x"], [None]), None) for each in zeros]
        (column,) = library.columns(library.joined(tables))
        kind = library.kind(column, "a column of numbers")
        return self._replace(kind=kind, dtype=library.dtype(column))

    @property
    def _shown(self) -> str:
        """Contents in a message."""
        if isinstance(self.kind, Category):
            return f"the categories {listed(self.kind.levels.tolist(), 4)}"
        of_type = "" if self.dtype is None else f" of type {self.dtype}"
        return f"{_WORDS[type(self.kind)]}{of_type}"
