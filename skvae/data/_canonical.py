"""Canonical rows: one order and one weight for each distinct row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def canonical_rows(
    X: NDArray[np.floating], weight: NDArray[np.float64], *, has_gaps: bool = True
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
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
    has_gaps : bool, default=True
        Whether any cell may be missing.

    Returns
    -------
    index : ndarray of shape (n_rows,)
        Rows of X to use, in order.
    weight : ndarray of shape (n_rows,)
        Summed weight of each.
    """
    if has_gaps:
        # A missing cell equals another one, and no cell is infinite.
        X = np.where(np.isnan(X), np.inf, X)
    order = np.flatnonzero(weight > 0)
    # A group holds the places in `order` whose rows are equal so far, and is named
    # by the first of them. Each column sorts within the groups and splits them; most
    # rows are alone after the first one, and cost nothing more.
    group = np.zeros(len(order), dtype=np.intp)
    tied = np.arange(len(order))
    for column in range(X.shape[1]):
        if not len(tied):
            break
        values = X[order[tied], column]
        by_value = np.lexsort((values, group[tied]))
        order[tied] = order[tied][by_value]
        values, name = values[by_value], group[tied]
        is_first = np.ones(len(tied), dtype=bool)
        is_first[1:] = (name[1:] != name[:-1]) | (values[1:] != values[:-1])
        group[tied] = tied[is_first][np.cumsum(is_first) - 1]
        is_alone = is_first & np.append(is_first[1:], True)
        tied = tied[~is_alone]
    # Equal rows are summed from the lightest, or the rounding of the sum would
    # depend on the order in which they came.
    order = order[np.lexsort((weight[order], group))]
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    return order[first], np.add.reduceat(weight[order], first)
