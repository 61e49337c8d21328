"""Normal scores of the columns of a table, in operations on tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skvae.data._column_scores import ColumnScores
from skvae.data._normal_scores import NormalScores

# Beyond the scores of all knots.
_FARTHEST = 100.0

# In the place of the map of a column that has none, and whose results are not used.
_ZERO = np.zeros(1)
_NO_MAP = ColumnScores(_ZERO, _ZERO, _ZERO, _ZERO, False, "float64")


class TensorScores(nn.Module):
    """Maps of columns to normal scores, as `NormalScores`, and back.

    Each table has a line for each column, filled up at its end. Searches are along
    lines: no tensor is as large as rows times knots.

    Parameters
    ----------
    scores : NormalScores
    """

    is_mapped: Tensor
    is_grid: Tensor
    nearness: Tensor
    last: Tensor
    values: Tensor
    x: Tensor
    low: Tensor
    high: Tensor
    middle: Tensor
    is_atom: Tensor
    slopes: Tensor
    log_slopes: Tensor
    log_at_knots: Tensor
    ends: Tensor
    places: Tensor
    rises: Tensor

    def __init__(self, scores: NormalScores) -> None:
        super().__init__()
        self.register_buffer("is_mapped", torch.tensor(scores.is_mapped))
        self.is_single = any(c and c.dtype == "float32" for c in scores.columns)
        maps = [_NO_MAP if column is None else column for column in scores.columns]
        for name in ("is_grid", "nearness"):
            self._keep(name, [np.array([getattr(each, name)]) for each in maps])
        self._keep("last", [np.array([len(each.x) - 1]) for each in maps])
        for name in ("low", "high", "middle", "is_atom", "slopes"):
            self._keep(name, [getattr(each, name) for each in maps])
        for name in ("values", "x"):
            self._keep(name, [getattr(each, name) for each in maps], np.inf)
        self._keep("log_slopes", [np.log(each.slopes) for each in maps])
        self._keep("log_at_knots", [each.log_slope_at_knots for each in maps])
        # Scores at both ends of every knot, its number, and how that rises.
        lines = [each.line(np.arange(len(each.x), dtype=float)) for each in maps]
        self._keep("ends", [ends for ends, _ in lines], np.inf)
        self._keep("places", [places for _, places in lines])
        rises = [np.diff(places) / np.diff(ends) for ends, places in lines]
        self._keep("rises", [np.append(each, 0.0) for each in rises])

    def _keep(self, name: str, lines: Sequence[NDArray], fill: float = 0.0) -> None:
        table = np.full((len(lines), max(map(len, lines))), fill, lines[0].dtype)
        for line, own in zip(table, lines, strict=True):
            line[: len(own)] = own
        self.register_buffer(name, torch.tensor(table))

    def admitted(self, X: Tensor, is_single: bool) -> Tensor:
        """Rows in which a cell that is equal to a knot, but for rounding, is the knot.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            In double precision, as all other rows and scores.
        is_single : bool
            Whether they came in single precision.
        """
        cells = _lines(X)
        # Of two precisions the coarser one, in which equal numbers are equal.
        is_single = is_single or self.is_single
        rounded = cells.float().double() if is_single else cells
        after = torch.searchsorted(self.values, rounded)
        for place in (after - 1, after):
            value = self.values.gather(1, self._inside(place))
            known = value.float().double() if is_single else value
            is_same = (known == rounded) | ((rounded - value).abs() <= self.nearness)
            cells = torch.where(is_same, value, cells)
        return self._mapped(cells, X)

    def knots(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of knots of admitted cells, and which are equal to these.

        Both have a line for each column, of shape (n_features, n_samples).
        """
        cells = _lines(X)
        knot = self._inside(torch.searchsorted(self.values, cells))
        return knot, self.values.gather(1, knot) == cells

    def to_scores(self, X: Tensor, x: Tensor) -> Tensor:
        """Scores of admitted rows X, which are `x` when centred and scaled."""
        cells = _lines(x)
        after = torch.searchsorted(self.x, cells, right=True)
        before, next_one = self._inside(after - 1), self._inside(after)
        # The first knot begins where the last one before it would end.
        high, first = self.high.gather(1, before), self.low[:, :1]
        start = torch.where(after > 0, high, first)
        slope = self.slopes.gather(1, torch.minimum(after, self.last + 1))
        u = start + (cells - self.x.gather(1, before)) * slope
        stop = self.low.gather(1, next_one)
        is_inner = (after > 0) & (after <= self.last)
        u = torch.where(is_inner, torch.minimum(torch.maximum(u, start), stop), u)
        knot, is_knot = self.knots(X)
        u = torch.where(is_knot, self.middle.gather(1, knot), u)
        return self._mapped(u, x)

    def log_slope(self, X: Tensor, x: Tensor) -> Tensor:
        """Logarithm of the slope of the map at admitted cells; NaN at an atom."""
        after = torch.searchsorted(self.x, _lines(x), right=True)
        beside = self.log_slopes.gather(1, torch.minimum(after, self.last + 1))
        knot, is_knot = self.knots(X)
        nats = torch.where(is_knot, self.log_at_knots.gather(1, knot), beside)
        return self._mapped(nats, torch.zeros_like(x))

    def to_user(self, u: Tensor, X: Tensor) -> Tensor:
        """Rows with the values at scores in the columns that have a map.

        Parameters
        ----------
        u, X : Tensor of shape (..., n_features)
            Scores, and rows to take the other columns from.
        """
        cells = _lines(u).clamp(-_FARTHEST, _FARTHEST)
        after = torch.searchsorted(self.ends, cells, right=True)
        part = (after - 1).clamp(0, self.ends.shape[1] - 1)
        beyond = (cells - self.ends.gather(1, part)).clamp(min=0.0)
        place = self.places.gather(1, part) + self.rises.gather(1, part) * beyond
        before = place.floor()
        first, second = (self._inside(before.long() + i) for i in (0, 1))
        # Between two atoms nothing has been seen.
        atoms = self.is_atom.gather(1, first) & self.is_atom.gather(1, second)
        part = place - before
        part = torch.where(self.is_grid | atoms, part.round(), part)
        low, high = self.values.gather(1, first), self.values.gather(1, second)
        return self._mapped((1.0 - part) * low + part * high, X)

    def _inside(self, place: Tensor) -> Tensor:
        """Numbers of the nearest knots that a column has."""
        return torch.minimum(place.clamp(min=0), self.last)

    def _mapped(self, cells: Tensor, others: Tensor) -> Tensor:
        """Lines of cells as rows, with columns without a map taken from others."""
        rows = cells.view(others.movedim(-1, 0).shape).movedim(0, -1)
        return torch.where(self.is_mapped, rows, others)


def _lines(rows: Tensor) -> Tensor:
    """Cells with a line for each column."""
    return rows.movedim(-1, 0).flatten(1).contiguous()
