"""The table that a user passes: which library it is of, or why it cannot be read."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from skvae.data._arrow import ArrowTables
from skvae.data._library import Arrays, Labels, Library
from skvae.data._no_table import named, refuse_no_table, refuse_unread
from skvae.data._pandas import PandasFrames
from skvae.data._polars import PolarsFrames
from skvae.data._sequences import array_of_rows, is_sequence

LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (Arrays(), PandasFrames(), PolarsFrames(), ArrowTables())
}

# Classes of tables, by the module that must have been imported for there to be any.
_TABLES = (
    ("pandas", "pandas", ("DataFrame",)),
    ("polars", "polars", ("DataFrame",)),
    ("pyarrow", "arrow", ("Table",)),
)


def container_of(X: Any) -> str:
    """Library of a table: a key of `LIBRARIES`; imports none of them."""
    for module, name, classes in _TABLES:
        library = sys.modules.get(module)
        if library is not None and isinstance(
            X,
            tuple(getattr(library, each) for each in classes if hasattr(library, each)),
        ):
            return name
    return "array"


def is_numeric(X: Any) -> bool:
    """True for an array of numbers or booleans."""
    return isinstance(X, np.ndarray) and X.dtype.kind in "fiub"


def joined(tables: list[Any]) -> Any:
    """Rows of several tables of one library as one table."""
    return LIBRARIES[container_of(tables[0])].joined(tables)


def row_index(X: Any) -> Any:
    """Row index of a frame of pandas; None for any other table."""
    return X.index if container_of(X) == "pandas" else None


def table_of_numbers(library: str, numbers: Any, labels: Labels, index: Any) -> Any:
    """Numbers as a table of a library, with the names of columns.

    Parameters
    ----------
    library : str
        A key of `LIBRARIES`.
    numbers : ndarray of shape (n_samples, n_features)
    labels : Labels
        Columns without a name are called x0, x1 and so on.
    index : Index or None
        Of the rows, for a frame of pandas.
    """
    own = LIBRARIES[library]
    if labels.names is None:
        labels = Labels([f"x{d}" for d in range(numbers.shape[1])], [None])
    return own.table([own.of_floats(column) for column in numbers.T], labels, index)


def readable(X: Any, chunk: int | None = None) -> Any:
    """Return a table that can be read: tensors, masked arrays and lists as arrays.

    Parameters
    ----------
    X : object
    chunk : int or None, default=None
        Number of the chunk of the user's table that it is.

    Raises
    ------
    TypeError
        If X is no table in memory, a single column, or an array of a structured type.
    ValueError
        If X is a sequence whose items are no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._frames import readable
    >>> readable(np.ma.masked_equal([[1.0, 2.0]], 2.0))
    array([[ 1., nan]])
    """
    if type(X) is np.ndarray and X.dtype.kind in "fiubO":
        return X
    refuse_unread(X, chunk)
    if chunk is None:
        refuse_no_table(X)
    torch, arrow = sys.modules.get("torch"), sys.modules.get("pyarrow")
    if torch is not None and isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        return (X.float() if X.dtype is torch.bfloat16 else X).numpy()
    if arrow is not None and isinstance(X, arrow.RecordBatch):
        return arrow.Table.from_batches([X])
    if isinstance(X, np.ma.MaskedArray):
        floats = X.astype(np.result_type(X.dtype, np.float32))
        return np.ma.filled(floats, np.nan)
    if is_sequence(X):
        return array_of_rows(X, chunk)
    if isinstance(X, np.ndarray) and X.dtype.names is not None:
        subject, name = named(chunk)
        raise TypeError(
            f"{subject} is an array of the structured type {X.dtype}. Use "
            f"pandas.DataFrame({name}), which has a column for each field."
        )
    return X
