"""Rows that the steps of a training gather from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch

from skvae.data._rows import Fill, WeightedRows


class Source(Protocol):
    """Rows to train on: in memory, or those of a file, window by window."""

    @property
    def n_rows(self) -> int:
        """Number of rows, of which each is trained on about as often."""

    @property
    def sample(self) -> WeightedRows:
        """Rows in memory that stand for all where a mean over these is computed."""

    def window(self, batch_size: int) -> WeightedRows:
        """Rows that batches are gathered from, with their weights in a batch.

        At each call the same rows; those of a file change as it is read.
        """

    def fills(
        self, n_steps: int, batch_size: int, generator: torch.Generator
    ) -> Iterator[Fill]:
        """Fill the window time and again, for the steps of an epoch."""
