"""Arrays and frames of dask, computed one partition at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_PACKAGES = ("dask", "dask_expr")


def is_partitioned(X: Any) -> bool:
    """True for an array or a frame of dask; imports nothing.

    >>> is_partitioned([[1.0, 2.0]])
    False
    """
    package = type(X).__module__.split(".")[0]
    return package in _PACKAGES and type(X).__name__ in ("Array", "DataFrame")


class Partitions:
    """Sequence of the partitions of a collection of dask, each a table in memory.

    Each is computed when it is asked for, by the scheduler that dask is set to, and not
    kept.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame

    Raises
    ------
    ValueError
        If an array is not of two dimensions.
    """

    def __init__(self, X: Any) -> None:
        if X.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {X.ndim}D array instead: X is an array of "
                f"dask of shape {X.shape}. Use X.reshape(len(X), -1)."
            )
        if hasattr(X, "rechunk"):
            # Blocks of an array may hold a part of the columns.
            X = X.rechunk({1: -1})
        self.X = X

    def __len__(self) -> int:
        """Return the number of partitions."""
        return int(self.X.npartitions)

    def __getitem__(self, i: int) -> Any:
        """Compute a partition."""
        return self.X.partitions[i].compute()

    def __iter__(self) -> Iterator[Any]:
        """Compute one partition after another."""
        return (self[i] for i in range(len(self)))
