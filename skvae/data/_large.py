"""Which tables are read in blocks."""

from __future__ import annotations

from typing import Any

from skvae.data._blocks import Blocks
from skvae.data._chunks import Chunks, is_chunked
from skvae.data._datasets import ArrowDataset, is_dataset, opened
from skvae.data._frames import readable
from skvae.data._mapped import MappedArray, is_mapped

# Bytes up to which such a table is read as a whole, like any other table. A cell of a
# dataset, or of an iterable, counts as eight.
_SMALL = 2**26


def blocks_of(X: Any) -> Blocks | None:
    """Blocks of a table that is not to be in memory as a whole; None for any other.

    Such a table is an array of numbers that is mapped from a file, a dataset of Arrow
    or an iterable of tables, and not small.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._large import blocks_of
    >>> blocks_of(np.zeros((3, 2))) is None
    True
    """
    if is_mapped(X):
        return MappedArray(X) if X.nbytes > _SMALL else None
    if is_dataset(X):
        dataset = ArrowDataset(opened(X))
        return _if_large(dataset)
    if is_chunked(X):
        return _if_large(Chunks(X, readable))
    return None


def _if_large(blocks: ArrowDataset | Chunks) -> Blocks | None:
    """Blocks of a table that is not small."""
    return blocks if 8 * blocks.n_rows * blocks.n_features > _SMALL else None
