"""The grid on which a column was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resolution(X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Step of the grid of each column, 0 where there is none.

    On a grid are columns whose distinct values are at most half as many as their rows,
    and whose gaps are all multiples of the smallest one. Missing cells do not count,
    nor do differences that are rounding.
    """
    return np.array([_step(column[~np.isnan(column)]) for column in X.T])


def _step(x: NDArray[np.floating]) -> float:
    """Step of the grid of one column without missing cells."""
    values = np.unique(x)
    if 2 * len(values) > len(x) or len(values) < 2:
        return 0.0
    # Relative to the largest value, or ranges of 1e308 overflow.
    largest = np.abs(values[[0, -1]]).max()
    rounding = 8.0 * np.finfo(x.dtype).eps
    values = values.astype(np.float64) / largest
    gaps = np.diff(values)
    gaps = gaps[gaps > rounding]
    if not len(gaps):
        return 0.0
    span = values[-1] - values[0]
    # Of all steps at once, so that rounding of the smallest gap does not add up.
    step = span / np.round(span / gaps.min())
    places = (values - values[0]) / step
    tolerance = 1e-3 + rounding / step
    is_grid = (np.abs(places - np.round(places)) <= tolerance).all()
    return float(step * largest) if is_grid and tolerance < 0.1 else 0.0
