"""Blocks of columns of levels, each processed in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Levels from which on a column is faster by itself: reductions over one segment take a
# tenth of those over many, but each call costs as much as a few dozen levels.
_MANY_LEVELS = 64


class Block(NamedTuple):
    """Columns side by side, and where their levels stand among those of all."""

    columns: slice
    places: slice
    is_wide: bool
    """True for a single column of many levels."""


def blocks_of(n_levels: NDArray[np.intp]) -> list[Block]:
    """Each column of many levels by itself, and those between two such together.

    Parameters
    ----------
    n_levels : ndarray of shape (n_columns,)

    Examples
    --------
    >>> import numpy as np
    >>> [block.columns for block in blocks_of(np.array([2, 3, 900, 2]))]
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    is_wide = n_levels >= _MANY_LEVELS
    # A block begins at each wide column, and after it.
    begins = np.flatnonzero(is_wide | np.concatenate([[True], is_wide[:-1]]))
    ends = [*begins[1:], len(n_levels)]
    place = np.concatenate([[0], np.cumsum(n_levels)])
    return [
        Block(
            slice(int(first), int(end)),
            slice(int(place[first]), int(place[end])),
            bool(is_wide[first]),
        )
        for first, end in zip(begins, ends, strict=True)
    ]
