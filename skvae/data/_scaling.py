"""Centre and scale of columns, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skvae.data._moments import Moments
from skvae.data._numbers import differs_by_rounding, standardized, unstandardized
from skvae.data._rows import chunks

# Interquartile range of the standard normal distribution.
_NORMAL_RANGE = 1.3489795003921634

# A smaller one, relative to the standard deviation, is that of values that are equal
# but for rounding, and would leave no digits to the others.
_LEAST_RANGE = 1e-6

# Distance from the mean, in standard deviations, at which a cell counts as one that is
# no further. Its square fits into single precision, whatever the layers make of it.
_FARTHEST = 1e9

# Distance that any other value counts as in a column that has never varied. No unit is
# known of it: a unit that is too small would cost any number of nats, one that is too
# large next to none.
_CHANGED = 10.0


@dataclass(frozen=True)
class Scaling:
    """Centre and scale of each column.

    Attributes
    ----------
    center, scale : ndarray of shape (n_features,)
        The model sees (X - center) / scale.
    mean : ndarray of shape (n_features,)
        Mean of the columns as the model sees them, 0 where it is taken out.
    variance : ndarray of shape (n_features,)
        Variance of the columns as the model sees them, 1 where it is zero.
    is_constant : ndarray of shape (n_features,), dtype=bool
        Columns that have held nothing but their centre, and so are given back as
        it, whatever the model makes of them. Any other value is ten units from it.
    farthest : ndarray of shape (n_features,)
        Largest size of a cell as the model sees it, at which all beyond it count;
        infinite for columns that are not continuous.
    dtype : str
        Precision that they came in.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    is_constant: NDArray[np.bool_]
    farthest: NDArray[np.float64]
    dtype: str = "float64"

    @classmethod
    def from_rows(
        cls,
        X: NDArray[np.floating],
        index: NDArray[np.integer],
        weight: NDArray[np.float64],
        *,
        standardize: bool | str,
        columns: NDArray[np.bool_] | bool = True,
        moments: Moments | None = None,
    ) -> Scaling:
        """Learn centre and scale from weighted rows, in float64.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            NaN where a cell is missing.
        index : ndarray of shape (n_rows,)
            Which of its rows, and in which order.
        weight : ndarray of shape (n_rows,)
        standardize : bool or "robust"
            Whether to centre and scale: by mean and standard deviation, or robustly,
            by the median and the interquartile range over that of a normal
            distribution. A column with half of its weight in one value has no such
            range, or next to none, and gets its standard deviation.
        columns : ndarray of shape (n_features,) or bool, default=True
            Columns to centre and scale.
        moments : Moments or None, default=None
            Of all rows, where X has but some of them; None takes those of X.
        """
        if moments is None:
            parts = chunks(len(index), X.shape[1])
            moments = Moments.of(
                lambda: ((X[index[part]], weight[part]) for part in parts)
            )
        unit, mean, is_constant = moments.unit, moments.mean, moments.is_constant
        center, std = moments.center.copy(), moments.std
        # Next to nothing where all rows that vary weigh next to nothing.
        std = np.maximum(std, moments.largest / _FARTHEST)
        std[is_constant] = 1.0
        is_scaled = np.broadcast_to(bool(standardize) & columns, std.shape)
        scale = std.copy()
        if standardize == "robust":
            for d in np.flatnonzero(is_scaled & ~is_constant):
                low, median, high = quartiles(X[index, d] / unit[d], weight)
                center[d] = median
                if high - low > _LEAST_RANGE * std[d]:
                    scale[d] = (high - low) / _NORMAL_RANGE
        seen = np.where(is_constant, 0.0, (mean - center) / scale)
        with np.errstate(over="ignore"):
            # Infinite only of numbers that no model could work with unscaled.
            seen = np.where(is_scaled, seen, mean * unit)
            std = np.where(is_scaled, std / scale, std * unit)
            std[is_constant] = 1.0
            variance = np.square(std)
            farthest = np.abs(seen) + _FARTHEST * std
        # Within the range of numbers, which rounding may leave.
        center, scale = (
            np.asarray(unstandardized(each, 0.0, unit, np.float64), dtype=np.float64)
            for each in (center, scale)
        )
        # Half of the smallest number is none.
        scale = np.maximum(scale, np.nextafter(0.0, 1.0))
        return cls(
            np.where(is_scaled, center, 0.0),
            np.where(is_scaled & ~is_constant, scale, 1.0),
            seen,
            variance,
            is_constant & is_scaled,
            np.where(columns, farthest, np.inf),
            X.dtype.name,
        )

    def after(self, X: NDArray[np.floating]) -> Scaling:
        """Scaling when more rows have been seen; only constant columns may change."""
        is_constant = self.is_constant & ((self.center == X) | np.isnan(X)).all(axis=0)
        return replace(self, is_constant=is_constant)

    def to_model(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Rows as the model sees them, in float64."""
        x = standardized(X, self.center, self.scale)
        eps = max(float(np.finfo(dtype).eps) for dtype in (X.dtype, self.dtype))
        for d in np.flatnonzero(self.is_constant):
            cells, value = X[:, d], self.center[d]
            low, high = np.minimum(cells, value), np.maximum(cells, value)
            is_same = differs_by_rounding(low, high, eps)
            x[:, d] = np.where(is_same, 0.0, np.sign(x[:, d]) * _CHANGED)
        return np.clip(x, -self.farthest, self.farthest, out=x)

    @property
    def user_scale(self) -> NDArray[np.float64]:
        """Scale of each column on the way back: 0 where it holds its centre alone."""
        return np.where(self.is_constant, 0.0, self.scale)

    def to_user(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Rows in the units of X, in the precision of `x`."""
        found = unstandardized(x, self.center, self.user_scale, x.dtype)
        return found.astype(x.dtype, copy=False)

    @property
    def log_jacobian(self) -> NDArray[np.float64]:
        """Nats that each column's distortion gains in the units of X."""
        return np.log(self.scale)


def quartiles(
    x: NDArray[np.floating], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quartiles of a column with a weight for each row, over what is not missing.

    A quartile that falls between two values is their mean, as a median is, so that a
    weight of 2 is the value twice and minus the column has the quartiles reversed.
    """
    is_there = ~np.isnan(x) & (weight > 0.0)
    order = np.argsort(x[is_there], kind="stable")
    x, below = x[is_there][order].astype(np.float64), np.cumsum(weight[is_there][order])
    fraction = below / below[-1]
    # Sums of weights round, and a quartile must not depend on that.
    slack = 1e-9
    found = []
    for quarter in (0.25, 0.5, 0.75):
        first, last = np.searchsorted(fraction, [quarter - slack, quarter + slack])
        found.append(0.5 * x[first] + 0.5 * x[min(last, len(x) - 1)])
    return np.array(found)


def columns_with_gaps(X: NDArray[np.floating]) -> tuple[int, ...]:
    """Positions of the columns that have missing cells."""
    found = np.zeros(X.shape[1], dtype=bool)
    for part in chunks(*X.shape):
        found |= np.isnan(X[part]).any(axis=0)
    return tuple(int(column) for column in np.flatnonzero(found))
