"""The table that a user passes: which library it is of, or why it cannot be read."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from skvae.data._arrow import ArrowTables
from skvae.data._library import Arrays, Labels, Library
from skvae.data._pandas import PandasFrames
from skvae.data._polars import PolarsFrames

LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (Arrays(), PandasFrames(), PolarsFrames(), ArrowTables())
}

# Classes of tables, by the module that must have been imported for there to be any.
_TABLES = (
    ("pandas", "pandas", ("DataFrame",)),
    ("polars", "polars", ("DataFrame",)),
    ("pyarrow", "arrow", ("Table", "RecordBatch")),
)

# Collections that are no table in memory, and what makes one of them.
_REMEDIES = {
    ("pandas", "Series"): "Use X.to_frame() for a table of one column.",
    ("polars", "Series"): "Use X.to_frame() for a table of one column.",
    ("polars", "LazyFrame"): "Use X.collect().",
    ("pyspark", None): "Use X.toPandas(), or partial_fit on parts of it.",
    ("dask", "Series"): "Use X.to_frame() for a table of one column.",
    ("dask", None): "Use X.compute().",
    ("dask_expr", None): "Use X.compute().",
    ("duckdb", None): "Use X.df() or X.arrow().",
    ("ibis", None): "Use X.to_pandas() or X.to_pyarrow().",
}


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


def refuse_lazy(X: Any) -> None:
    """Raise TypeError about a collection that is no table in memory."""
    module = type(X).__module__.split(".")[0]
    for (package, name), remedy in _REMEDIES.items():
        if module == package and name in {None, type(X).__name__}:
            raise TypeError(
                f"X is a {type(X).__name__} of {package}, which is not a table in "
                f"memory. {remedy}"
            )


def readable(X: Any) -> Any:
    """Return a table that can be read: tensors and masked arrays as plain arrays.

    Raises
    ------
    TypeError
        If X is a lazy or distributed collection, a single column, or an array of a
        structured type.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.data._frames import readable
    >>> readable(np.ma.masked_equal([[1.0, 2.0]], 2.0))
    array([[ 1., nan]])
    """
    if type(X) is np.ndarray and X.dtype.kind in "fiubO":
        return X
    refuse_lazy(X)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        return (X.float() if X.dtype is torch.bfloat16 else X).numpy()
    if isinstance(X, np.ma.MaskedArray):
        floats = X.astype(np.result_type(X.dtype, np.float32))
        return np.ma.filled(floats, np.nan)
    if isinstance(X, (list, tuple)):
        return _from_lists(X)
    if isinstance(X, np.ndarray) and X.dtype.names is not None:
        raise TypeError(
            f"X is an array of the structured type {X.dtype}. Use pandas.DataFrame(X), "
            "which has a column for each field."
        )
    return X


def _from_lists(X: Any) -> Any:
    """Array of lists, of objects where they hold text; X where it is no table."""
    try:
        array = np.asarray(X)
    except ValueError:
        return X
    if array.ndim == 1 and array.dtype.kind == "U":
        raise ValueError(
            "Expected 2D array, got 1D array instead: a list of text, whose first is "
            f"{str(array[0])!r}. Pass a list of rows. To a search of scikit-learn a "
            "path is a list of letters: read the table into memory before."
        )
    if array.dtype.kind in "fiub" or array.ndim != 2:
        return array if array.dtype.kind in "fiub" else X
    return np.asarray(X, dtype=object)
