"""Arrays that are mapped from a file, read in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._blocks import Block
from skvae.data._rows import chunks

# Bytes of a block in random order: enough to be read at the speed of the disk, few
# enough for many blocks to be shuffled together.
_BLOCK = 2**17


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

    @property
    def is_numeric(self) -> bool:
        """True, as `is_mapped` has it."""
        return True

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


def is_mapped(X: Any) -> bool:
    """True for a table of numbers whose memory is that of a file."""
    if not (isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub"):
        return False
    while isinstance(X, np.ndarray):
        X = X.base
    return isinstance(X, mmap)
