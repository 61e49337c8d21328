"""Rows of a large table, as the model sees them only while they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skvae.data._rows import Fill, Rows

if TYPE_CHECKING:
    from torch import Generator, Tensor

# Cells that are brought into the form of the model at once: few enough for its
# temporary copies, in double precision, to stay in a cache.
_CELLS = 2**16

#: Rows as the model sees them, and a mask of their cells that are there, or None.
Seen: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_] | None]


@dataclass(frozen=True)
class RowsInTable:
    """Rows that stay in the user's table: it is not in memory twice.

    Whatever part of them is used is brought into the form of the model then, each time
    with the same result as `Rows` would hold.

    Attributes
    ----------
    seen : callable
        Brings rows of X into the form of the model, as `TableView.seen`.
    X : ndarray of shape (n_samples, n_features)
        Admitted numbers; NaN where a cell is missing.
    index : ndarray of shape (n_rows,)
        Rows of X to use, in order.
    weight : Tensor of shape (n_rows,)
        Weight of each.
    has_gaps : bool
        Whether any cell of X is missing.
    """

    seen: Callable[[NDArray[np.floating]], Seen]
    X: NDArray[np.floating]
    index: NDArray[np.integer]
    weight: Tensor
    has_gaps: bool

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.index)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.X.shape[1]

    @property
    def like(self) -> Tensor:
        """A tensor on the device and in the precision of the rows."""
        return self.weight

    @property
    def sample(self) -> RowsInTable:
        """Rows that stand for all: all of them."""
        return self

    def window(self, batch_size: int) -> RowsInTable:
        """Rows with weights in a batch, which sum to 1 in the mean over batches."""
        return replace(self, weight=self.weight * (self.n_rows / batch_size))

    def fills(
        self, n_steps: int, batch_size: int, generator: Generator
    ) -> Iterator[Fill]:
        """All rows at once, for all steps of an epoch."""
        yield Fill(self.n_rows, n_steps)

    def part(self, rows: slice | Tensor) -> Rows:
        """Some of the rows, as the model sees them, with their weights."""
        import torch

        index = self._places(rows)
        weight, shape = self.weight[rows], (len(index), self.n_features)
        x = weight.new_empty(shape)
        observed = x.new_ones(shape, dtype=torch.bool) if self.has_gaps else None
        for start in range(0, len(index), size := max(1, _CELLS // shape[1])):
            here = slice(start, start + size)
            seen, is_observed = self.seen(self.X[index[here]])
            x[here] = torch.from_numpy(seen)
            if observed is not None and is_observed is not None:
                observed[here] = torch.from_numpy(is_observed)
        return Rows(x, weight, observed)

    def take(self, rows: slice | Tensor) -> RowsInTable:
        """Some of the rows, with weights that sum to 1."""
        weight = self.weight[rows]
        return replace(self, index=self._places(rows), weight=weight / weight.sum())

    def _places(self, rows: slice | Tensor) -> NDArray[np.integer]:
        """Numbers of some of the rows in the table."""
        return self.index[rows if isinstance(rows, slice) else rows.numpy()]
