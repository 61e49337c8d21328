"""Canonical rows: one order and one weight for each distinct row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def canonical_rows(
    X: NDArray[np.floating], weight: NDArray[np.float64]
) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """Order rows by value, merge equal ones and drop those of weight zero.

    What is trained on the result depends neither on the order of the rows nor on
    whether a row is repeated or weighted. The order is lexicographic by value, so
    that it survives a positive rescaling of a column, which the order of a hash
    would not.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        NaN where a cell is missing; otherwise finite.
    weight : ndarray of shape (n_samples,)
        Not negative.

    Returns
    -------
    index : ndarray of shape (n_rows,)
        Rows of X to use, in order; of int32 where that counts them all.
    weight : ndarray of shape (n_rows,)
        Summed weight of each.
    """
    places = np.dtype(np.int32 if len(X) < 2**31 else np.int64)
    order: NDArray[np.integer] = np.flatnonzero(weight > 0).astype(places)
    # By the first column alone, which takes less memory than within groups.
    order = order[np.argsort(_cells(X, order, 0), kind="stable")]
    values = _cells(X, order, 0)
    # A group holds the places in `order` whose rows are equal so far. Each column sorts
    # within the groups and splits them; most rows are alone after the first one, and
    # cost nothing more.
    starts_group = np.append(True, values[1:] != values[:-1])
    tied = np.flatnonzero(~_is_alone(starts_group))
    for column in range(1, X.shape[1]):
        if not len(tied):
            break
        group = np.cumsum(starts_group[tied])
        values = _cells(X, order[tied], column)
        by_value = np.lexsort((values, group))
        order[tied] = order[tied][by_value]
        values = values[by_value]
        starts = np.append(True, values[1:] != values[:-1])
        starts_group[tied] |= starts
        tied = tied[~_is_alone(starts_group[tied])]
    if not len(tied):
        # Weights that are one number stay it.
        is_one = weight.strides == (0,) and len(order) == len(weight)
        return order, weight if is_one else weight[order]
    # Equal rows are summed from the lightest, or the rounding of the sum would
    # depend on the order in which they came.
    group = np.cumsum(starts_group[tied])
    order[tied] = order[tied][np.lexsort((weight[order[tied]], group))]
    first = np.flatnonzero(starts_group)
    return order[first], np.add.reduceat(weight[order], first)


def _cells(
    X: NDArray[np.floating], rows: NDArray[np.integer], column: int
) -> NDArray[np.floating]:
    """Cells of a column, infinite where missing, as no cell is infinite."""
    cells = X[rows, column]
    cells[np.isnan(cells)] = np.inf
    return cells


def _is_alone(starts_group: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True for places whose group has no other one."""
    return starts_group & np.append(starts_group[1:], True)
