"""Between the user's table and the numbers that the model sees."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Table:
    """Centre and scale of each column, and the kind of table they came in.

    Attributes
    ----------
    center, scale : ndarray of shape (n_features,)
        The model sees (X - center) / scale.
    variance : ndarray of shape (n_features,)
        Variance of the columns as the model sees them, 1 where it is zero.
    container : {"array", "pandas", "polars"}
        What the estimator was fitted on.
    names : ndarray of str, or None
        Names of the columns, if they have any.
    is_constant : ndarray of shape (n_features,), dtype=bool
        Columns that have held nothing but their centre, and so are given back as
        it, whatever the model makes of them.
    dtype : str
        Precision that they came in.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    variance: NDArray[np.float64]
    container: str
    names: Sequence[str] | None
    is_constant: NDArray[np.bool_]
    dtype: str = "float64"

    @classmethod
    def from_rows(
        cls,
        X: NDArray[np.floating],
        index: NDArray[np.intp],
        weight: NDArray[np.float64],
        *,
        standardize: bool,
        container: str,
        names: Sequence[str] | None,
    ) -> Table:
        """Learn centre and scale from weighted rows, in float64.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        index : ndarray of shape (n_rows,)
            Which of its rows, and in which order.
        weight : ndarray of shape (n_rows,)
        standardize : bool
            Whether to centre and scale at all.
        container : str
            As `container_of` returns it.
        names : array of str or None
        """
        weight = weight / weight.sum()
        parts = slices(len(index), X.shape[1])
        mean = sum(weight[part] @ _float64(X[index[part]]) for part in parts)
        low = functools.reduce(np.minimum, (X[index[p]].min(axis=0) for p in parts))
        high = functools.reduce(np.maximum, (X[index[p]].max(axis=0) for p in parts))
        # Columns that differ by rounding alone are constant.
        is_constant = high - low <= 4.0 * np.finfo(np.float64).eps * np.abs(mean)
        center = np.where(is_constant, X[index[0]], mean)
        # Relative to the largest one, or squares of 1e-200 and 1e200 are lost.
        largest = np.maximum(high - center, center - low)
        largest[is_constant] = 1.0
        square = sum(
            weight[part] @ np.square((X[index[part]] - center) / largest)
            for part in parts
        )
        spread = largest * np.sqrt(square)
        spread[is_constant] = 1.0
        ones = np.ones_like(spread)
        if standardize:
            return cls(
                center, spread, ones, container, names, is_constant, X.dtype.name
            )
        none = np.zeros_like(is_constant)
        return cls(
            0.0 * ones, ones, np.square(spread), container, names, none, X.dtype.name
        )

    def after(self, X: NDArray[np.floating]) -> Table:
        """Table when more rows have been seen; centre and scale stay as they are."""
        is_constant = self.is_constant & (self.center == X).all(axis=0)
        return replace(self, is_constant=is_constant)

    def to_model(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Rows as the model sees them, in float64."""
        return (X - self.center) / self.scale

    def to_user(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Rows in the units of X, in the precision of `x`."""
        scale = np.where(self.is_constant, 0.0, self.scale)
        return (x * scale + self.center).astype(x.dtype, copy=False)

    def wrap(self, X: NDArray[np.floating]) -> Any:
        """Rows in the kind of table that the estimator was fitted on."""
        if self.container == "pandas":
            import pandas as pd

            return pd.DataFrame(X, columns=self.names)
        if self.container == "polars":
            import polars as pl

            return pl.DataFrame(X, schema=None if self.names is None else [*self.names])
        return X

    @property
    def log_jacobian(self) -> NDArray[np.float64]:
        """Nats that each column's distortion gains in the units of X."""
        return np.log(self.scale)


def slices(n_rows: int, n_features: int) -> list[slice]:
    """Slices of rows that hold about a million cells each.

    What is computed of a table is computed slice by slice, so that a large one is not
    in memory twice.
    """
    size = max(1, 2**20 // n_features)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _float64(X: NDArray[np.floating]) -> NDArray[np.float64]:
    return X.astype(np.float64, copy=False)


def container_of(X: Any) -> str:
    """Whether X is a frame of pandas or polars, without importing either."""
    for name in ("pandas", "polars"):
        library = sys.modules.get(name)
        if library is not None and isinstance(X, library.DataFrame):
            return name
    return "array"
