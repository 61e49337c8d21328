"""The knee of a rate-distortion curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def knee_of(rate: NDArray[np.floating], distortion: NDArray[np.floating]) -> int | None:
    """Index of the point that is farthest below the chord of a curve.

    Both axes are first brought to [0, 1], so that the units do not matter [1]_.

    Parameters
    ----------
    rate, distortion : ndarray of shape (n_points,)
        Finite, in any order.

    Returns
    -------
    index : int or None
        None where no point is below the chord between the points of least and most
        rate: with fewer than three points, or where the curve has no bend.

    References
    ----------
    .. [1] V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in
       a haystack: Detecting knee points in system behavior", ICDCS workshops 2011.
    """
    order = np.argsort(rate, kind="stable")
    first, last = order[0], order[-1]
    run, drop = rate[last] - rate[first], distortion[first] - distortion[last]
    if not (run > 0.0 and drop > 0.0):
        return None
    below = (distortion[first] - distortion) / drop - (rate - rate[first]) / run
    index = int(below.argmax())
    return index if below[index] > 1e-9 else None
