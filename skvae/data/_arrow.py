"""Tables of Arrow."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._kinds import Category, Exact, Flag, Kind, Number, Whole
from skvae.data._library import Labels
from skvae.data._missing import as_objects
from skvae.data._objects import numbers_of_objects
from skvae.data._refuse import refuse_type
from skvae.data._times import Time, seconds_of


class ArrowTables:
    """Tables of Arrow."""

    name = "arrow"

    def labels(self, X: Any) -> Labels:
        """Names of the columns."""
        return Labels(list(X.schema.names), [])

    def columns(self, X: Any) -> list[Any]:
        """Columns of a table."""
        return list(X.columns)

    def dtype(self, column: Any) -> Any:
        """Type of a column."""
        return column.type

    def kind(self, column: Any, name: str) -> Kind:
        """Kind of a column."""
        from pyarrow import types

        dtype = column.type
        if types.is_boolean(dtype):
            return Flag()
        if types.is_integer(dtype):
            signed = types.is_signed_integer(dtype)
            return Whole.of_bits(dtype.bit_width, signed=signed)
        if types.is_floating(dtype):
            return Number(f"float{dtype.bit_width}")
        if types.is_null(dtype):
            return Number()
        if types.is_decimal(dtype):
            return Exact(dtype.scale, dtype.precision)
        if types.is_date(dtype):
            return Time("instant", "D")
        if types.is_timestamp(dtype):
            return Time("instant", dtype.unit)
        if types.is_duration(dtype):
            return Time("duration", dtype.unit)
        if types.is_time(dtype):
            return Time("clock", dtype.unit)
        if types.is_dictionary(dtype):
            return Category.of(
                self.objects(column), _dictionary(column), ordered=bool(dtype.ordered)
            )
        if _is_text(dtype):
            return Category.of(self.objects(column))
        raise refuse_type(name, dtype)

    def is_plain(self, column: Any, name: str) -> bool:
        """True for numbers of a type that numpy has: left to `numbers`."""
        return False

    def numbers(self, column: Any, kind: Kind, name: str) -> NDArray[np.float64]:
        """Numbers of a column."""
        import pyarrow as pa
        from pyarrow import compute, types

        dtype = column.type
        is_time = types.is_temporal(dtype)
        is_number = not (is_time or _is_text(dtype) or types.is_dictionary(dtype))
        if is_number and not isinstance(kind, (Time, Category)):
            if types.is_boolean(dtype):
                column = column.cast(pa.int8())
            numbers = compute.cast(column, pa.float64(), safe=False)
            return np.asarray(numbers.to_numpy(), dtype=np.float64)
        if is_time and isinstance(kind, Time):
            return _seconds(column)
        return numbers_of_objects(self.objects(column), kind, name)

    def objects(self, column: Any) -> NDArray[np.object_]:
        """Cells as Python objects."""
        return as_objects(column.to_pylist())

    def column(self, values: NDArray[Any], dtype: Any) -> Any:
        """Column in a type."""
        import pyarrow as pa
        from pyarrow import types

        missing = None
        if types.is_null(dtype) and not np.isnan(values).all():
            # Nothing but missing values has the type null.
            dtype = pa.float64()
        elif types.is_null(dtype):
            return pa.chunked_array([pa.nulls(len(values))])
        if values.dtype.kind == "f":
            missing = np.isnan(values)
        elif values.dtype.kind in "Mm":
            missing, bits = np.isnat(values), values.view(np.int64)
            narrow = types.is_date32(dtype) or types.is_time32(dtype)
            if types.is_date64(dtype):
                bits = bits * 86_400_000
            ticks = pa.array(bits.astype(np.int32) if narrow else bits, mask=missing)
            return pa.chunked_array([ticks.cast(dtype)])
        if types.is_dictionary(dtype):
            found = pa.array(values.tolist(), dtype.value_type)
            return pa.chunked_array([found.dictionary_encode().cast(dtype)])
        if values.dtype == object:
            # Python's own context would round decimals of more than 28 digits.
            with decimal.localcontext(prec=80):
                return pa.chunked_array([pa.array(values.tolist(), dtype)])
        return pa.chunked_array(
            [pa.array(values, mask=missing).cast(dtype, safe=False)]
        )

    def of_floats(self, numbers: NDArray[np.floating]) -> Any:
        """Column of numbers as they are."""
        import pyarrow as pa

        return pa.chunked_array([pa.array(numbers)])

    def filled(self, column: Any, values: Any, missing: NDArray[np.bool_]) -> Any:
        """Column with some of its cells from another one."""
        import pyarrow as pa
        from pyarrow import compute

        if values.type == column.type and not pa.types.is_dictionary(column.type):
            return compute.if_else(pa.array(missing), values, column)
        merged = np.where(missing, self.objects(values), self.objects(column))
        for dtype in (values.type, column.type):
            try:
                found = pa.chunked_array([pa.array(merged.tolist(), dtype)])
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
                continue
            if found.to_pylist() == merged.tolist():
                return found
        return pa.chunked_array([pa.array(merged.tolist())])

    def table(self, columns: list[Any], labels: Labels, index: Any) -> Any:
        """Table of columns."""
        import pyarrow as pa

        return pa.table(columns, names=[str(name) for name in labels.names or []])

    def joined(self, tables: list[Any]) -> Any:
        """Rows of several tables as one table."""
        import pyarrow as pa

        # With numbers of several types, and columns without any value.
        return pa.concat_tables(tables, promote_options="permissive")

    def joined_type(self, dtype: Any, other: Any) -> Any:
        """Type of a column with the levels of two."""
        return dtype


def _is_text(dtype: Any) -> bool:
    """True for text and bytes."""
    from pyarrow import types

    names = ["string", "large_string", "binary", "large_binary", "fixed_size_binary"]
    # Views came with pyarrow 16.
    names += [n for n in ("string_view", "binary_view") if hasattr(types, f"is_{n}")]
    return any(getattr(types, f"is_{name}")(dtype) for name in names)


def _dictionary(column: Any) -> list[Any]:
    """Levels that a dictionary names, those of each chunk in turn."""
    levels: dict[Any, None] = {}
    for chunk in column.chunks:
        levels.update(dict.fromkeys(chunk.dictionary.to_pylist()))
    levels.pop(None, None)
    return list(levels)


def _seconds(column: Any) -> NDArray[np.float64]:
    """Seconds of a column of times."""
    import pyarrow as pa
    from pyarrow import types

    dtype = column.type
    unit = getattr(dtype, "unit", "D")
    bits = 64
    if types.is_date64(dtype):
        unit = "ms"
    elif types.is_date32(dtype) or types.is_time32(dtype):
        bits = 32
    missing = np.asarray(column.is_null().to_numpy(), dtype=bool)
    integers = column.cast(pa.int32() if bits == 32 else pa.int64()).fill_null(0)
    ticks = np.array(integers.to_numpy(), dtype=np.int64)
    seconds = seconds_of(ticks.view(f"m8[{unit}]"))
    seconds[missing] = np.nan
    return seconds
