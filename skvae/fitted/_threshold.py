"""The threshold below which the scores of a proportion of rows are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def threshold(
    scores: NDArray[np.floating], weight: NDArray[np.float64], proportion: float
) -> float:
    """Score that a proportion of the weight is below, halfway between two scores.

    Equal scores are on one side of it, so that a row of weight 2 is the same as the row
    twice. The weight below is as close to the proportion as they allow.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,)
        Above 0.
    proportion : float
        In (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([3.0, 1.0, 2.0, 4.0])
    >>> threshold(scores, np.ones(4), 0.25)
    1.5
    >>> threshold(scores, np.array([1.0, 1.0, 1.0, 5.0]), 0.25)
    2.5
    """
    values, place = np.unique(scores.astype(np.float64), return_inverse=True)
    below = np.append(0.0, np.cumsum(np.bincount(place, weight)))
    distance = np.abs(below[:-1] / below[-1] - proportion)
    # The lower one where two are as close, but for rounding.
    first = int(np.argmax(distance <= distance.min() + 1e-9))
    low = values[max(first - 1, 0)]
    return float(low + 0.5 * (values[first] - low))
