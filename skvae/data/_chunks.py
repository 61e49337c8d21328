"""Tables that come as one chunk of rows after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skvae.data._blocks import Block
from skvae.data._columns import Columns
from skvae.data._frames import LIBRARIES, container_of, is_numeric, joined, readable
from skvae.data._no_table import is_unread
from skvae.data._refuse import column_name
from skvae.data._sequences import is_container, is_sequence, items

_NO_COLUMN = "no column"


def is_chunked(X: Any) -> bool:
    """True for an object that is no table, and gives tables time and again.

    A sequence, such as a list, is one of rows unless the first thing in it is a table.
    Lists of lists may stand in the place of some tables, but not of all.

    Raises
    ------
    TypeError
        If it is an iterator, which ends for good.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._chunks import is_chunked
    >>> is_chunked([[1.0, 2.0]]), is_chunked([np.ones((3, 2)), np.zeros((4, 2))])
    (False, True)
    """
    if is_unread(X) or not is_container(X):
        return False
    if is_sequence(X):
        first = next(items(X), None)
        is_nested = isinstance(first, (list, tuple)) and isinstance(
            next(iter(first), None), (list, tuple)
        )
        return any(map(_is_table, items(X))) if is_nested else _is_table(first)
    if not hasattr(X, "__iter__"):
        return False
    if iter(X) is X:
        raise TypeError(
            f"X is a {type(X).__name__}, which can be iterated over only once. Pass a "
            "table, or an object whose __iter__ starts anew each time and gives one "
            "table after another."
        )
    return True


def _is_table(item: Any) -> bool:
    """True for a table in memory, and for what may be made one: not for a row."""
    dtype = getattr(item, "dtype", None)
    n_dimensions = len(getattr(item, "shape", ()))
    is_structured = getattr(dtype, "names", None) is not None and n_dimensions > 0
    return is_structured or is_unread(item) or n_dimensions == 2


class _Form(NamedTuple):
    """Library and columns, which all chunks have in common."""

    library: str
    columns: list[Any]
    """Names of the columns, or their numbers."""

    @classmethod
    def of(cls, table: Any) -> _Form:
        """Form of a table."""
        library = container_of(table)
        names = LIBRARIES[library].labels(table).names
        return cls(library, list(range(table.shape[1])) if names is None else names)

    def check(self, i: int, table: Any) -> None:
        """Raise ValueError unless a chunk has the form of the first one."""
        other = self.of(table)
        if other == self:
            return
        if other.library != self.library:
            raise ValueError(
                f"Chunk {i} of X is a table of another kind ({other.library}) than "
                f"chunk 0 ({self.library}). Make all chunks of one kind."
            )
        pairs = zip_longest(self.columns, other.columns, fillvalue=_NO_COLUMN)
        d = next(d for d, (own, its) in enumerate(pairs) if own != its)
        own, its = self._name(d), other._name(d)
        if d < len(self.columns) and self.columns[d] not in other.columns:
            found = f"lacks {own}, which chunk 0 has"
        elif d < len(other.columns) and other.columns[d] not in self.columns:
            found = f"has {its}, which chunk 0 lacks"
        else:
            found = f"has {its} in the place of {own} of chunk 0"
        raise ValueError(
            f"Chunk {i} of X {found}. Give all chunks the same columns, in one order."
        )

    def _name(self, d: int) -> str:
        """Name of a column in a message."""
        if d >= len(self.columns):
            return _NO_COLUMN
        return column_name(d, None if self.library == "array" else self.columns)


class Chunks:
    """A table that is given as one chunk of its rows after another.

    Parameters
    ----------
    X : iterable
        Gives the same tables in the same order each time. What also has `__getitem__`
        and `__len__` can be read in random order.

    Raises
    ------
    ValueError
        If what it gives are no tables, or tables of several forms.
    """

    def __init__(self, X: Any) -> None:
        self.X = X
        self.is_numeric = True
        self._lengths: list[int] = []
        for table in tables_of(X):
            if not self._lengths:
                self._form, self._first_row = _Form.of(table), _first_row(table)
            self._lengths.append(len(table))
            self.is_numeric = self.is_numeric and is_numeric(table)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(self._lengths)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self._form.columns)

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Block]:
        """Read all rows once; those of a sequence of chunks in any order of these."""
        starts, n_read = np.cumsum([0, *self._lengths]).tolist(), 0
        for i, chunk in self._numbered(random):
            table = _table(i, chunk)
            self._form.check(i, table)
            self._check_same(i, len(table))
            if i == 0 and _first_row(table) != self._first_row:
                raise _changed("chunk 0 began with another row later")
            if len(table):
                yield Block(starts[i], table)
            n_read += 1
        if n_read < len(self._lengths):
            self._check_same(n_read, 0)

    def _numbered(
        self, random: np.random.RandomState | None
    ) -> Iterator[tuple[int, Any]]:
        """Chunks with their numbers."""
        X = self.X
        if random is None or not is_sequence(X):
            return enumerate(items(X))
        order = random.permutation(len(self._lengths)).tolist()
        return ((i, X[i]) for i in order)

    def _check_same(self, i: int, n_rows: int) -> None:
        """Raise ValueError unless a chunk has as many rows as at first."""
        was = self._lengths[i] if i < len(self._lengths) else 0
        if n_rows != was:
            raise _changed(f"chunk {i} had {was} rows at first and {n_rows} later")


def tables_of(X: Any) -> Iterator[Any]:
    """Chunks of an iterable, or ValueError if they are no tables of one form."""
    form = None
    for i, chunk in enumerate(items(X)):
        table = _table(i, chunk)
        form = _Form.of(table) if form is None else form
        form.check(i, table)
        yield table
    if form is None:
        raise ValueError(
            "An iterable X must give tables of two dimensions, but gave nothing."
        )


def joined_chunks(X: Any) -> Any:
    """Chunks of an iterable as one table."""
    tables = list(tables_of(X))
    # The types of what is empty say nothing.
    tables = [table for table in tables if len(table)] or tables[:1]
    if not all(map(is_numeric, tables)):
        # Raises an error where a column is of several kinds.
        Columns.of_parts(tables)
    try:
        return joined(tables)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The chunks of X cannot be joined into one table: {error}. Give each "
            "column one type in all chunks."
        ) from error


def _table(i: int, chunk: Any) -> Any:
    """A chunk in a form that can be read, or ValueError if it is no table."""
    if issparse(chunk):
        raise TypeError(
            f"Chunk {i} of X is a {type(chunk).__name__}, which is sparse. Use "
            "chunk.toarray()."
        )
    table = readable(chunk, i)
    shape = getattr(table, "shape", None)
    if shape is not None and len(shape) == 2:
        # Not the arrays of files, which can neither be joined nor have a length.
        return np.asarray(table) if container_of(table) == "array" else table
    of_shape = "" if shape is None else f" of shape {tuple(shape)}"
    raise ValueError(
        f"An iterable X must give tables of two dimensions, but chunk {i} of X is a "
        f"{type(chunk).__name__}{of_shape}. Where it gives rows beside other things, "
        "such as (rows, target), pass an object whose __iter__ gives the rows alone."
    )


def _first_row(table: Any) -> str:
    """Contents of the first row of a table, to recognise it by."""
    library = LIBRARIES[container_of(table)]
    return repr([library.objects(each).tolist() for each in library.columns(table[:1])])


def _changed(what: str) -> ValueError:
    """Error about an iterable that does not give the same tables each time."""
    return ValueError(
        f"An iterable X must give the same tables in the same order each time, but "
        f"{what}. Let its __iter__ start anew, and shuffle nothing."
    )
