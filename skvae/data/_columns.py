"""Types, names and levels of the user's columns; their conversion to numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A category that the table of `fit` did not hold.
UNKNOWN = -1.0


@dataclass(frozen=True)
class Columns:
    """Contents of the columns of a table, learned from the table of `fit`.

    Categories become codes from 0 in sorted order, booleans become zeros and ones, and
    missing cells (None, NaN, NA, null) become NaN. The conversion back restores the
    kind of table and the name and type of each column.

    Attributes
    ----------
    container : {"array", "pandas", "polars"}
        Kind of table.
    names : list or None
        Names of the columns, where the table has any.
    categories : list of ndarray or None
        The categories of each column, None for one of numbers.
    is_boolean, is_integer : ndarray of shape (n_features,), dtype=bool
        Columns whose numbers stand for booleans or integers.
    dtypes : list
        Types of the columns as the table's library calls them.
    """

    container: str
    names: Sequence[Any] | None
    categories: list[NDArray[Any] | None]
    is_boolean: NDArray[np.bool_]
    is_integer: NDArray[np.bool_]
    dtypes: list[Any]

    @classmethod
    def of(cls, X: Any) -> Columns:
        """Learn the contents of the columns of a table.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)
        """
        container = container_of(X)
        columns = _series(X, container)
        kinds = [_kind(column, container) for column in columns]
        return cls(
            container=container,
            names=None if container == "array" else list(X.columns),
            categories=[
                _categories(column) if kind == "category" else None
                for column, kind in zip(columns, kinds, strict=True)
            ],
            is_boolean=np.array([kind == "boolean" for kind in kinds], dtype=bool),
            is_integer=np.array([kind == "integer" for kind in kinds], dtype=bool),
            dtypes=[_named(column.dtype) for column in columns],
        )

    @classmethod
    def of_numbers(cls, n_features: int) -> Columns:
        """Columns of an array of numbers, which are returned as they are."""
        no = np.zeros(n_features, dtype=bool)
        return cls("array", None, [None] * n_features, no, no, [None] * n_features)

    @property
    def is_category(self) -> NDArray[np.bool_]:
        """Columns of categories."""
        return np.array([each is not None for each in self.categories], dtype=bool)

    def to_numbers(self, X: Any) -> NDArray[np.float64]:
        """Table as numbers: codes for categories, NaN for missing cells.

        A category that is new becomes `UNKNOWN`.
        """
        container = container_of(X)
        numbers = np.empty((len(X), len(self.categories)))
        for d, column in enumerate(_series(X, container)):
            categories = self.categories[d]
            if categories is None:
                numbers[:, d] = _as_floats(column, container)
                continue
            values, is_missing = _as_objects(column)
            code = {category: float(i) for i, category in enumerate(categories)}
            numbers[:, d] = [code.get(value, UNKNOWN) for value in values]
            numbers[is_missing, d] = np.nan
        return numbers

    def unknown(self, X: Any, column: int) -> Any:
        """First value of a column that is in none of its categories."""
        categories = self.categories[column]
        assert categories is not None
        values, is_missing = _as_objects(_series(X, container_of(X))[column])
        known = set(categories)
        return next(
            value
            for value, missing in zip(values, is_missing, strict=True)
            if not missing and value not in known
        )

    def to_table(self, numbers: NDArray[np.floating], index: Any = None) -> Any:
        """Table of the kind, names and types of that of `fit`, from numbers.

        A frame of pandas gets `index`, if there is one.
        """
        columns = [self._restored(column, d) for d, column in enumerate(numbers.T)]
        names = self.names
        if self.container == "pandas":
            import pandas as pd

            frame = pd.DataFrame(dict(enumerate(columns)))
            frame.columns = pd.Index(names)
            if index is not None:
                frame.index = index
            return frame
        if self.container == "polars":
            import polars as pl

            assert names is not None
            return pl.DataFrame(dict(zip(names, columns, strict=True)))
        if any(column.dtype == object for column in columns):
            return np.stack([column.astype(object) for column in columns], axis=1)
        return numbers

    def _restored(self, column: NDArray[np.floating], d: int) -> Any:
        """One column in its own type; floats where that has no missing value."""
        categories, dtype = self.categories[d], self.dtypes[d]
        values: Any = column
        if categories is not None:
            values = np.full(len(column), None, dtype=object)
            # A column that was missing altogether has no category to give back.
            is_there = ~np.isnan(column) & (len(categories) > 0)
            values[is_there] = categories[column[is_there].astype(np.intp)]
        elif self.is_boolean[d]:
            values = _where_whole(column, column > 0.5)
        elif self.is_integer[d]:
            values = _where_whole(column, np.rint(_within(column, dtype)))
        if self.container == "pandas":
            return _pandas_column(values, dtype)
        if self.container == "polars":
            return _polars_column(values, dtype)
        return values


def container_of(X: Any) -> str:
    """Library of a frame, or "array"; imports neither pandas nor polars."""
    for name in ("pandas", "polars"):
        library = sys.modules.get(name)
        if library is not None and isinstance(X, library.DataFrame):
            return name
    return "array"


def holds_numbers_alone(X: Any) -> bool:
    """True for a table of numbers that scikit-learn's own checks accept."""
    container = container_of(X)
    if container == "array":
        kind = getattr(getattr(X, "dtype", None), "kind", "O")
        return kind not in "OU" or not _holds_text(X)
    return all(
        _kind(column, container) in {"number", "integer"}
        and not _is_nullable(column.dtype)
        and column.dtype != object
        for column in _series(X, container)
    )


def _named(dtype: Any) -> Any:
    """Type of a column, by its name if it is one of numpy's."""
    return dtype.name if isinstance(dtype, np.dtype) else dtype


def _holds_text(X: Any) -> bool:
    """True for an array of objects that holds strings."""
    try:
        array = np.asarray(X, dtype=object)
    except ValueError:
        return False
    return array.ndim == 2 and any(isinstance(value, str) for value in array.ravel())


def _series(X: Any, container: str) -> list[Any]:
    if container == "pandas":
        return [X.iloc[:, d] for d in range(X.shape[1])]
    if container == "polars":
        return X.get_columns()
    return list(np.asarray(X, dtype=object).T)


def _is_nullable(dtype: Any) -> bool:
    """True for a type with a missing value of its own."""
    return not isinstance(dtype, np.dtype) and hasattr(dtype, "na_value")


def _kind(column: Any, container: str) -> str:
    """Kind of a column: "number", "integer", "boolean" or "category"."""
    if container == "polars":
        dtype = column.dtype
        if dtype.is_integer():
            return "integer"
        if dtype.is_numeric():
            return "number"
        return "boolean" if str(dtype) == "Boolean" else "category"
    if container == "pandas":
        from pandas.api import types

        dtype = column.dtype
        if types.is_bool_dtype(dtype) and not isinstance(dtype, types.CategoricalDtype):
            return "boolean"
        if types.is_integer_dtype(dtype):
            return "integer"
        if types.is_numeric_dtype(dtype):
            return "number"
        if dtype.kind != "O" or not isinstance(dtype, np.dtype):
            return "category"
    values, is_missing = _as_objects(column)
    there = [value for value, gap in zip(values, is_missing, strict=True) if not gap]
    if there and all(isinstance(value, (bool, np.bool_)) for value in there):
        return "boolean"
    is_number = [isinstance(value, (int, float, np.number)) for value in there]
    if any(is_number) and any(isinstance(value, str) for value in there):
        text = next(value for value in there if isinstance(value, str))
        raise ValueError(
            f"A column of X holds numbers and text, such as {text!r}. Turn all of it "
            "into text, or all of it into numbers with NaN for what is none."
        )
    if all(is_number):
        is_whole = all(isinstance(value, (int, np.integer)) for value in there)
        return "integer" if there and is_whole else "number"
    return "category"


def _as_objects(column: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values of a column, and which are missing."""
    if hasattr(column, "to_list"):
        column = column.to_list()
    values = np.empty(len(column), dtype=object)
    values[:] = list(column)
    is_missing = np.array([_is_missing(value) for value in values], dtype=bool)
    return values, is_missing


def _is_missing(value: Any) -> bool:
    """True for None, NaN, and pandas' NA, which compares with nothing."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _categories(column: Any) -> NDArray[Any]:
    """Distinct values of a column, in their declared order if there is one."""
    values, is_missing = _as_objects(column)
    distinct = set(values[~is_missing])
    declared = getattr(getattr(column, "dtype", None), "categories", None)
    if declared is not None and _is_ordered(column.dtype):
        return np.array([each for each in declared if each in distinct], dtype=object)
    try:
        ordered = sorted(distinct)
    except TypeError:
        ordered = sorted(distinct, key=lambda value: (type(value).__name__, str(value)))
    categories = np.empty(len(ordered), dtype=object)
    categories[:] = ordered
    return categories


def _is_ordered(dtype: Any) -> bool:
    """True for ordered categories of pandas and for enums of polars."""
    return getattr(dtype, "ordered", type(dtype).__name__ == "Enum")


def _as_floats(column: Any, container: str) -> NDArray[np.float64]:
    """Numbers and booleans as floats, NaN where missing."""
    if container == "polars":
        import polars as pl

        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    if container == "pandas" and column.dtype != object:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    values, is_missing = _as_objects(column)
    values[is_missing] = np.nan
    return values.astype(np.float64)


def _within(column: NDArray[np.floating], dtype: Any) -> NDArray[np.floating]:
    """Numbers within the range of an integer type, where they would wrap around."""
    # As pandas, Arrow and polars call it: uint8, UInt8, uint8[pyarrow].
    name = str(dtype).lower().split("[")[0]
    if name not in {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32)}:
        # Of 64 bits, an unsigned one may only not be negative.
        return np.maximum(column, 0.0) if name == "uint64" else column
    limits = np.iinfo(name)
    return np.clip(column, limits.min, limits.max)


def _where_whole(column: NDArray[np.floating], values: NDArray[Any]) -> NDArray[Any]:
    """Values of another type, None where the column is missing."""
    is_missing = np.isnan(column)
    if not is_missing.any():
        return values.astype(np.int64) if values.dtype.kind == "f" else values
    objects = np.full(len(column), None, dtype=object)
    whole = values[~is_missing]
    objects[~is_missing] = whole.astype(np.int64) if whole.dtype.kind == "f" else whole
    return objects


def _pandas_column(values: NDArray[Any], dtype: Any) -> Any:
    """Column of pandas in a type, or as it is where the type cannot hold it."""
    import pandas as pd

    try:
        return pd.Series(values).astype(dtype)
    except (TypeError, ValueError):
        # An integer type of numpy has no missing value.
        return pd.Series([np.nan if value is None else value for value in values])


def _polars_column(values: NDArray[Any], dtype: Any) -> Any:
    """Column of polars in a type."""
    import polars as pl

    column = pl.Series(values.tolist(), dtype=dtype, strict=False)
    return column.fill_nan(None) if dtype.is_float() else column
