"""From tables of all kinds to numbers, and back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skvae.data._columns import UNKNOWN, Columns, holds_numbers_alone

FRAMES = {
    "numpy types": pd.DataFrame(
        {
            "real": [1.5, np.nan, 3.0],
            "whole": np.array([3, 1, 2], dtype=np.int32),
            "flag": [True, False, True],
            "text": ["b", "a", None],
        }
    ),
    "nullable": pd.DataFrame(
        {
            "real": pd.array([1.5, None, 3.0], dtype="Float64"),
            "whole": pd.array([3, None, 2], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "text": pd.array(["b", None, "a"], dtype="string"),
        }
    ),
    "categorical": pd.DataFrame(
        {
            "letter": pd.Categorical(["x", "y", None], categories=["y", "x", "z"]),
            "number": pd.Categorical([10, 20, 10]),
        }
    ),
    "arrow": pd.DataFrame(
        {
            "real": pd.array([1.5, None, 3.0], dtype="float64[pyarrow]"),
            "whole": pd.array([3, None, 2], dtype="int64[pyarrow]"),
            "text": pd.array(["b", None, "a"], dtype="string[pyarrow]"),
        }
    ),
    "polars": pl.DataFrame(
        {
            "real": [1.5, None, 3.0],
            "whole": [3, 1, None],
            "flag": [True, None, False],
            "text": ["b", "a", None],
        }
    ),
    "polars categorical": pl.DataFrame(
        {"letter": pl.Series(["b", "a", None], dtype=pl.Categorical)}
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_there_and_back(name):
    frame = FRAMES[name]
    columns = Columns.of(frame)
    numbers = columns.to_numbers(frame)
    assert numbers.dtype == np.float64
    again = columns.to_table(numbers)
    if isinstance(frame, pl.DataFrame):
        assert again.equals(frame)
        assert again.schema == frame.schema
    else:
        pd.testing.assert_frame_equal(again, frame)


CELLS = {
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "whole": st.integers(-(2**15), 2**15 - 1),
    "flag": st.booleans(),
    "text": st.text(st.characters(codec="utf-8"), max_size=2),
}
NULLABLE = {"real": "Float64", "whole": "Int16", "flag": "boolean", "text": "string"}
ARROW = {"real": "double", "whole": "int16", "flag": "bool", "text": "string"}
POLARS = {
    "real": pl.Float64,
    "whole": pl.Int16,
    "flag": pl.Boolean,
    "text": pl.String,
}

# How columns of cells, some of them None, become a table.
LIBRARIES = {
    "numpy types": lambda cells: pd.DataFrame(
        {name: pd.Series(column) for name, column in cells.items()}
    ),
    "nullable": lambda cells: pd.DataFrame(
        {name: pd.array(column, NULLABLE[name]) for name, column in cells.items()}
    ),
    "arrow": lambda cells: pd.DataFrame(
        {
            name: pd.array(column, f"{ARROW[name]}[pyarrow]")
            for name, column in cells.items()
        }
    ),
    "categorical": lambda cells: pd.DataFrame(
        {name: pd.Categorical(column) for name, column in cells.items()}
    ),
    "polars": lambda cells: pl.DataFrame(
        cells, schema={name: POLARS[name] for name in cells}
    ),
    "objects": lambda cells: np.array(list(cells.values()), dtype=object).T,
}


@st.composite
def cells_of_a_table(draw):
    """Columns of each kind; each has at least one cell that is not missing."""
    names = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, unique=True))
    n_rows = draw(st.integers(1, 5))
    found = {}
    for name in names:
        column = draw(
            st.lists(st.none() | CELLS[name], min_size=n_rows, max_size=n_rows)
        )
        column[draw(st.integers(0, n_rows - 1))] = draw(CELLS[name])
        found[name] = column
    return found


def as_objects(table):
    """Cells of a table of any kind, None where missing."""
    if isinstance(table, np.ndarray):
        table = pd.DataFrame(table)
    elif isinstance(table, pl.DataFrame):
        table = pd.DataFrame(table.to_dict(as_series=False), dtype=object)
    objects = table.astype(object)
    return objects.where(objects.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize("library", LIBRARIES)
@settings(max_examples=25)
@given(cells=cells_of_a_table())
def test_any_table_there_and_back(library, cells):
    table = LIBRARIES[library](cells)
    columns = Columns.of(table)
    numbers = columns.to_numbers(table)
    known = as_objects(table)
    is_missing = np.array([[cell is None for cell in row] for row in known])
    assert_array_equal(np.isnan(numbers), is_missing)
    assert (numbers[:, columns.is_category & ~is_missing.all(axis=0)] != UNKNOWN).all()

    again = columns.to_table(numbers)
    assert type(again) is type(table)
    assert as_objects(again) == known
    assert_array_equal(columns.to_numbers(again), numbers)
    if isinstance(table, pl.DataFrame):
        assert again.schema == table.schema
    elif isinstance(table, pd.DataFrame):
        pd.testing.assert_frame_equal(again, table)


def test_numbers_of_each_kind():
    frame = FRAMES["numpy types"]
    columns = Columns.of(frame)
    assert_array_equal(
        columns.to_numbers(frame),
        [[1.5, 3, 1, 1], [np.nan, 1, 0, 0], [3, 2, 1, np.nan]],
    )
    assert_array_equal(columns.is_category, [False, False, False, True])
    assert_array_equal(columns.is_boolean, [False, False, True, False])
    assert_array_equal(columns.is_integer, [False, True, False, False])
    assert list(columns.levels(3)) == ["a", "b"]


def test_what_is_drawn_becomes_whole_and_true():
    columns = Columns.of(FRAMES["numpy types"])
    drawn = columns.to_table(np.array([[0.1, 2.7, 0.9, 1.0], [0.2, -1.2, 0.1, 0.0]]))
    assert drawn["whole"].tolist() == [3, -1]
    assert drawn["whole"].dtype == np.int32
    assert drawn["flag"].tolist() == [True, False]
    assert drawn["text"].tolist() == ["b", "a"]


@pytest.mark.parametrize(
    "dtype", ["uint8", "UInt8", "uint8[pyarrow]", "uint64", "int8", "polars"]
)
def test_drawn_integers_stay_within_their_type(dtype):
    """A count of -1 would come back as 255, or as missing."""
    frame = pd.DataFrame({"a": [3, 1, 2]})
    if dtype == "polars":
        frame = pl.DataFrame({"a": [3, 1, 2]}, schema={"a": pl.UInt8})
    else:
        frame = frame.astype(dtype)
    drawn = np.array([[-1.4], [2.2], [-300.0], [300.0], [np.nan]])
    again = Columns.of(frame).to_table(drawn[:4])["a"]
    low, high = {"uint64": (0, 300), "int8": (-128, 127)}.get(dtype, (0, 255))
    assert list(again) == [max(-1, low), 2, low, high]
    assert again.dtype == frame["a"].dtype
    assert Columns.of(frame).to_table(drawn)["a"][2] == low


def test_integers_that_are_missing_come_back_as_floats():
    columns = Columns.of(FRAMES["numpy types"])
    numbers = np.array([[0.1, np.nan, 0.9, 1.0], [0.2, 2.0, 0.1, 0.0]])
    whole = columns.to_table(numbers)["whole"]
    assert np.isnan(whole[0])
    assert whole[1] == 2.0


def test_array_of_objects():
    X = np.array([[1.5, "a"], [None, "b"], [2.5, None]], dtype=object)
    columns = Columns.of(X)
    numbers = columns.to_numbers(X)
    assert_array_equal(numbers, [[1.5, 0], [np.nan, 1], [2.5, np.nan]])
    again = columns.to_table(numbers)
    assert again.dtype == object
    assert again[0, 1] == "a"
    assert again[2, 1] is None


def test_new_category_is_marked_and_can_be_named():
    columns = Columns.of(FRAMES["numpy types"])
    later = FRAMES["numpy types"].assign(text=["a", "new", None])
    assert_array_equal(columns.to_numbers(later)[:, 3], [0, UNKNOWN, np.nan])
    assert columns.unknown(later, 3) == "new"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (np.zeros((3, 2)), True),
        ([[1.0, 2.0], [3.0, 4.0]], True),
        (np.array([[1.0, 2.0]], dtype=object), True),
        (np.array([["a", 2.0]], dtype=object), False),
        (pd.DataFrame({"a": [1.0], "b": [2]}), True),
        (pd.DataFrame({"a": ["x"]}), False),
        (pd.DataFrame({"a": [True]}), False),
        (pl.DataFrame({"a": [1.0], "b": [2]}), True),
        (pl.DataFrame({"a": ["x"]}), False),
    ],
    ids=str,
)
def test_tables_of_numbers_are_left_to_scikit_learn(table, expected):
    assert holds_numbers_alone(table) == expected


def test_text_in_an_array_of_strings_is_not_left_to_scikit_learn():
    assert not holds_numbers_alone(np.array([["a", "b"], ["b", "c"]]))


def test_objects_with_na_are_not_left_to_scikit_learn():
    frame = pd.DataFrame({"a": np.array([1.5, pd.NA], dtype=object)})
    assert not holds_numbers_alone(frame)
    assert_array_equal(Columns.of(frame).to_numbers(frame), [[1.5], [np.nan]])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(
            {"a": pd.Categorical(["low", "high"], ["low", "mid", "high"], ordered=True)}
        ),
        pl.DataFrame(
            {"a": ["low", "high"]}, schema={"a": pl.Enum(["low", "mid", "high"])}
        ),
    ],
    ids=["pandas", "polars"],
)
def test_declared_order_of_categories_is_kept(frame):
    """Levels that no row holds are known, too."""
    assert list(Columns.of(frame).levels(0)) == ["low", "mid", "high"]


def test_category_that_was_missing_altogether_stays_missing():
    frame = pd.DataFrame({"a": pd.array([None, None], dtype="string")})
    again = Columns.of(frame).to_table(np.zeros((2, 1)))
    assert again["a"].isna().all()


def test_frame_keeps_an_index():
    frame = FRAMES["numpy types"]
    columns = Columns.of(frame)
    again = columns.to_table(columns.to_numbers(frame), pd.Index([7, 5, 3]))
    assert again.index.tolist() == [7, 5, 3]
