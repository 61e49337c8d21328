"""Tables of all libraries, and collections that are none."""

import datetime as dt
import re
import sys
import types
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse

from skvae import BalancedVAE
from skvae.data._columns import Columns
from skvae.data._frames import container_of, readable, row_index, table_of_numbers
from skvae.data._library import Labels

pa = pytest.importorskip("pyarrow")

MOMENTS = pd.date_range("2020-01-31 12:34:56", periods=3, freq="D")
DAYS = [dt.date(2020, 1, 1), None, dt.date(1969, 1, 3)]
PRICES = [Decimal("1.25"), None, Decimal("-3.50")]
CLOCK = [dt.time(1, 2), None, dt.time(23, 59, 59, 999999)]

PANDAS = {
    "float16": pd.Series([1.5, np.nan, 2.0], dtype="float16"),
    "int8": pd.Series([1, -2, 3], dtype="int8"),
    "Int64": pd.array([1, None, 2**40], dtype="Int64"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "datetime": MOMENTS,
    "nanoseconds": MOMENTS.astype("datetime64[ns]"),
    "missing time": pd.Series([MOMENTS[0], pd.NaT, MOMENTS[1]]),
    "zone": MOMENTS.tz_localize("Europe/Paris"),
    "timedelta": pd.to_timedelta([1, None, -3], unit="h"),
    "period": pd.period_range("2020-01", periods=3, freq="M"),
    "Decimal": pd.Series(PRICES, dtype=object),
    "Fraction": pd.Series([Fraction(1, 3), None, Fraction(5, 7)], dtype=object),
    "date": pd.Series(DAYS, dtype=object),
    "time": pd.Series(CLOCK, dtype=object),
    "moment": pd.Series([MOMENTS[0].to_pydatetime(), None, None], dtype=object),
    "declared": pd.Categorical(["b", None, "a"], categories=["a", "b", "z"]),
    "text": pd.Series(["x", None, "y"], dtype=object),
    "bytes": pd.Series([b"x", None, b"y"], dtype=object),
    "string": pd.array(["x", None, "y"], dtype="string[pyarrow]"),
    "interval": pd.interval_range(0, 3),
    "sparse": pd.arrays.SparseArray([0.0, 1.0, 0.0]),
    "arrow time": pd.Series(MOMENTS).astype("timestamp[us][pyarrow]"),
    "arrow Decimal": pd.Series(PRICES, dtype=pd.ArrowDtype(pa.decimal128(12, 2))),
    "arrow date": pd.Series(DAYS, dtype=pd.ArrowDtype(pa.date32())),
    "arrow clock": pd.Series(CLOCK, dtype=pd.ArrowDtype(pa.time64("us"))),
    "arrow levels": pd.Series(
        ["b", None, "a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
}
POLARS = {
    "Int128": pl.Series([1, None, 2**40], dtype=pl.Int128),
    "UInt64": pl.Series([1, None, 2**60], dtype=pl.UInt64),
    "Float32": pl.Series([1.5, None, 2.0], dtype=pl.Float32),
    "Decimal": pl.Series(PRICES, dtype=pl.Decimal(12, 2)),
    "Date": pl.Series(DAYS),
    "Time": pl.Series(CLOCK),
    "Datetime": pl.Series([MOMENTS[0].to_pydatetime(), None, None]),
    "zone": pl.Series([MOMENTS[0].to_pydatetime(), None, None]).dt.replace_time_zone(
        "Europe/Paris"
    ),
    "Duration": pl.Series([dt.timedelta(hours=1), None, dt.timedelta(-1)]),
    "Enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["b", "c", "a"])),
    "Categorical": pl.Series(["b", None, "a"], dtype=pl.Categorical),
    "Binary": pl.Series([b"b", None, b"a"]),
    "Boolean": pl.Series([True, None, False]),
    "Null": pl.Series([None, None, None]),
}


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_there_and_back(name):
    frame = pd.DataFrame({name: PANDAS[name]}, index=[5, 7, 5])
    if isinstance(PANDAS[name], pd.Series):
        frame[name] = PANDAS[name].array
    columns = Columns.of(frame)
    numbers = columns.to_numbers(frame)
    pd.testing.assert_frame_equal(columns.to_table(numbers, frame.index), frame)
    pd.testing.assert_frame_equal(
        columns.filled(numbers, frame, np.isnan(numbers), frame.index), frame
    )


@pytest.mark.parametrize("name", POLARS)
def test_polars_and_arrow_there_and_back(name):
    frame = pl.DataFrame({name: POLARS[name]})
    columns = Columns.of(frame)
    numbers = columns.to_numbers(frame)
    again = columns.to_table(numbers)
    assert again.schema == frame.schema
    assert again.equals(frame)
    if name == "Int128":
        return  # Arrow has no such type.
    table = frame.to_arrow()
    columns = Columns.of(table)
    if name == "Enum" and not table.schema.field(0).type.ordered:
        # Old releases of polars do not tell Arrow that levels have an order.
        numbers = columns.to_numbers(table)
    assert_array_equal(columns.to_numbers(table), numbers)
    again = columns.to_table(numbers)
    assert again.schema == table.schema
    assert again.to_pydict() == table.to_pydict()
    filled = columns.filled(numbers, table, np.isnan(numbers))
    assert filled.to_pydict() == table.to_pydict()


@pytest.mark.parametrize("name", ["pandas", "polars", "arrow"])
def test_filled_cells_are_the_missing_ones(name):
    """Others are what they were, to the last digit of types that floats do not hold."""
    account = [2**53 + 1, 2**53 + 3, None]
    stamp = np.array(["2020-01-01T00:00:00.000000001", "NaT", "NaT"], "M8[ns]")
    frame = pl.DataFrame({"account": account, "stamp": stamp})
    table = {
        "pandas": lambda: frame.to_pandas(use_pyarrow_extension_array=True),
        "polars": lambda: frame,
        "arrow": frame.to_arrow,
    }[name]()
    columns = Columns.of(table)
    numbers = columns.to_numbers(table)
    gaps = np.isnan(numbers)
    found = columns.filled(np.where(gaps, 86_400.0, numbers), table, gaps)
    assert container_of(found) == name
    if name == "pandas":
        found = pl.from_pandas(found)
    elif name == "arrow":
        found = pl.from_arrow(found)
    assert found["account"].to_list() == [*account[:2], 86_400]
    day = np.datetime64("1970-01-02")
    assert (
        found["stamp"].to_numpy().tolist()
        == np.array([stamp[0], day, day], stamp.dtype).tolist()
    )


def test_a_column_that_gained_a_gap_keeps_its_cells_and_gets_its_type_back():
    columns = Columns.of(pd.DataFrame({"a": [1, 2, 3]}))
    gaps = np.array([[False], [True]])
    for first, dtype in ((1.0, np.int64), (1.5, np.float64)):
        table = pd.DataFrame({"a": [first, np.nan]})
        found = columns.filled(np.array([[first], [6.0]]), table, gaps)
        assert found["a"].dtype == dtype
        assert found["a"].tolist() == [first, 6]


def test_a_table_of_another_library_is_filled_in_its_own():
    columns = Columns.of(pd.DataFrame({"a": [1, 2], "k": ["x", "y"]}))
    table = pl.DataFrame({"a": [1, None], "k": [None, "y"]})
    gaps = np.array([[False, True], [True, False]])
    found = columns.filled(np.array([[1.0, 0.0], [2.0, 1.0]]), table, gaps)
    assert found.equals(pl.DataFrame({"a": [1, 2], "k": ["x", "y"]}))


def test_arrays_of_times_and_of_objects_come_back():
    times = np.array([["2020-01-01"], ["NaT"]], dtype="datetime64[D]")
    columns = Columns.of(times)
    assert_array_equal(columns.to_table(columns.to_numbers(times)), times)
    cells = np.array([[Decimal("1.5"), "x", True], [None, "y", False]], dtype=object)
    columns = Columns.of(cells)
    assert columns.to_table(columns.to_numbers(cells)).tolist() == cells.tolist()


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        (
            [[1], [2]],
            TypeError,
            r"Column 'c' holds the value \[1\] of type list\. Each",
        ),
        ([{"a": 1}, {}], TypeError, "of type dict.*columns of their own"),
        ([object(), 1], TypeError, "type object. Two of them are never equal"),
        ([1j, 2.0], TypeError, "Column 'c' .*complex.*real and imaginary parts"),
        ([1, "x"], ValueError, "Column 'c' holds numbers and text, such as 'x'"),
        (
            [True, "x"],
            ValueError,
            r"several types: str \('x'\) and bool \(True\)\. Turn all of it into one",
        ),
        ([dt.date(2020, 1, 1), "x"], ValueError, "several types: str .* and date"),
    ],
)
def test_objects_that_are_refused(column, error, message):
    frame = pd.DataFrame({"c": pd.Series(column, dtype=object)})
    with pytest.raises(error, match=message):
        Columns.of(frame)


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"c": [[1]]}),
        pl.DataFrame({"c": [{"a": 1}]}),
        pa.table({"c": [[1]]}),
        pa.table({"c": [{"a": 1}]}),
        pd.DataFrame({"c": pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int8())))}),
        pd.DataFrame({"c": [1j]}),
    ],
    ids=["list", "struct", "arrow list", "arrow struct", "pandas arrow", "complex"],
)
def test_types_that_are_refused(table):
    message = "Column 'c' is of type .*, which holds neither numbers nor times"
    with pytest.raises(TypeError, match=message):
        Columns.of(table)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (["x", "y"], "holds the value 'x' of type str, but held numbers in the table"),
        ([[1], [2]], r"holds the value \[1\] of type list, but held numbers"),
    ],
)
def test_a_column_that_is_no_longer_of_numbers(later, message):
    columns = Columns.of(pd.DataFrame({"c": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=message):
        columns.to_numbers(pd.DataFrame({"c": pd.Series(later, dtype=object)}))


def test_a_column_that_is_no_longer_of_booleans():
    columns = Columns.of(pd.DataFrame({"c": [True, False]}))
    with pytest.raises(ValueError, match="'yes' of type str, but held booleans in"):
        columns.to_numbers(pd.DataFrame({"c": ["yes", "no"]}))


def test_booleans_of_numpy_among_objects():
    frame = pd.DataFrame({"a": [0.5, 1.5], "b": [True, False], "c": ["u", "v"]})
    columns = Columns.of(frame)
    row = frame.iloc[0].to_frame().T
    assert_array_equal(columns.to_numbers(row), columns.to_numbers(frame[:1]))


@pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning")
@pytest.mark.parametrize("X", [sparse.csr_array(np.ones((2, 2))), [1.0, 2.0], 3.0])
def test_what_is_no_table_of_two_dimensions(X):
    """A model of columns of several kinds raises what one of numbers raises."""
    frame = pd.DataFrame({"a": [0.5, 1.5] * 30, "c": ["u", "v"] * 30})
    vae = BalancedVAE(1, hidden_layer_sizes=(2,), max_iter=2, tol=1e3).fit(frame)
    numbers = BalancedVAE(1, hidden_layer_sizes=(2,), max_iter=2, tol=1e3)
    numbers.fit(frame[["a"]].to_numpy())
    with pytest.raises((TypeError, ValueError)) as expected:
        numbers.transform(X)
    message = re.escape(str(expected.value).partition(":")[0])
    with pytest.raises(expected.type, match=message):
        vae.transform(X)


def test_a_column_that_is_no_longer_of_times():
    columns = Columns.of(pd.DataFrame({"c": MOMENTS}))
    with pytest.raises(ValueError, match="but held times in the table of fit"):
        columns.to_numbers(pd.DataFrame({"c": [1.0, 2.0]}))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pl.DataFrame({"a": [1]}).lazy(), r"LazyFrame of polars.*X\.collect\(\)"),
        (pl.Series([1]), r"Series of polars.*X\.to_frame\(\)"),
        (pd.Series([1]), r"Series of pandas.*X\.to_frame\(\)"),
        (
            np.zeros(2, dtype=[("a", float)]),
            r"structured type .*pandas\.DataFrame\(X\)",
        ),
    ],
    ids=["LazyFrame", "polars Series", "pandas Series", "structured"],
)
def test_collections_that_are_no_table(X, message):
    with pytest.raises(TypeError, match=message):
        readable(X)


@pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning")
def test_a_frame_of_sparse_columns_alone():
    dense = np.arange(180.0).reshape(60, 3) % 7
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(dense))
    vae = BalancedVAE(1, hidden_layer_sizes=(2,), max_iter=2, tol=1e3, random_state=0)
    Z = vae.fit(frame).transform(frame)
    assert list(vae.sample(2, random_state=0).dtypes) == list(frame.dtypes)
    assert_array_equal(Z, vae.fit(dense).transform(dense))


ITEMS = [
    (None, TypeError, "X is a NoneType, which is no table. Pass an array, a list of r"),
    (lambda: iter([]), TypeError, "X is a function, which is no table. .* __iter__ g"),
    (pd.DataFrame, TypeError, "X is a type, which is no table"),
    (b"rows", TypeError, "X is a bytes, which is no table"),
    (
        {"a": [1.0]},
        TypeError,
        r"X is a dict, which is no table. Use pandas.DataFrame\(X",
    ),
    (
        [{"a": 1}],
        TypeError,
        r"X is a list whose items are each a dict. Use pandas.Data",
    ),
    (["a.pq", "b.pq"], ValueError, r"list of text, whose first is 'a.pq'.* or pyarrow"),
    ([Path("a.pq")], ValueError, r"list of text, .*'a.pq'.*dataset\(X\) for several P"),
    ([[1], [1, 2]], ValueError, "row 0 is a list of length 1, and row 1 is a list of"),
    ([None, [1]], ValueError, "row 0 is a NoneType, and row 1 is a list of length 1"),
]


@pytest.mark.parametrize(
    ("X", "kind", "message"), ITEMS, ids=[str(i) for i in range(len(ITEMS))]
)
def test_objects_that_are_no_table(X, kind, message):
    with pytest.raises(kind, match=message):
        readable(X)


@pytest.mark.parametrize(
    ("package", "name", "remedy"),
    [
        ("h5py._hl.files", "File", r"Name a dataset in it, as in X\['rows'\]"),
        ("xarray.core.dataset", "Dataset", r"Use X\.to_dataframe\(\)"),
        ("duckdb", "DuckDBPyRelation", r"Use X\.df\(\) or X\.arrow\(\)"),
        ("datasets.arrow_dataset", "Dataset", r"Use X\.to_pandas\(\)"),
    ],
)
def test_remedies_for_objects_of_other_libraries(package, name, remedy):
    X = type(name, (), {"__module__": package})()
    message = f"X is a {name} of {package.split('.')[0]}, .* {remedy}"
    with pytest.raises(TypeError, match=message):
        readable(X)


def test_a_collection_of_dask_is_not_computed():
    class DataFrame:
        __module__ = "dask.dataframe.core"

        def __array__(self, *args, **kwargs):
            raise AssertionError

    with pytest.raises(TypeError, match=r"DataFrame of dask.*X\.compute\(\)"):
        readable(DataFrame())


def test_what_becomes_an_array():
    assert_array_equal(readable([[1, 2]]), [[1, 2]])
    assert readable([[1, "a"]]).dtype == object
    tensor = torch.ones(2, 1, dtype=torch.bfloat16, requires_grad=True)
    assert readable(tensor).dtype == np.float32
    masked = np.ma.masked_equal(np.array([[1, 2]]), 2)
    assert_array_equal(readable(masked), [[1.0, np.nan]])


def test_libraries_that_are_not_imported_are_not_needed(monkeypatch):
    for name in ("pandas", "polars", "pyarrow"):
        monkeypatch.delitem(sys.modules, name)
    assert container_of(types.SimpleNamespace()) == "array"


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_numbers_as_a_table(library):
    numbers = np.array([[1.0, 2.0]])
    index = pd.Index([9]) if library == "pandas" else None
    found = table_of_numbers(library, numbers, Labels(["a", "b"], [None]), index)
    assert container_of(found) == library
    assert_array_equal(np.asarray(found), numbers)
    unnamed = table_of_numbers(library, numbers, Labels(None, []), index)
    names = unnamed.schema.names if library == "arrow" else list(unnamed.columns)
    assert names == ["x0", "x1"]
    if library == "pandas":
        assert_array_equal(row_index(found), [9])
