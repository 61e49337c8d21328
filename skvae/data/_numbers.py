"""Arithmetic with numbers of any scale, from 1e-300 to 1e300.

Differences, squares and products of such numbers overflow, or are lost. Columns within
`_ORDINARY` are not touched; what is done to the others is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.floating]

# Sizes at which sums over rows of squares are exact, and nothing has to be done.
_ORDINARY = (1e-100, 1e100)

# Roundings by which equal numbers may differ, such as 0.3 and 0.1 + 0.2.
_ROUNDINGS = 4.0

_EPS = float(np.finfo(np.float64).eps)


def largest_of(low: Floats, high: Floats) -> Floats:
    """Largest size of numbers between two bounds."""
    return np.maximum(np.abs(low), np.abs(high))


def unit_of(size: Floats) -> NDArray[np.float64]:
    """Powers of two that bring columns to a size of about 1; 1 for ordinary ones.

    Parameters
    ----------
    size : ndarray of shape (n_features,)
        Largest size of a number in each column.

    Examples
    --------
    >>> import numpy as np
    >>> [float(unit) for unit in unit_of(np.array([0.0, 7.0, 2.0**600]))]
    [1.0, 1.0, 8.299031137761986e+180]
    """
    least, most = _ORDINARY
    is_ordinary = (size == 0.0) | ((size >= least) & (size <= most))
    exponent = np.where(is_ordinary, 0, np.frexp(size)[1])
    # 2**1024 is no number.
    return np.ldexp(1.0, np.minimum(exponent, 1023))


def differs_by_rounding(
    low: Floats, high: Floats, eps: float = _EPS
) -> NDArray[np.bool_]:
    """True where the smallest and the largest number differ by rounding alone."""
    with np.errstate(over="ignore"):
        return np.asarray(high - low <= _ROUNDINGS * eps * largest_of(low, high))


def standardized(
    X: Floats, center: Floats | float, scale: Floats | float
) -> NDArray[np.float64]:
    """Return (X - center) / scale in float64, also where the difference overflows."""
    with np.errstate(over="ignore"):
        x: NDArray[np.float64] = np.asarray(X - center, dtype=np.float64)
        x /= scale
    is_lost = np.isinf(x)
    if is_lost.any():
        with np.errstate(over="ignore"):
            half = (0.5 * X - 0.5 * np.asarray(center)) / (0.5 * np.asarray(scale))
        x[is_lost] = half[is_lost]
    return x


def unstandardized(
    x: Floats, center: Floats | float, scale: Floats | float, dtype: DTypeLike
) -> Floats:
    """Return x * scale + center, no further out than the largest number of a type."""
    with np.errstate(over="ignore"):
        found = np.asarray(x * scale + center)
    limit = min(np.finfo(dtype).max, np.finfo(found.dtype).max)
    return np.clip(found, *np.array([-limit, limit], dtype=found.dtype))
