"""Rows as tensors, and the chunks that long tables are processed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

# Cells of a chunk: few enough to fit the caches.
_CELLS = 1_000_000


def chunks(n_rows: int, cells_per_row: int) -> list[slice]:
    """Slices of rows that hold about a million cells each.

    Whatever is computed from a long table is computed chunk by chunk, so that it is
    not in memory twice.
    """
    size = max(1, _CELLS // max(1, cells_per_row))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


class Fill(NamedTuple):
    """Rows that are in a window, until it is filled with others."""

    n_rows: int
    """Number of rows, from the first on."""
    n_steps: int
    """Number of steps to take with them."""


class WeightedRows(Protocol):
    """Rows with weights: `Rows` on the device, or those that stay in a large table."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def n_features(self) -> int:
        """Number of columns."""

    @property
    def like(self) -> Tensor:
        """A tensor on the device and in the precision of the rows."""

    @property
    def weight(self) -> Tensor:
        """Weight of each row, of shape (n_rows,)."""

    def part(self, rows: slice | Tensor) -> Rows:
        """Some of the rows, as the model sees them, with their weights."""

    def take(self, rows: slice | Tensor) -> WeightedRows:
        """Some of the rows, with weights that sum to 1."""


class Rows(NamedTuple):
    """Rows as the model sees them, on the device: of all, or in a window of them."""

    x: Tensor
    """Rows as the model sees them, of shape (n_rows, n_features)."""
    weight: Tensor
    """Weight of each row, of shape (n_rows,); sums to 1."""
    observed: Tensor | None = None
    """Cells that are not missing, of the shape of x; None where none are."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.x)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.x.shape[1]

    @property
    def like(self) -> Tensor:
        """A tensor on the device and in the precision of the rows."""
        return self.x

    @property
    def sample(self) -> Rows:
        """Rows that stand for all: all of them."""
        return self

    def window(self, batch_size: int) -> Rows:
        """Rows with weights in a batch, which sum to 1 in the mean over batches."""
        return self._replace(weight=self.weight * (len(self.x) / batch_size))

    def fills(
        self, n_steps: int, batch_size: int, generator: Generator
    ) -> Iterator[Fill]:
        """All rows at once, for all steps of an epoch."""
        yield Fill(len(self.x), n_steps)

    def part(self, rows: slice | Tensor) -> Rows:
        """Some of the rows, with their weights."""
        x, weight, observed = self
        if isinstance(rows, slice):
            some = None if observed is None else observed[rows]
            return Rows(x[rows], weight[rows], some)
        # Several times as fast as by brackets.
        some = None if observed is None else observed.index_select(0, rows)
        return Rows(x.index_select(0, rows), weight.index_select(0, rows), some)

    def take(self, rows: slice | Tensor) -> Rows:
        """Some of the rows, with weights that sum to 1."""
        weight = self.weight[rows]
        observed = None if self.observed is None else self.observed[rows]
        return Rows(self.x[rows], weight / weight.sum(), observed)

    def of_columns(self, columns: NDArray[np.bool_]) -> Rows:
        """Rows with some of their columns, given as a mask."""
        if columns.all():
            return self
        import torch

        mask = torch.from_numpy(columns)
        observed = None if self.observed is None else self.observed[:, mask]
        return Rows(self.x[:, mask], self.weight, observed)
