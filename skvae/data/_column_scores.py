"""Normal scores of one column: a monotone map by rank, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.floating]
Places = NDArray[np.intp]

# Most atoms of a column, the heaviest, and most knots elsewhere: a column has a few
# thousand numbers at most.
_MAX_ATOMS, _MAX_KNOTS = 1000, 1000

# Weight of a value, relative to one row, from which it is an atom.
_TIED = 1.5

# Smallest atom, as a fraction of all: single precision must tell its ends apart.
_LEAST_ATOM = 1e-5

# Part of a row's weight that is left on either side of an atom for new values.
_MARGIN = 0.1

# Least rank and least distance of two knots in scores, for weights of any size.
_LEAST_RANK, _LEAST_STEP = 1e-9, 1e-9

# Range of scores that knots are counted in.
_RANGE = 7.0

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ColumnScores:
    """Map of a column to normal scores.

    A knot with low < high is an atom: a value that several rows have, and whose weight
    is that of the interval. Between knots the map is linear, and beyond the first and
    last it goes on linearly.

    Attributes
    ----------
    values : ndarray of shape (n_knots,)
        Knots in the units of the column, ascending.
    x : ndarray of shape (n_knots,)
        The same, centred and scaled.
    low, high : ndarray of shape (n_knots,)
        Scores at which a knot begins and ends.
    is_grid : bool
        Whether draws are observed values alone, as in a column of whole numbers.
    dtype : str
        Precision that the values came in.
    """

    values: NDArray[np.float64]
    x: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    is_grid: bool
    dtype: str

    @classmethod
    def from_cells(
        cls, cells: Floats, weight: NDArray[np.float64], unit: float
    ) -> ColumnScores | None:
        """Learn the map from weighted cells, not scaled; None where all are equal.

        A value of more than one row is an atom of its weight. A single one is at the
        middle of its rank, and its weight is around it: the weight of what lies
        between atoms is that of the values seen once, as in the estimate of Good and
        Turing for new values.

        Parameters
        ----------
        cells : ndarray of shape (n_rows,)
            A column without missing cells.
        weight : ndarray of shape (n_rows,)
            Above 0.
        unit : float
            Weight of a row.
        """
        order = np.argsort(cells, kind="stable")
        ascending, weight = cells[order].astype(np.float64), weight[order]
        size = np.abs(ascending[[0, -1]]).max()
        with np.errstate(over="ignore"):
            is_first = np.append(True, np.diff(ascending) > 4.0 * _EPS * size)
        first = np.flatnonzero(is_first)
        if len(first) < 2:
            return None
        fraction = np.add.reduceat(weight / weight.max(), first)
        row = unit / weight.max() / fraction.sum()
        fraction = fraction / fraction.sum()
        is_atom = _atoms(fraction, row)
        # Where most values come again, a new one is most often one of them.
        is_grid = len(first) <= min(2 * int(is_atom.sum()), _MAX_ATOMS)
        end = np.cumsum(fraction)
        begin = end - fraction
        margin = min(_MARGIN * row, 0.25)
        middle = 0.5 * (begin + end)
        low = np.where(is_atom, np.minimum(begin + margin, middle), middle)
        high = np.where(is_atom, np.maximum(end - margin, middle), middle)
        ranks = np.stack([low, high]).clip(_LEAST_RANK, 1.0 - _LEAST_RANK)
        low, high = ndtri(ranks)
        kept = _knots(low, is_atom | is_grid)
        low, high = _ascending(low[kept], high[kept])
        values = ascending[first[kept]]
        return cls(values, values, low, high, is_grid, cells.dtype.name)

    @property
    def is_atom(self) -> NDArray[np.bool_]:
        """Knots that are atoms."""
        return self.low < self.high

    @property
    def nearness(self) -> float:
        """Distance within which a cell is equal to a knot, but for rounding."""
        return 4.0 * _EPS * float(np.abs(self.values[[0, -1]]).max())

    @property
    def middle(self) -> NDArray[np.float64]:
        """Mean of a standard normal number between the ends of each knot."""
        half = 0.5 * (self.low + self.high)
        is_wide = self.high - self.low > 1e-3
        low, high = self.low[is_wide], self.high[is_wide]
        half[is_wide] = (_density(low) - _density(high)) / (ndtr(high) - ndtr(low))
        return half.clip(self.low, self.high)

    @property
    def slopes(self) -> NDArray[np.float64]:
        """Slope of the scores over x: before, between and after the knots.

        Before the first and after the last it is that of the outer scores, over a
        distance of 1, and no more than 1: no steeper than in a normal column.
        """
        inner = (self.low[1:] - self.high[:-1]) / np.diff(self.x).clip(_EPS)
        ends = np.array([self.low[0], self.high[-1]])
        inside = self._between((ends + np.array([1.0, -1.0])).clip(ends[0], ends[1]))
        distance = np.abs(inside - self.x[[0, -1]])
        outer = 1.0 / np.maximum(distance, 1.0)
        return np.concatenate([outer[:1], inner, outer[1:]])

    def _between(self, u: Floats) -> Floats:
        """Centred and scaled values at scores within the range."""
        return np.interp(u, *self.line(self.x))

    def line(self, at_knots: Floats) -> tuple[Floats, Floats]:
        """Both ends of every knot, and a number of each knot at them."""
        ends = np.column_stack([self.low, self.high]).ravel()
        is_new = np.column_stack([np.ones_like(self.is_atom), self.is_atom]).ravel()
        return ends[is_new], np.repeat(at_knots, 2)[is_new]

    def knots_of(self, cells: Floats) -> Places:
        """Number of the knot that each cell is equal to, -1 where there is none."""
        # Of two precisions the coarser one, in which equal numbers are equal.
        dtype = min(np.dtype(self.dtype), cells.dtype, key=lambda each: each.itemsize)
        with np.errstate(over="ignore"):
            known, cells = self.values.astype(dtype), cells.astype(dtype)
        after = np.searchsorted(self.values, cells)
        found = np.full(cells.shape, -1, dtype=np.intp)
        for place in (after - 1, after):
            knot = place.clip(0, len(known) - 1)
            with np.errstate(over="ignore", invalid="ignore"):
                near = np.abs(cells - self.values[knot]) <= self.nearness
            found = np.where((known[knot] == cells) | near, knot, found)
        return found

    def to_scores(self, cells: Floats, x: Floats) -> Floats:
        """Scores of cells; that of a knot is its middle."""
        after, last = np.searchsorted(self.x, x, side="right"), len(self.x) - 1
        before = (after - 1).clip(0)
        # The first knot begins where the last one before it would end.
        start = np.where(after > 0, self.high[before], self.low[0])
        u = start + (x - self.x[before]) * self.slopes[after]
        is_inner = (after > 0) & (after <= last)
        u = np.where(is_inner, u.clip(start, self.low[after.clip(max=last)]), u)
        knot = self.knots_of(cells)
        return np.where(knot >= 0, self.middle[knot], u)

    def log_slope(self, cells: Floats, x: Floats) -> Floats:
        """Logarithm of the slope at cells: the smaller one at a knot, NaN at an atom.

        An atom has a probability, and no density.
        """
        knot = self.knots_of(cells)
        beside = np.log(self.slopes)[np.searchsorted(self.x, x, side="right")]
        return np.where(knot >= 0, self.log_slope_at_knots[knot], beside)

    @property
    def log_slope_at_knots(self) -> Floats:
        """Logarithm of the slope at each knot, as of `log_slope`."""
        nats = np.log(self.slopes)
        return np.where(self.is_atom, np.nan, np.minimum(nats[:-1], nats[1:]))

    def to_user(self, u: Floats) -> NDArray[np.float64]:
        """Values at scores, none of them beyond the knots; NaN stays NaN."""
        is_missing = np.isnan(u)
        u = np.where(is_missing, 0.0, u)
        place = np.interp(u, *self.line(np.arange(len(self.x), dtype=float)))
        before = np.floor(place)
        after = np.minimum(before + 1.0, len(self.x) - 1.0)
        first, second = before.astype(np.intp), after.astype(np.intp)
        # Between two atoms nothing has been seen.
        is_empty = self.is_grid | (self.is_atom[first] & self.is_atom[second])
        part = place - before
        part = np.where(is_empty, np.round(part), part)
        found = (1.0 - part) * self.values[first] + part * self.values[second]
        return np.where(is_missing, np.nan, found)

    def drawn(self, knot: Places, uniform: Floats) -> tuple[Floats, Floats]:
        """Scores drawn within atoms by rank, and the logarithms of their densities.

        Parameters
        ----------
        knot : ndarray of shape (n_cells,)
            Numbers of knots that are atoms.
        uniform : ndarray of shape (n_cells,)
            Between 0 and 1.
        """
        low, high = self.low[knot], self.high[knot]
        # In the lower half, where ranks are exact.
        is_upper = low + high > 0.0
        low, high = np.where(is_upper, -high, low), np.where(is_upper, -low, high)
        first, width = ndtr(low), ndtr(high) - ndtr(low)
        u = ndtri(first + uniform * width).clip(low, high)
        nats = -0.5 * np.square(u) - 0.5 * math.log(2.0 * math.pi) - np.log(width)
        return np.where(is_upper, -u, u), nats


def _atoms(fraction: NDArray[np.float64], row: float) -> NDArray[np.bool_]:
    """Values that are atoms: those of more than one row, or the heaviest of them."""
    is_atom = fraction > max(_TIED * row, _LEAST_ATOM)
    if is_atom.sum() > _MAX_ATOMS:
        is_atom = fraction > np.partition(fraction, -_MAX_ATOMS - 1)[-_MAX_ATOMS - 1]
    return is_atom


def _knots(u: NDArray[np.float64], is_kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Values to keep as knots: atoms, those beside them, the ends, and some others.

    Of the others as many as twice the root of their number, at equal distances of
    scores: more would make a density of the chance distances between rows.
    """
    others = ~is_kept
    n_knots = min(2.0 * math.sqrt(others.sum()), _MAX_KNOTS)
    cell = np.floor(u * max(1.0, n_knots) / _RANGE)
    kept = is_kept.copy()
    kept[1:] |= is_kept[:-1] | (cell[1:] != cell[:-1])
    kept[:-1] |= is_kept[1:]
    kept[[0, -1]] = True
    return kept


def _ascending(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of knots so that the next begins beyond the last one."""
    ends = np.column_stack([low, high])
    step = _LEAST_STEP * np.arange(len(ends))[:, None]
    ends = np.maximum.accumulate((ends - step).ravel()).reshape(ends.shape) + step
    return ends[:, 0], ends[:, 1]


def _density(u: Floats) -> Floats:
    """Density of the standard normal distribution."""
    return np.exp(-0.5 * np.square(u)) / math.sqrt(2.0 * math.pi)
