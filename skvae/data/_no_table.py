"""Objects that are no table in memory, and what makes a table of each."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from typing import Any

# What turns an object into a table, by package or module, and class; None is any class.
_REMEDIES = {
    ("pandas", "Series"): "Use {0}.to_frame() for a table of one column.",
    ("polars", "Series"): "Use {0}.to_frame() for a table of one column.",
    ("polars", "LazyFrame"): "Use {0}.collect().",
    ("pyarrow", "RecordBatchReader"): "Use {0}.read_all().",
    ("pyarrow", "ParquetFile"): "Use {0}.read(), or pass the path of the file.",
    ("pyarrow", "Scanner"): "Use {0}.to_table().",
    ("xarray", "Dataset"): "Use {0}.to_dataframe().",
    ("h5py", "File"): "Name a dataset in it, as in {0}['rows'].",
    ("h5py", "Group"): "Name a dataset in it, as in {0}['rows'].",
    ("zarr", "Group"): "Name an array in it, as in {0}['rows'].",
    # A module of the user may have the name of the package.
    ("datasets.arrow_dataset", "Dataset"): "Use {0}.to_pandas().",
    ("pyspark", None): "Use {0}.toPandas(), or partial_fit on parts of it.",
    ("dask", "Series"): "Use {0}.to_frame() for a table of one column.",
    ("dask", None): "Use {0}.compute().",
    ("dask_expr", None): "Use {0}.compute().",
    ("duckdb", None): "Use {0}.df() or {0}.arrow().",
    ("ibis", None): "Use {0}.to_pandas() or {0}.to_pyarrow().",
}

# An object that has one of these may be an array, or a table of a library.
_OF_ARRAYS = ("__array__", "__dataframe__", "__arrow_c_stream__", "shape")


def is_unread(X: Any) -> bool:
    """True for a table that has to be read, or turned into another, by the user.

    A single column is no table.
    """
    return type(X).__name__ != "Series" and _remedy(X) is not None


def refuse_unread(X: Any, chunk: int | None = None) -> None:
    """Raise TypeError about an object of a library that is no table in memory.

    Parameters
    ----------
    X : object
    chunk : int or None, default=None
        Number of the chunk of the user's table that it is.
    """
    remedy = _remedy(X)
    if remedy is not None:
        subject, name = named(chunk)
        raise TypeError(
            f"{subject} is a {type(X).__name__} of {_package(X)}, which is not a table "
            f"in memory. {remedy.format(name)}"
        )


def refuse_no_table(X: Any) -> None:
    """Raise TypeError about any other object that is no table.

    Examples
    --------
    >>> from skvae.data._no_table import refuse_no_table
    >>> refuse_no_table({"a": [1.0]})
    Traceback (most recent call last):
    TypeError: X is a dict, which is no table. Use pandas.DataFrame(X).
    """
    is_array = any(hasattr(X, name) for name in _OF_ARRAYS) or isinstance(X, Number)
    is_sequence = hasattr(X, "__len__") and not isinstance(X, (bytes, Mapping))
    # Sparse matrices with keys are mappings too.
    if (is_array or is_sequence) and not isinstance(X, type):
        return
    remedy = (
        "Pass an array, a list of rows, a frame of pandas or polars, a table of Arrow, "
        "the path of a Parquet file, or an object whose __iter__ gives one table after "
        "another."
    )
    if isinstance(X, Mapping):
        remedy = "Use pandas.DataFrame(X)."
    raise TypeError(f"X is a {type(X).__name__}, which is no table. {remedy}")


def named(chunk: int | None) -> tuple[str, str]:
    """Table of the user at the start of a sentence, and as a variable."""
    return ("X", "X") if chunk is None else (f"Chunk {chunk} of X", "chunk")


def _package(X: Any) -> str:
    return type(X).__module__.partition(".")[0]


def _remedy(X: Any) -> str | None:
    """Sentence on what turns an object into a table; None where it may be one."""
    package, name = _package(X), type(X).__name__
    keys = (type(X).__module__, name), (package, name), (package, None)
    return next((_REMEDIES[key] for key in keys if key in _REMEDIES), None)
