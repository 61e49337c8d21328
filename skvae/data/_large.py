"""Tables that come in other forms than one object in memory, and which are large."""

from __future__ import annotations

import os
from typing import Any

from skvae.data._blocks import Blocks
from skvae.data._chunks import Chunks, is_chunked, joined_chunks
from skvae.data._datasets import ArrowDataset, columns_in, is_dataset, opened
from skvae.data._frames import readable
from skvae.data._mapped import MappedArray, is_mapped
from skvae.data._partitions import Partitions, is_partitioned

# Bytes up to which such a table is read as a whole, like any other table. A cell of a
# dataset, or of an iterable, counts as eight.
_SMALL = 2**26


def blocks_of(X: Any) -> Blocks | None:
    """Blocks of a table that is not to be in memory as a whole; None for any other.

    Such a table is an array of numbers that is mapped from a file, a dataset of Arrow,
    a collection of dask or an iterable of tables, and not small.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._large import blocks_of
    >>> blocks_of(np.zeros((3, 2))) is None
    True
    """
    if is_mapped(X):
        return MappedArray(X) if X.nbytes > _SMALL else None
    blocks: ArrowDataset | Chunks
    if is_dataset(X):
        blocks = ArrowDataset(opened(X))
    else:
        chunks = _chunks_of(X)
        if chunks is None:
            return None
        blocks = Chunks(chunks)
    return blocks if 8 * blocks.n_rows * blocks.n_features > _SMALL else None


def in_memory(X: Any) -> Any:
    """A table in one object in memory, in a form that can be read.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._large import in_memory
    >>> in_memory([np.zeros((1, 2)), np.ones((1, 2))])
    array([[0., 0.],
           [1., 1.]])
    """
    if is_dataset(X):
        dataset = opened(X)
        return dataset.to_table(columns=columns_in(dataset))
    chunks = _chunks_of(X)
    return readable(X) if chunks is None else joined_chunks(chunks)


def in_parts(X: Any) -> bool:
    """True for a table that is no single object in memory.

    >>> in_parts("rows.parquet"), in_parts([[1.0, 2.0]])
    (True, False)
    """
    return is_dataset(X) or is_partitioned(X) or is_chunked(X)


def refuse_parts(X: Any, needed_by: str) -> None:
    """Raise TypeError about a table that is no single object in memory.

    Parameters
    ----------
    X : object
        The user's table.
    needed_by : str
        What needs the whole, such as "BalancedVAECV".
    """
    if not in_parts(X):
        return
    shown, how = f"a {type(X).__name__}", ""
    if isinstance(X, (str, os.PathLike)):
        shown, how = f"the path {os.fspath(X)!r}", ", as by pandas.read_parquet(X)"
    elif is_dataset(X):
        how = ", as by X.to_table()"
    elif is_partitioned(X):
        how = ", as by X.compute()"
    raise TypeError(
        f"{needed_by} divides the rows of X into folds, and takes a table in memory, "
        f"but X is {shown}. Read it into memory as a whole{how}, or choose beta on a "
        "sample of its rows and pass X to BalancedVAE."
    )


def _chunks_of(X: Any) -> Any:
    """Iterable of the chunks that a table comes in; None for any other table."""
    if is_partitioned(X):
        return Partitions(X)
    return X if is_chunked(X) else None
