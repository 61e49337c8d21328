"""Tables that come as one chunk of rows after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from skvae.data._blocks import Block

# An object that has any of these is a table itself, or one of several kinds of lists.
_OF_TABLES = ("__array__", "__dataframe__", "__getitem__", "__len__", "shape")


def is_chunked(X: Any) -> bool:
    """True for an object that is no table, and can be iterated over time and again.

    Raises
    ------
    TypeError
        If it is an iterator, which ends for good.
    """
    if not hasattr(X, "__iter__") or any(hasattr(X, name) for name in _OF_TABLES):
        return False
    if iter(X) is X:
        raise TypeError(
            f"X is a {type(X).__name__}, which can be iterated over only once. Pass a "
            "table, or an object whose __iter__ starts anew each time and gives one "
            "table after another."
        )
    return True


class Chunks:
    """An iterable that gives one part of the rows after another, each a table.

    Parameters
    ----------
    X : iterable
        Gives the same tables in the same order each time.
    readable : callable
        Returns a table in a form that can be read, such as one without a mask.
    """

    def __init__(self, X: Any, readable: Callable[[Any], Any]) -> None:
        self.X, self.readable = X, readable
        shapes = [np.shape(table) for table in X]
        if not shapes or any(len(shape) != 2 for shape in shapes):
            found = sorted(set(shapes)) or "nothing"
            raise ValueError(
                f"The iterable X must give tables of two dimensions, but gave {found}."
            )
        self.n_rows = sum(shape[0] for shape in shapes)
        self.n_features = shapes[0][1]

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Block]:
        """Read all rows once, always in their order."""
        start = 0
        for table in self.X:
            table = self.readable(table)
            if len(table):
                yield Block(start, table)
            start += len(table)
        if start != self.n_rows:
            raise ValueError(
                f"The iterable X gave {self.n_rows} rows at first and {start} later. "
                "Its __iter__ must start anew, and give the same tables each time."
            )
