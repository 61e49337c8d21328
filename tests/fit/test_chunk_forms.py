"""Chunks that are no tables, or not of one form: what is said, and what is learned."""

import re
from collections import UserList

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from pyarrow import dataset
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from skvae import BalancedVAE, BalancedVAECV, beta_path
from skvae.data import _large
from skvae.data._chunks import Chunks, is_chunked
from skvae.data._columns import Columns
from skvae.data._large import blocks_of, in_memory
from skvae.fit import _stream, _windows

# The tables are as small as the columns in question.
pytestmark = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)
SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}
LIBRARIES = [pd.DataFrame, pl.DataFrame, pa.table]
X = np.random.default_rng(0).standard_normal((300, 3)).astype("float32")


class Anew:
    """The same tables, time and again."""

    def __init__(self, tables):
        self.tables = tables

    def __iter__(self):
        return iter(self.tables)


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(_large, "_SMALL", 0)
    monkeypatch.setattr(_windows, "_WINDOW", 2**10)


@pytest.fixture(params=["small", "large"])
def any_size(request):
    """Tables are read as a whole, or in blocks."""
    if request.param == "large":
        request.getfixturevalue("large")


def vae(**params):
    return BalancedVAE(1, **{**SETTINGS, **params})


def loader(**params):
    return DataLoader(torch.from_numpy(X), batch_size=64, **params)


def test_what_is_chunked():
    for chunked in (loader(), [X, X], (X,), UserList([X]), Anew([X]), {1}):
        assert is_chunked(chunked)
    for table in ([], (), UserList([[1.0, 2.0]]), [X[0], X[1]], {"a": X}, "rows"):
        assert not is_chunked(table)


@pytest.mark.parametrize("make", [loader, lambda: [X[:90], X[90:]]])
def test_loaders_and_lists_of_tables(make, any_size):
    chunks = make()
    assert len(chunks) > 1
    found, expected = vae().fit(chunks), vae().fit(X)
    center = found._fitted.view.scaling.center
    assert_allclose(center, expected._fitted.view.scaling.center, rtol=1e-5)
    assert_allclose(found.transform(make()), found.transform(X), atol=1e-5)


def test_a_sequence_of_chunks_is_read_in_random_order():
    chunks = [X[:90], X[90:100], X[100:100], X[100:]]
    random = np.random.RandomState(0)
    orders = set()
    for _ in range(9):
        blocks = list(Chunks(chunks).read(random))
        orders.add(tuple(start for start, _ in blocks))
        for start, table in blocks:
            assert_array_equal(table, X[start : start + len(table)])
        assert sum(len(table) for _, table in blocks) == len(X)
    assert len(orders) > 1
    # Nothing but an iterator of its own leads to the chunks of others.
    starts = [start for start, _ in Chunks(Anew(chunks)).read(random)]
    assert starts == [0, 90, 100]


def test_a_loader_that_shuffles(large):
    with pytest.raises(ValueError, match=r"chunk 0 began with another row later\. Let"):
        vae().fit(loader(shuffle=True))


def test_a_chunk_of_another_length(large):
    class Growing(Anew):
        def __iter__(self):
            self.tables = [*self.tables, self.tables[0]]
            return super().__iter__()

    with pytest.raises(ValueError, match=r"chunk \d had 0 rows at first and 300 later"):
        vae().fit(Growing([X]))


@pytest.mark.parametrize(
    ("chunks", "what"),
    [
        (Anew([{"a": X}]), "dict"),
        ({1}, "int"),
        (Anew([X[0]]), r"ndarray of shape \(3,\)"),
    ],
)
def test_chunks_that_are_no_tables(chunks, what):
    with pytest.raises(ValueError, match=f"but chunk 0 of X is a {what}. Where it"):
        vae().fit(chunks)


def check_rows_of(given):
    """Check that the rows of X are found in what is given."""
    model = vae().fit(given)
    assert_allclose(model._fitted.view.scaling.center, X.mean(axis=0), atol=1e-6)
    assert_allclose(model.transform(given), model.transform(X), atol=1e-5)


def test_chunks_of_lists(any_size):
    lists = [part.tolist() for part in (X[:90], X[90:])]
    assert not is_chunked(lists)
    for chunks in ([lists[0], X[90:]], [X[:90], lists[1]], Anew(lists)):
        assert is_chunked(chunks)
        check_rows_of(chunks)
    # Tables of lists alone may be one of three dimensions.
    message = r"X has rows of several forms: row 0 is a list of length 90, .* make each"
    with pytest.raises(ValueError, match=message):
        vae().fit(lists)


class Tables(Dataset):
    """Tables as torch has them: by their numbers, and without an end of their own."""

    def __init__(self, tables):
        self.tables = tables

    def __len__(self):
        return len(self.tables)

    def __getitem__(self, i):
        return self.tables[i % len(self.tables)]


def test_datasets_of_torch(any_size):
    for chunks in (Tables([X[:90], X[90:]]), Tables([*torch.from_numpy(X).split(90)])):
        assert is_chunked(chunks)
        check_rows_of(chunks)
    # As a list of rows is.
    check_rows_of(Tables(X))


def test_iterable_datasets_of_torch(any_size):
    class Stream(IterableDataset):
        """It inherits a `__getitem__` that is an error."""

        def __init__(self, tables):
            self.tables = tables

        def __iter__(self):
            return iter(self.tables)

        def __len__(self):
            return len(self.tables)

    chunks = Stream([X[:90], X[90:]])
    check_rows_of(chunks)
    message = r"chunk 0 of X is a Tensor of shape \(3,\)\. Where it gives"
    with pytest.raises(ValueError, match=message):
        vae().fit(Stream(torch.from_numpy(X)))


PAIRS = TensorDataset(torch.from_numpy(X), torch.ones(300))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (PAIRS, r"X is a TensorDataset whose first item is a tuple with a Tensor of s"),
        (
            Tables([{"x": X[0]}]),
            r"Tables whose first item is a dict with a ndarray of s",
        ),
        (
            pd.DataFrame(X).groupby(0),
            r"GroupBy whose first item is a tuple with a Data",
        ),
        (
            DataLoader(PAIRS, 64),
            r"Chunk 0 of X is a list whose first item is a Tensor ",
        ),
        (
            [np.ones((2, 3, 4))],
            r"X is a list whose first item is a ndarray of shape \(2",
        ),
    ],
    ids=["pairs", "dicts", "groups", "loader of pairs", "3-D"],
)
def test_items_that_are_no_rows(given, what):
    with pytest.raises(ValueError, match=f"{what}.*, and no row. Pass the rows alone"):
        vae().fit(given)


LAZY = pl.DataFrame({"a": [1.0]}).lazy()
TABLE = pa.table({"a": [1.0]})
FIELDS = np.zeros(2, dtype=[("a", float)])


@pytest.mark.parametrize("make", [list, Anew], ids=["list", "iterable"])
@pytest.mark.parametrize(
    ("chunk", "what"),
    [
        (sparse.csr_array(X), r"a csr_array, which is sparse\. Use chunk\.toarray\(\)"),
        (LAZY, r"a LazyFrame of polars, which is not a .*Use chunk\.collect\(\)"),
        (TABLE.to_reader(), r"a RecordBatchReader of pyarrow,.* chunk\.read_all\(\)"),
        (FIELDS, r"an array of the structured type .*pandas\.DataFrame\(chunk\), wh"),
    ],
    ids=["sparse", "lazy", "reader", "structured"],
)
def test_chunks_that_have_to_be_turned_into_tables(make, chunk, what):
    with pytest.raises(TypeError, match=f"Chunk 0 of X is {what}"):
        vae().fit(make([chunk]))


def test_an_iterable_with_the_name_of_another_one(any_size):
    named = type("Dataset", (Anew,), {"__module__": "datasets"})
    assert vae().fit(named([X])).transform(X).shape == (len(X), 1)


def test_values_that_have_no_common_type():
    chunks = [pa.table({"a": pa.array([2**63 + 1] * 3, pa.uint64())})]
    chunks.append(pa.table({"a": pa.array([-1, 0, 1], pa.int64())}))
    with pytest.raises(ValueError, match=r"be joined into one table: .*Give each"):
        vae().fit(chunks)


def test_chunks_that_are_arrays_in_a_file(any_size):
    class Stored:
        """An array as HDF5 and Zarr have it; of the latter without a length."""

        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, array.dtype

        def __getitem__(self, key):
            return self.array[key]

        def __array__(self, *args, **kwargs):
            return np.asarray(self.array, *args)

    chunks = [Stored(X[:90]), Stored(X[90:])]
    check_rows_of(chunks)


def test_record_batches(any_size):
    batches = pa.table(frame()).to_batches(20)
    assert len(batches) == 3
    model = vae().fit(batches)
    assert model.transform(batches).shape == (60, 1)
    assert list(model.feature_names_in_) == ["a", "b"]


def frame(**columns):
    return {"a": [0.5, 1.5] * 30, "b": [1.0, 0.0, 2.0] * 20, **columns}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0]}, "Chunk 1 of X lacks column 'b', which chunk 0 has. Give all"),
        ({"a": [1.0], "c": [1.0]}, "Chunk 1 of X lacks column 'b', which chunk 0 has"),
        (frame(c=[1.0] * 60), "Chunk 1 of X has column 'c', which chunk 0 lacks"),
        (
            {"b": [1.0], "a": [1.0]},
            "Chunk 1 of X has column 'b' in the place of column 'a' of chunk 0. Give "
            "all chunks the same columns, in one order.",
        ),
    ],
)
def test_columns_of_a_chunk_that_differ(library, columns, message, any_size):
    chunks = [library(frame()), library(columns)]
    with pytest.raises(ValueError, match=re.escape(message)):
        vae().fit(chunks)


def test_columns_without_names_that_differ(any_size):
    with pytest.raises(ValueError, match="Chunk 1 of X lacks column 2, which chunk 0"):
        vae().fit([X, X[:, :2]])
    with pytest.raises(ValueError, match="Chunk 1 of X has column 3, which chunk 0"):
        vae().fit([X, np.ones((2, 4))])


def test_columns_of_one_name_twice():
    twice = pd.DataFrame(X[:, [0, 0]], columns=["a", "a"])
    with pytest.raises(ValueError, match="has no column in the place of column 'a' of"):
        vae().fit([twice, twice.iloc[:, :1]])


def test_chunks_of_several_libraries(any_size):
    chunks = [pd.DataFrame(frame()), pl.DataFrame(frame())]
    message = r"Chunk 1 of X is a table of another kind \(polars\) than chunk 0 \(pand"
    with pytest.raises(ValueError, match=message):
        vae().fit(chunks)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_column_of_several_kinds(library, any_size):
    chunks = [frame(), frame(a=[None] * 60), frame(a=["x", "y"] * 30)]
    message = (
        r"Column 'a' holds numbers of type (float64|Float64|double) in chunk 0 of X "
        r"and the categories 'x', 'y' in chunk 2\. Give it one type in all chunks\."
    )
    with pytest.raises(ValueError, match=message):
        vae().fit([library(each) for each in chunks])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    "values",
    [["x", "y", "z"], [True, False, True], [1, 2, 3], [0.5, 1.5, 2.5]],
    ids=["text", "booleans", "whole numbers", "numbers"],
)
def test_a_column_that_a_chunk_has_no_value_of(library, at, values, any_size):
    values = values * 20
    chunks = [library(frame(c=values)) for _ in range(2)]
    chunks.insert(at, library(frame(c=[None] * 60)))
    model = vae().fit(chunks)
    kinds = Columns.of(library(frame(c=values))).kinds
    assert type(model._fitted.view.columns.kinds[2]) is type(kinds[2])
    assert model.transform(chunks).shape == (180, 1)
    drawn = in_memory(model.sample(9, random_state=0))
    assert Columns.of(drawn).kinds[:2] == kinds[:2]
    cells = drawn["c"].to_pylist() if library is pa.table else drawn["c"].to_list()
    assert {type(cell) for cell in cells} == {type(values[0])}


def test_floats_that_are_missing_in_a_chunk(any_size):
    # As pandas reads a file of text in chunks.
    frames = [pd.DataFrame(frame(c=[np.nan] * 60)), pd.DataFrame(frame(c=["u"] * 60))]
    model = vae().fit(frames)
    assert list(model._fitted.view.columns.levels(2)) == ["u"]
    # Whole numbers and floats are floats, as in one frame.
    frames = [pd.DataFrame(frame(c=[np.nan] * 60)), pd.DataFrame(frame(c=[3] * 60))]
    assert vae().fit(frames).sample(2, random_state=0)["c"].dtype == float


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("int8", "int64"), "int64"),
        (("int8", "uint8"), "int16"),
        (("float32", "float64"), "float64"),
        (("int64", "float32"), "float64"),
    ],
)
def test_numbers_of_several_types(library, types, expected, order, any_size):
    """They are what one table of the library makes of them."""
    frames = [library(pd.DataFrame(frame()).astype({"b": each})) for each in types]
    model = vae().fit(frames[::order])
    whole = library(pd.DataFrame(frame()).astype({"b": expected}))
    assert model._fitted.view.columns.kinds == Columns.of(whole).kinds
    assert model._fitted.view.columns.dtypes == Columns.of(whole).dtypes
    drawn = in_memory(model.sample(2, random_state=0))
    assert Columns.of(drawn).kinds[1] == Columns.of(whole).kinds[1]


def test_booleans_beside_whole_numbers(any_size):
    frames = [pd.DataFrame(frame()).astype({"b": each}) for each in (bool, int)]
    message = "'b' holds booleans of type bool in chunk 0 of X and whole numbers of t"
    with pytest.raises(ValueError, match=message):
        vae().fit(frames)


@pytest.mark.parametrize("order", [1, -1])
def test_arrays_of_several_types(order, any_size):
    whole = np.arange(120).reshape(40, 3)
    objects = whole.astype(object)
    objects[3, 1] = None
    chunks = [whole.astype("int8"), whole.astype("uint8"), objects, X][::order]
    model = vae().fit(chunks)
    assert model.transform(chunks).shape == (420, 1)
    assert model.sample(2, random_state=0).dtype.kind == "f"
    texts = np.array([["u", "v", "w"]] * 9, dtype=object)
    message = (
        r"Column 0 holds (numbers|the categories 'u') in chunk 0 of X and (the|nu)"
    )
    with pytest.raises(ValueError, match=message):
        vae().fit([X, texts][::order])


def test_levels_that_only_some_chunks_declare(any_size):
    def chunk(*levels, ordered=False):
        column = pd.Categorical(levels * 30, sorted(levels), ordered=ordered)
        return pd.DataFrame({"a": np.arange(60.0) % 7, "c": column})

    model = vae().fit([chunk("u", "v"), chunk("v", "w")])
    assert list(model._fitted.view.columns.levels(1)) == ["u", "v", "w"]
    drawn = model.sample(50, random_state=0)["c"]
    assert set(drawn.cat.categories) == {"u", "v", "w"}
    assert set(drawn) == {"u", "v", "w"}
    # No order follows from two.
    with pytest.raises(
        ValueError, match=r"categories 'u', 'v' in chunk 0 .*'v', 'w' i"
    ):
        vae().fit([chunk("u", "v", ordered=True), chunk("v", "w", ordered=True)])


@pytest.mark.parametrize("library", LIBRARIES)
def test_levels_of_rows_without_weight(library, any_size):
    chunks = [library(frame(c=[level, "u"] * 30)) for level in "vw"]
    weight = np.ones(120)
    weight[60::2] = 0.0
    model = vae().fit(chunks, sample_weight=weight)
    assert list(model._fitted.view.columns.levels(2)) == ["u", "v"]
    # A whole chunk of them may be of another kind.
    weight[60:] = 0.0
    model = vae().fit(chunks, sample_weight=weight)
    assert list(model._fitted.view.columns.levels(2)) == ["u", "v"]


def test_objects_after_rows_of_numbers(large):
    rows = np.array([[1.0, 2.0], [2.0, "u"], [0.5, "v"]] * 20, dtype=object)
    rows[::3, 1] = None
    model = vae().fit([rows, rows])
    assert list(model._fitted.view.columns.levels(1)) == ["u", "v"]


FOLDED = {
    "path": (
        "rows.parquet",
        "the path 'rows.parquet'",
        r", as by pandas.read_parquet\(X",
    ),
    "dataset": (dataset.dataset(TABLE), "a InMemoryDataset", r", as by X.to_table\(\)"),
    "list": ([X, X], "a list", ""),
    "loader": (loader(), "a DataLoader", ""),
}


@pytest.mark.parametrize(("given", "shown", "how"), FOLDED.values(), ids=FOLDED)
def test_folds_of_what_is_not_in_memory(given, shown, how):
    message = f"divides the rows of X into folds, .* but X is {shown}.*as a whole{how}"
    with pytest.raises(TypeError, match=f"BalancedVAECV {message}.*on a sample of"):
        BalancedVAECV(2, cv=2).fit(given)
    with pytest.raises(TypeError, match=f"beta_path with cv {message}"):
        beta_path(given, betas=2, cv=2)


def test_a_path_of_betas_without_folds(large):
    path = beta_path([X, X], betas=[0.5], n_components=1, **SETTINGS)
    assert blocks_of([X, X]).n_rows == 600
    assert np.isfinite(path.elbo).all()


def test_a_file_in_a_search_of_scikit_learn():
    with pytest.raises(ValueError, match="a path is a list of letters: read the table"):
        GridSearchCV(vae(), {"beta": [1.0]}, cv=2).fit("rows.parquet")


def test_small_samples_have_the_index_of_their_chunks(any_size):
    frames = [pd.DataFrame(frame(), index=range(k, k + 60)) for k in (0, 60)]
    frames[0].iloc[3, 0] = np.nan
    filled = vae().fit(frames).impute(frames)
    assert_array_equal(filled.index, np.arange(120))
    assert filled.notna().all(axis=None)
    assert _stream._ROWS > 120
