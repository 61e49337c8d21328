"""Normal scores of the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skvae.data._column_scores import ColumnScores
from skvae.data._rows import chunks

Floats = NDArray[np.floating]
Places = NDArray[np.integer]

# Largest number of draws that stand for equal rows.
_MAX_COPIES = 32


@dataclass(frozen=True)
class NormalScores:
    """Maps of columns to normal scores.

    Attributes
    ----------
    columns : tuple of (ColumnScores or None), of length n_features
        None for a column that is left as it is.
    row_weight : float
        Weight of a row that is alone.
    """

    columns: tuple[ColumnScores | None, ...]
    row_weight: float

    @classmethod
    def from_rows(
        cls,
        X: Floats,
        index: Places,
        weight: NDArray[np.float64],
        is_mapped: NDArray[np.bool_],
        to_model: Callable[[Floats], NDArray[np.float64]],
    ) -> NormalScores:
        """Learn the maps from weighted rows.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            NaN where a cell is missing.
        index : ndarray of shape (n_rows,)
            Distinct rows of X to use.
        weight : ndarray of shape (n_rows,)
            A weight of 2 is the row twice.
        is_mapped : ndarray of shape (n_features,), dtype=bool
            Columns to map, none of them constant.
        to_model : callable
            Centres and scales rows.
        """
        # Weights may be fractions of 1; whole ones are numbers of rows.
        half = len(weight) // 2
        unit = min(1.0, float(np.partition(weight, half)[half]))
        columns: list[ColumnScores | None] = [None] * X.shape[1]
        for d in np.flatnonzero(is_mapped).tolist():
            cells = X[index, d]
            there = ~np.isnan(cells)
            columns[d] = ColumnScores.from_cells(cells[there], weight[there], unit)
        # All knots are scaled as one table.
        sizes = [0 if column is None else len(column.values) for column in columns]
        knots = np.full((max(sizes, default=0), len(columns)), np.nan)
        for d, column in enumerate(columns):
            if column is not None:
                knots[: sizes[d], d] = column.values
        knots = to_model(knots)
        scaled = [
            None if column is None else replace(column, x=knots[:size, d])
            for d, (column, size) in enumerate(zip(columns, sizes, strict=True))
        ]
        return cls(tuple(scaled), unit)

    def of(self, columns: Sequence[int] | Places) -> NormalScores:
        """Maps of some of the columns."""
        return NormalScores(tuple(self.columns[d] for d in columns), self.row_weight)

    @property
    def is_mapped(self) -> NDArray[np.bool_]:
        """Columns that have a map, of shape (n_features,)."""
        return np.array([column is not None for column in self.columns], dtype=bool)

    @property
    def _mapped(self) -> list[tuple[int, ColumnScores]]:
        """Places of the columns that have a map, and the maps."""
        return [(d, c) for d, c in enumerate(self.columns) if c is not None]

    @property
    def has_atoms(self) -> bool:
        """True where any column has atoms."""
        return any(column.is_atom.any() for _, column in self._mapped)

    @property
    def atoms(self) -> tuple[Floats, Floats]:
        """Ends of the atoms, ascending, of shape (n_features, n_atoms or more).

        Infinite where a column has fewer.
        """
        own = [
            np.empty((2, 0)) if c is None else np.stack([c.low, c.high])[:, c.is_atom]
            for c in self.columns
        ]
        most = max(1, *(each.shape[1] for each in own))
        found = np.full((2, len(own), most), np.inf)
        for d, each in enumerate(own):
            found[:, d, : each.shape[1]] = each
        return found[0], found[1]

    def to_scores(self, X: Floats, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of rows in the columns that have a map.

        Parameters
        ----------
        X, x : ndarray of shape (n_samples, n_features)
            Rows, and the same centred and scaled; a missing cell stays missing.
        """
        u = x.copy()
        for d, column in self._mapped:
            cells = column.to_scores(X[:, d], x[:, d])
            u[:, d] = np.where(np.isnan(x[:, d]), np.nan, cells)
        return u

    def log_slope(self, X: Floats, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the slope of the map at each cell; NaN at an atom.

        Parameters are those of `to_scores`.
        """
        found = np.zeros(x.shape)
        for d, column in self._mapped:
            found[:, d] = column.log_slope(X[:, d], x[:, d])
        return found

    def is_atom(self, X: Floats) -> NDArray[np.bool_]:
        """Cells that are atoms, of the shape of X."""
        found = np.zeros(X.shape, dtype=bool)
        for d, column in self._mapped:
            knot = column.knots_of(X[:, d])
            found[:, d] = (knot >= 0) & column.is_atom[knot]
        return found

    def to_user(self, u: Floats, X: Floats) -> Floats:
        """Rows with the values at scores in the columns that have a map.

        Parameters
        ----------
        u, X : ndarray of shape (..., n_features)
            Scores, and rows to take the other columns from.
        """
        X = X.astype(np.float64)
        for d, column in self._mapped:
            X[..., d] = column.to_user(u[..., d])
        return X

    def n_copies(self, X: Floats, index: Places, weight: NDArray[np.float64]) -> Places:
        """Number of draws that stand for each of some rows of a table.

        A row that stands for many equal ones gets several draws within its atoms.
        """
        copies = np.rint((weight / self.row_weight).clip(1.0, _MAX_COPIES))
        for part in chunks(len(index), X.shape[1]):
            copies[part][~self.is_atom(X[index[part]]).any(axis=1)] = 1.0
        return copies.astype(np.intp)

    def drawn(
        self, X: Floats, uniform: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores of cells on atoms, drawn within them, and the logarithms of densities.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        uniform : ndarray of shape (..., n_rows or 1, n_features)
            Between 0 and 1.

        Returns
        -------
        u, log_density : ndarray of shape (..., n_rows, n_features)
            NaN for all cells that are not on atoms.
        """
        shape = np.broadcast_shapes(X.shape, uniform.shape)
        u, nats = np.full((2, *shape), np.nan)
        for d, column in self._mapped:
            knot = column.knots_of(X[:, d])
            rows = np.flatnonzero((knot >= 0) & column.is_atom[knot])
            own = np.broadcast_to(uniform[..., d], shape[:-1])[..., rows]
            u[..., rows, d], nats[..., rows, d] = column.drawn(knot[rows], own)
        return u, nats
