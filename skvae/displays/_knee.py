"""The knee of a rate-distortion curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def knee_of(rate: NDArray[np.floating], distortion: NDArray[np.floating]) -> int | None:
    """Index of the point that is farthest below the chord of a curve.

    Both axes are first brought to [0, 1], so that the units do not matter [1]_. Where a
    point has more of both than another, the distortion of the other takes the place of
    its own: a curve of held-out rows may turn up at its end.

    Parameters
    ----------
    rate, distortion : ndarray of shape (n_points,)
        Finite, in any order.

    Returns
    -------
    index : int or None
        None where no point is below the chord: with fewer than three, or where the
        curve has no bend.

    References
    ----------
    .. [1] V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in
       a haystack: Detecting knee points in system behavior", ICDCS workshops 2011.
    """
    order = np.lexsort((distortion, rate))
    rate, distortion = rate[order], distortion[order]
    least = np.minimum.accumulate(distortion)
    run, drop = np.ptp(rate), np.ptp(least)
    if not (run > 0.0 and drop > 0.0):
        return None
    below = (least[0] - least) / drop - (rate - rate[0]) / run
    # The first of equal points has the least rate, and is its own least distortion.
    index = below.argmax()
    return int(order[index]) if below[index] > 1e-9 else None
