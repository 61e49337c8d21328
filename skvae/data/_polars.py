"""Tables of polars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._kinds import Category, Exact, Flag, Kind, Number, Whole
from skvae.data._library import Labels
from skvae.data._missing import as_objects
from skvae.data._objects import kind_of_objects, numbers_of_objects
from skvae.data._refuse import refuse_type
from skvae.data._times import Time, seconds_of


class PolarsFrames:
    """Frames of polars."""

    name = "polars"

    def labels(self, X: Any) -> Labels:
        """Names of the columns."""
        return Labels(list(X.columns), [])

    def columns(self, X: Any) -> list[Any]:
        """Columns of a table."""
        return list(X.get_columns())

    def dtype(self, column: Any) -> Any:
        """Type of a column."""
        return column.dtype

    def kind(self, column: Any, name: str) -> Kind:
        """Kind of a column."""
        import polars as pl

        dtype = column.dtype
        if dtype.is_integer():
            bits = int("".join(filter(str.isdigit, str(dtype))))
            return Whole.of_bits(bits, signed=dtype.is_signed_integer())
        if dtype.is_float():
            return Number(str(dtype).lower())
        if dtype.is_decimal():
            return Exact(dtype.scale, dtype.precision)
        if dtype == pl.Boolean:
            return Flag()
        if dtype == pl.Null:
            return Number()
        if dtype.is_temporal():
            return _time(dtype)
        if dtype == pl.Enum:
            declared = dtype.categories.to_list()
            return Category.of(self.objects(column), declared, ordered=True)
        if dtype in (pl.String, pl.Categorical, pl.Binary):
            return Category.of(self.objects(column))
        if dtype == pl.Object:
            return kind_of_objects(self.objects(column), name)
        raise refuse_type(name, dtype)

    def is_plain(self, column: Any, name: str) -> bool:
        """True for numbers of a type that numpy has."""
        dtype = column.dtype
        return (dtype.is_integer() or dtype.is_float()) and "128" not in str(dtype)

    def numbers(self, column: Any, kind: Kind, name: str) -> NDArray[np.float64]:
        """Numbers of a column."""
        import polars as pl

        dtype = column.dtype
        is_number = dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)
        if is_number and not isinstance(kind, (Time, Category)):
            return column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
        if dtype.is_temporal() and isinstance(kind, Time):
            ticks = column.to_physical().cast(pl.Int64).fill_null(0).to_numpy().copy()
            seconds = seconds_of(ticks.view(f"m8[{_time(dtype).unit}]"))
            seconds[column.is_null().to_numpy()] = np.nan
            return seconds
        return numbers_of_objects(self.objects(column), kind, name)

    def objects(self, column: Any) -> NDArray[np.object_]:
        """Cells as Python objects."""
        return as_objects(column.to_list())

    def column(self, values: NDArray[Any], dtype: Any) -> Any:
        """Column in a type."""
        import polars as pl

        if values.dtype.kind in "Mm":
            ticks = values.view(np.int64)
            found = pl.Series(ticks).set(pl.Series(np.isnat(values)), None)
            if dtype == pl.Date:
                found = found.cast(pl.Int32)
            return found.cast(dtype)
        if dtype.is_float():
            return pl.Series(values).cast(dtype).fill_nan(None)
        if dtype == pl.Null:
            # Nothing but missing values has this type.
            found = pl.Series(values).fill_nan(None)
            return found.cast(pl.Null) if found.is_null().all() else found
        return pl.Series(values.tolist(), dtype=dtype, strict=False)

    def of_floats(self, numbers: NDArray[np.floating]) -> Any:
        """Column of numbers as they are."""
        import polars as pl

        return pl.Series(numbers)

    def filled(self, column: Any, values: Any, missing: NDArray[np.bool_]) -> Any:
        """Column with some of its cells from another one."""
        import polars as pl

        if values.dtype == column.dtype:
            return values.zip_with(pl.Series(missing), column)
        merged = np.where(missing, self.objects(values), self.objects(column))
        for dtype in (values.dtype, column.dtype):
            found = pl.Series(merged.tolist(), dtype=dtype, strict=False)
            if found.to_list() == merged.tolist():
                return found
        return pl.Series(merged.tolist(), strict=False)

    def table(self, columns: list[Any], labels: Labels, index: Any) -> Any:
        """Frame of columns."""
        import polars as pl

        names = [str(name) for name in labels.names or []]
        return pl.DataFrame(dict(zip(names, columns, strict=True)))

    def joined(self, tables: list[Any]) -> Any:
        """Rows of several frames as one frame."""
        import polars as pl

        # With numbers of several types, and columns without any value.
        return pl.concat(tables, how="vertical_relaxed")

    def joined_type(self, dtype: Any, other: Any) -> Any:
        """Type of a column with the levels of two."""
        import polars as pl

        if dtype == other:
            return dtype
        if pl.Enum in (dtype, other):
            raise TypeError
        return pl.String


def _time(dtype: Any) -> Time:
    """Kind of a column of a temporal type."""
    import polars as pl

    if dtype == pl.Date:
        return Time("instant", "D")
    if dtype == pl.Time:
        return Time("clock", "ns")
    form = "instant" if dtype == pl.Datetime else "duration"
    return Time(form, dtype.time_unit)
