"""Range, mean and standard deviation of columns, from parts of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skvae.data._numbers import differs_by_rounding, largest_of, unit_of

#: Rows, with NaN where a cell is missing, and the weight of each.
Part: TypeAlias = tuple[NDArray[np.floating], NDArray[np.float64]]


@dataclass(frozen=True)
class Moments:
    """Range, mean and standard deviation of weighted columns, in float64.

    Attributes
    ----------
    unit : ndarray of shape (n_features,)
        Powers of two that all other attributes are in units of; 1 for columns of an
        ordinary size.
    mean : ndarray of shape (n_features,)
        Weighted mean.
    is_constant : ndarray of shape (n_features,), dtype=bool
        Columns whose cells differ by rounding alone.
    center : ndarray of shape (n_features,)
        The mean, or the value of a column that is constant.
    largest : ndarray of shape (n_features,)
        Largest distance from the centre; 1 for a column that is constant.
    std : ndarray of shape (n_features,)
        Weighted standard deviation.
    """

    unit: NDArray[np.float64]
    mean: NDArray[np.float64]
    is_constant: NDArray[np.bool_]
    center: NDArray[np.float64]
    largest: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Callable[[], Iterable[Part]]) -> Moments:
        """Pass over the parts of a table three times: for range, mean and variance.

        Squares are of distances from the mean, and sums in order, so that nothing is
        lost where a mean is large, and all is the same at every call.

        Parameters
        ----------
        parts : callable
            Returns the parts of the table, at each call the same ones.
        """
        first = low = high = None
        for x, _ in parts():
            # Both ignore missing cells, and are NaN where all cells are missing.
            ends = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
            first = x[0] if first is None else first
            low = ends[0] if low is None else np.fmin(low, ends[0])
            high = ends[1] if high is None else np.fmax(high, ends[1])
        assert first is not None
        assert low is not None
        assert high is not None
        # In float64, or differences of float32 may be beyond it. A column that is
        # missing altogether is one that holds zeros.
        low, high = (np.nan_to_num(each.astype(float)) for each in (low, high))
        first = np.where(np.isnan(first), high, first)
        unit = unit_of(largest_of(low, high))
        low, high, first = low / unit, high / unit, first / unit
        # An exact division, which ordinary columns do not need.
        is_ordinary = bool((unit == 1.0).all())

        def numbers() -> Iterable[Part]:
            return ((x if is_ordinary else x / unit, weight) for x, weight in parts())

        mean = mean_of(numbers())
        is_constant = differs_by_rounding(low, high)
        center = np.where(is_constant, first, mean)
        # Relative to the largest one, or squares of 1e-200 and 1e200 are lost.
        largest = np.maximum(high - center, center - low)
        largest[is_constant] = 1.0
        squares = (
            (np.square((x - center) / largest), weight) for x, weight in numbers()
        )
        std = largest * np.sqrt(mean_of(squares))
        return cls(unit, mean, is_constant, center, largest, std)


def mean_of(parts: Iterable[Part]) -> NDArray[np.float64]:
    """Weighted means of columns, over what is not missing."""
    total: Any = 0.0
    mean: Any = 0.0
    for x, weight in parts:
        is_there = ~np.isnan(x)
        if is_there.all():
            total = total + weight.sum()
            mean = mean + weight @ x.astype(np.float64, copy=False)
        else:
            cells = weight[:, None] * is_there
            total = total + cells.sum(axis=0)
            mean = mean + (cells * np.where(is_there, x, 0.0)).sum(axis=0)
    total = np.broadcast_to(np.asarray(total, dtype=np.float64), mean.shape)
    found: NDArray[np.float64] = mean / np.where(total > 0.0, total, 1.0)
    return found
