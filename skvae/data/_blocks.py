"""Tables that are read in blocks of rows, time and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np


class Block(NamedTuple):
    """Consecutive rows of a table."""

    start: int
    """Number of the first of them."""
    table: Any
    """The rows, as a table of their own."""


class Blocks(Protocol):
    """A table that is read in blocks of rows, time and again."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def is_numeric(self) -> bool:
        """True where all of it is arrays of numbers or booleans."""

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Block]:
        """Read all rows once: in their order, or shuffled as well as possible.

        Parameters
        ----------
        random : RandomState or None, default=None
            Draws the order of the blocks; None for that of the rows.
        """
