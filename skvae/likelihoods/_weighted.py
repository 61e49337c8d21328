"""Statistics of the columns of a table with weighted rows and missing cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.data._moments import mean_of
from skvae.data._numbers import differs_by_rounding, unit_of, unstandardized
from skvae.data._rows import chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from skvae.data._moments import Part


def columns_at(
    X: NDArray[np.floating],
    rows: NDArray[np.integer],
    columns: NDArray[np.intp] | None,
) -> Iterator[NDArray[np.floating]]:
    """Some or all columns of some rows, in blocks of about a million cells."""
    n_columns = X.shape[1] if columns is None else len(columns)
    for block in chunks(n_columns, len(rows)):
        # Side by side first, as rows in another order are far apart in a table.
        if columns is None:
            yield np.ascontiguousarray(X[:, block])[rows]
        else:
            yield np.stack(
                [np.ascontiguousarray(X[:, d])[rows] for d in columns[block]]
            ).T


def cell_weights(
    X: NDArray[np.floating], weight: NDArray[np.floating] | None
) -> NDArray[np.float64]:
    """Weight of each cell: that of its row, and zero where it is missing."""
    rows = np.ones(len(X)) if weight is None else np.asarray(weight, float)
    return np.where(np.isnan(X), 0.0, rows[:, None])


def column_means(parts: Callable[[], Iterable[Part]]) -> NDArray[np.float64]:
    """Mean of each column, over all parts of a table; 0 of one that is missing.

    Parameters
    ----------
    parts : callable
        Returns rows and their weights, at each call the same ones.
    """
    sizes = [np.fmax.reduce(np.abs(x), axis=0) for x, _ in parts()]
    size = np.nan_to_num(np.fmax.reduce(sizes, axis=0)).astype(np.float64)
    unit = unit_of(size)
    mean = mean_of((x / unit, weight) for x, weight in parts())
    return np.asarray(unstandardized(mean, 0.0, unit, np.float64), dtype=np.float64)


def mean_and_std(
    X: NDArray[np.floating], weight: NDArray[np.floating] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column; 0 of one that is missing."""
    blocks = chunks(X.shape[1], len(X))
    found = [_mean_and_std(X[:, block], weight) for block in blocks]
    mean, std = (np.concatenate(each) for each in zip(*found, strict=True))
    return mean, std


def _mean_and_std(
    X: NDArray[np.floating], weight: NDArray[np.floating] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same, all columns at once."""
    cells = cell_weights(X, weight)
    total = cells.sum(axis=0)
    cells /= np.where(total > 0.0, total, 1.0)
    filled = np.nan_to_num(X.astype(np.float64, copy=False))
    unit = unit_of(np.abs(filled).max(axis=0))
    if (unit != 1.0).any():
        filled = filled / unit
    mean = (cells * filled).sum(axis=0)
    # In place, as a column may be long.
    deviation = np.subtract(filled, mean, out=filled)
    # Relative to the largest one, or squares of 1e-200 and 1e200 are lost.
    largest = np.abs(np.where(cells > 0.0, deviation, 0.0)).max(axis=0)
    deviation /= np.where(largest > 0.0, largest, 1.0)
    np.square(deviation, out=deviation)
    std = largest * np.sqrt(np.multiply(cells, deviation, out=cells).sum(axis=0))
    mean = np.asarray(unstandardized(mean, 0.0, unit, np.float64), dtype=np.float64)
    return mean, std * unit


def is_constant(
    X: NDArray[np.floating], dtype: type[np.floating] = np.float64
) -> NDArray[np.bool_]:
    """Columns whose values differ by the rounding of a type alone, or are missing.

    A column of this kind has no unit: what is divided by its standard deviation is
    rounding alone.
    """
    low, high = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    is_missing = np.isnan(low)
    eps = float(np.finfo(dtype).eps)
    return is_missing | differs_by_rounding(low, high, eps)


def quantile(
    X: NDArray[np.floating], weight: NDArray[np.floating] | None, fraction: float
) -> NDArray[np.float64]:
    """Quantile of each column: the smallest value that reaches a fraction of weight.

    It is 0 for a column that is missing altogether.
    """
    # Missing cells are sorted to the end.
    order = np.argsort(X, axis=0, kind="stable")
    below = np.take_along_axis(cell_weights(X, weight), order, 0)
    np.cumsum(below, axis=0, out=below)
    # Sums in another order may differ by rounding.
    reached = below >= fraction * below[-1] * (1.0 - 1e-12)
    row = np.take_along_axis(order, reached.argmax(axis=0)[None], 0)
    return np.nan_to_num(np.take_along_axis(X, row, 0)[0].astype(np.float64))
