"""Tables of pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data import _arrow as arrow
from skvae.data._kinds import Category, Flag, Kind, Number, Whole
from skvae.data._library import Labels
from skvae.data._missing import as_objects
from skvae.data._objects import kind_of_objects, numbers_of_objects
from skvae.data._refuse import refuse_type
from skvae.data._times import Time, seconds_of

_ARROW = arrow.ArrowTables()


class PandasFrames:
    """Frames of pandas; columns that Arrow holds are left to `ArrowTables`."""

    name = "pandas"

    def labels(self, X: Any) -> Labels:
        """Names of the columns."""
        return Labels(list(X.columns), list(X.columns.names))

    def columns(self, X: Any) -> list[Any]:
        """Columns of a table."""
        return [X.iloc[:, d] for d in range(X.shape[1])]

    def dtype(self, column: Any) -> Any:
        """Type of a column: its name, where the name is enough to find it again."""
        import pandas as pd

        dtype = column.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            return ("category", list(dtype.categories), bool(dtype.ordered))
        try:
            if pd.api.types.pandas_dtype(str(dtype)) == dtype:
                return str(dtype)
        except (TypeError, ValueError, NotImplementedError, ImportError):
            pass
        return dtype

    def kind(self, column: Any, name: str) -> Kind:
        """Kind of a column."""
        import pandas as pd
        from pandas.api import types

        dtype = column.dtype
        if isinstance(dtype, pd.ArrowDtype):
            return _ARROW.kind(_as_arrow(column), name)
        if isinstance(dtype, pd.CategoricalDtype):
            declared = dtype.categories.tolist()
            objects = self.objects(column)
            return Category.of(objects, declared, ordered=bool(dtype.ordered))
        if types.is_bool_dtype(dtype):
            return Flag()
        if types.is_integer_dtype(dtype):
            own = _numpy_type(dtype)
            return Whole.of_bits(8 * own.itemsize, signed=own.kind == "i")
        if types.is_float_dtype(dtype):
            own = _numpy_type(dtype)
            return Number(own.name if own.itemsize < 8 else "float64")
        if isinstance(dtype, pd.DatetimeTZDtype):
            return Time("instant", dtype.unit)
        if types.is_datetime64_dtype(dtype):
            return Time("instant", np.datetime_data(dtype)[0])
        if types.is_timedelta64_dtype(dtype):
            return Time("duration", np.datetime_data(dtype)[0])
        if isinstance(dtype, pd.PeriodDtype):
            return Time("instant", "ns")
        if isinstance(dtype, (pd.StringDtype, pd.IntervalDtype)):
            return Category.of(self.objects(column))
        if types.is_object_dtype(dtype):
            return kind_of_objects(self.objects(column), name)
        raise refuse_type(name, dtype)

    def is_plain(self, column: Any, name: str) -> bool:
        """True for numbers of a type that numpy has.

        Not for sparse ones, of which scikit-learn refuses a whole frame.
        """
        dtype = column.dtype
        return isinstance(dtype, np.dtype) and dtype.kind in "iuf"

    def numbers(self, column: Any, kind: Kind, name: str) -> NDArray[np.float64]:
        """Numbers of a column."""
        import pandas as pd
        from pandas.api import types

        dtype = column.dtype
        if isinstance(dtype, pd.ArrowDtype):
            return _ARROW.numbers(_as_arrow(column), kind, name)
        if types.is_object_dtype(dtype) or isinstance(kind, Category):
            return numbers_of_objects(self.objects(column), kind, name)
        if isinstance(dtype, pd.PeriodDtype):
            column = column.dt.start_time
        elif isinstance(dtype, pd.DatetimeTZDtype):
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        if column.dtype.kind in "Mm":
            if isinstance(kind, Time):
                return seconds_of(column.to_numpy())
            return numbers_of_objects(self.objects(column), kind, name)
        if not types.is_numeric_dtype(dtype) or isinstance(kind, Time):
            return numbers_of_objects(self.objects(column), kind, name)
        return column.to_numpy(dtype=np.float64, na_value=np.nan)

    def objects(self, column: Any) -> NDArray[np.object_]:
        """Cells as Python objects."""
        return as_objects(column.to_list())

    def column(self, values: NDArray[Any], dtype: Any) -> Any:
        """Column in a type, or as it is where the type cannot hold the values."""
        import pandas as pd

        if isinstance(dtype, tuple):
            _, levels, ordered = dtype
            dtype = pd.CategoricalDtype(levels, ordered)
        dtype = pd.api.types.pandas_dtype(dtype)
        if isinstance(dtype, pd.ArrowDtype):
            found = _ARROW.column(values, dtype.pyarrow_dtype)
            return pd.Series(pd.arrays.ArrowExtensionArray(found))
        if isinstance(dtype, pd.PeriodDtype):
            return pd.Series(values).dt.to_period(dtype.freq)
        if isinstance(dtype, pd.DatetimeTZDtype):
            times = pd.Series(values).dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
            return times.astype(dtype)
        if values.dtype.kind in "fiub":
            return pd.Series(values).astype(dtype)
        try:
            return pd.Series(values, dtype=object).astype(dtype)
        except (TypeError, ValueError):
            # An integer type of numpy has no missing value.
            return pd.Series([np.nan if value is None else value for value in values])

    def of_floats(self, numbers: NDArray[np.floating]) -> Any:
        """Column of numbers as they are."""
        import pandas as pd

        return pd.Series(numbers)

    def filled(self, column: Any, values: Any, missing: NDArray[np.bool_]) -> Any:
        """Column with some of its cells from another one."""
        values = values.set_axis(column.index)
        observed = ~missing
        if values.dtype == column.dtype:
            return column.where(observed, values)
        merged = column.astype(object).where(observed, values.astype(object))
        for dtype in (values.dtype, column.dtype):
            try:
                found = merged.astype(dtype)
            except (TypeError, ValueError):
                continue
            if (found[observed].astype(object) == merged[observed]).all():
                return found
        return merged.infer_objects()

    def table(self, columns: list[Any], labels: Labels, index: Any) -> Any:
        """Frame of columns."""
        import pandas as pd

        arrays = {d: column.array for d, column in enumerate(columns)}
        frame = pd.DataFrame(arrays, index=index)
        if len(labels.levels) > 1:
            frame.columns = pd.MultiIndex.from_tuples(labels.names, names=labels.levels)
        else:
            frame.columns = pd.Index(labels.names, name=labels.levels[0])
        return frame

    def joined(self, tables: list[Any]) -> Any:
        """Rows of several frames as one frame."""
        import pandas as pd

        found = pd.concat(tables)
        for d in range(found.shape[1]):
            columns = [table.iloc[:, d] for table in tables]
            dtypes = {str(column.dtype) for column in columns}
            if dtypes != {"category"} or found.dtypes.iloc[d] == "category":
                continue
            if not any(column.cat.ordered for column in columns):
                # pandas would make objects of categories that differ.
                found.isetitem(d, pd.api.types.union_categoricals(columns))
        return found

    def joined_type(self, dtype: Any, other: Any) -> Any:
        """Type of a column with the levels of two."""
        is_category = isinstance(dtype, tuple), isinstance(other, tuple)
        if not all(is_category):
            return dtype if dtype == other or is_category[1] else other
        (_, levels, ordered), (_, others, also_ordered) = dtype, other
        if ordered or also_ordered:
            raise TypeError
        return ("category", list(dict.fromkeys([*levels, *others])), False)


def _numpy_type(dtype: Any) -> np.dtype:
    """Type of numpy that a sparse, a nullable or a plain type stands for."""
    for attribute in ("subtype", "numpy_dtype"):
        dtype = getattr(dtype, attribute, dtype)
    return np.dtype(dtype)


def _as_arrow(column: Any) -> Any:
    """Column of Arrow that a column of pandas is stored in."""
    import pyarrow as pa

    return pa.chunked_array([column.array.__arrow_array__()])
