"""Tables that are too large for memory, and are read in blocks time and again."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from skvae.data._rows import chunks

# Bytes of a mapped array up to which it is read as a whole, like any other array.
_SMALL = 2**26

# Bytes of a block in random order: enough to be read at the speed of the disk, few
# enough for many blocks to be shuffled together.
_BLOCK = 2**17


class Block(NamedTuple):
    """Consecutive rows of a table."""

    start: int
    """Number of the first of them."""
    table: Any
    """The rows, as a table of their own."""


class Blocks(Protocol):
    """A table that is read in blocks time and again."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Block]:
        """Read all rows once: in their order, or shuffled as well as possible.

        Parameters
        ----------
        random : RandomState or None, default=None
            Draws the order of the blocks; None for that of the rows.
        """


class MappedArray:
    """An array in a file.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Of numbers.
    """

    def __init__(self, X: NDArray[Any]) -> None:
        # A plain array: the class of numpy costs more than a small block.
        self.X = np.asarray(X).view(np.ndarray)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Block]:
        """Read all rows once, as `Blocks` describes it."""
        n_rows, n_features = self.X.shape
        if random is None:
            parts = chunks(n_rows, n_features)
        else:
            size = max(1, _BLOCK // (n_features * self.X.itemsize))
            starts = size * random.permutation(-(-n_rows // size))
            parts = [slice(start, start + size) for start in starts.tolist()]
        for part in parts:
            yield Block(part.start, self.X[part])


def blocks_of(X: Any) -> Blocks | None:
    """Blocks of a table that is not to be in memory as a whole; None for any other.

    Such a table is an array of numbers that is mapped from a file, and not small.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._blocks import blocks_of
    >>> blocks_of(np.zeros((3, 2))) is None
    True
    """
    is_table = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub"
    if is_table and X.size and X.nbytes > _SMALL and _is_mapped(X):
        return MappedArray(X)
    return None


def _is_mapped(X: Any) -> bool:
    """True for an array whose memory is that of a file."""
    while isinstance(X, np.ndarray):
        X = X.base
    return isinstance(X, mmap)
