"""Arrays and frames of dask, which go in partition by partition."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from skvae import BalancedVAE, BalancedVAECV, OutlierVAE
from skvae.data import _large
from skvae.data._large import blocks_of
from skvae.data._partitions import Partitions
from skvae.fit import _windows

REASON = "needs the package dask; `make test-engines` installs it"
dask = pytest.importorskip("dask", reason=REASON)
da = pytest.importorskip("dask.array", reason=REASON)
dd = pytest.importorskip("dask.dataframe", reason=REASON)

SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": 1e3, "random_state": 0}
SETTINGS |= {"balance": "constant"}


@pytest.fixture(params=["small", "large"])
def any_size(request, monkeypatch):
    """Tables are read as a whole, or partition by partition."""
    if request.param == "large":
        monkeypatch.setattr(_large, "_SMALL", 0)
        monkeypatch.setattr(_windows, "_WINDOW", 2**12)
    return request.param


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    code = random.standard_normal(900)
    frame = pd.DataFrame(
        {
            "size": code + 0.2 * random.standard_normal(900),
            "weight": (3.0 * code + random.standard_normal(900)).astype("float32"),
            "count": random.poisson(4.0, 900),
            "is_new": random.random(900) < 0.3,
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(code.round(2), "D"),
            "colour": pd.Categorical(np.where(code > 0, "red", "blue")),
            "shape": np.repeat(["round", "square", "flat"], 300),
        }
    )
    frame.loc[5, "size"] = np.nan
    return frame


def vae(**params):
    return BalancedVAE(2, **SETTINGS, **params)


@pytest.fixture
def computed(monkeypatch):
    """Rows of each partition that is computed, as a list that grows."""
    found, compute = [], Partitions.__getitem__

    def counted(self, i):
        table = compute(self, i)
        found.append(len(table))
        return table

    monkeypatch.setattr(Partitions, "__getitem__", counted)
    return found


def test_names_and_types_are_kept(frame, any_size):
    lazy = dd.from_pandas(frame, npartitions=5)
    types = lazy.compute()
    found, expected = vae().fit(lazy), vae().fit(types)
    assert list(found.feature_names_in_) == list(frame.columns)
    drawn = found.sample(20, random_state=0)
    assert_frame_equal(drawn[:0], expected.sample(2, random_state=0)[:0])
    assert found.score(lazy) == pytest.approx(expected.score(types), abs=0.5)
    if any_size == "small":
        assert_array_equal(found.transform(lazy), expected.transform(types))
        assert found.impute(lazy).index.equals(frame.index)


def test_methods_give_what_they_give_of_the_table_in_memory(frame, any_size):
    lazy = dd.from_pandas(frame, npartitions=5)
    model, table = vae().fit(frame), lazy.compute()
    for method in ("transform", "score_samples", "log_likelihood", "score_cells"):
        found = getattr(model, method)(lazy)
        assert isinstance(found, np.ndarray)
        assert_allclose(found, getattr(model, method)(table), rtol=1e-4, atol=1e-4)
    frames = model.set_output(transform="pandas").transform(lazy)
    assert list(frames.columns) == ["balancedvae0", "balancedvae1"]
    detector = OutlierVAE(n_components=2, contamination=0.1, **SETTINGS).fit(lazy)
    assert (detector.predict(lazy) == -1).sum() == pytest.approx(90, abs=10)


def test_memory_holds_one_partition(frame, any_size, computed):
    lazy = da.from_array(frame[["size", "weight"]].to_numpy("float64"), (100, 1))
    model = BalancedVAE(1, **SETTINGS).fit(lazy)
    assert set(computed) == {100}
    assert Partitions(lazy)[0].shape == (100, 2)
    if any_size == "large":
        # A pass of blocks in random order for each epoch, and some before.
        assert len(computed) > 9 * SETTINGS["max_iter"]
        starts = [start for start, _ in blocks_of(lazy).read(np.random.RandomState(0))]
        assert starts != sorted(starts)
    assert_allclose(model.transform(lazy), model.transform(lazy.compute()), atol=1e-5)


def test_weights(frame, any_size):
    X = frame[["size", "weight"]].fillna(0.0)
    weight = np.where(X["size"] > 0.0, 1.0, 0.0)
    found = BalancedVAE(1, **SETTINGS).fit(
        dd.from_pandas(X, npartitions=3), sample_weight=da.from_array(weight, 300)
    )
    expected = X["size"][weight > 0.0].mean()
    assert found._fitted.view.scaling.center[0] == pytest.approx(expected, rel=1e-5)


def test_partitions_without_rows_and_of_unknown_length(frame, any_size):
    lazy = dd.from_pandas(frame, npartitions=6)
    some = lazy[lazy["shape"] != "square"]
    assert vae().fit(some).transform(some).shape == (600, 2)
    array = da.from_array(np.arange(600.0).reshape(300, 2) % 17, (50, 2))
    array = array[array[:, 0] > 4.0]
    n_rows = len(array.compute())
    assert BalancedVAE(1, **SETTINGS).fit(array).transform(array).shape == (n_rows, 1)


def test_categories_that_dask_does_not_know(frame, any_size):
    lazy = dd.from_pandas(frame, npartitions=3)
    lazy = lazy.assign(shape=lazy["shape"].astype("category"))
    assert not lazy["shape"].cat.known
    model = vae().fit(lazy)
    assert list(model._fitted.view.columns.levels(6)) == ["flat", "round", "square"]
    categories = model.sample(2, random_state=0)["shape"].cat.categories
    assert set(categories) == {"flat", "round", "square"}


def test_categories_in_an_order_that_differs_by_partition(frame, any_size):
    def ordered(part):
        levels = pd.CategoricalDtype(part["shape"].dropna().unique(), ordered=True)
        return part.assign(shape=part["shape"].astype(levels))

    lazy = dd.from_pandas(frame, npartitions=3).map_partitions(ordered)
    with pytest.raises(ValueError, match=r"'shape' holds the .* one order, in all"):
        vae().fit(lazy)


def test_partitions_are_mapped_where_a_result_is_to_stay_in_dask(frame):
    lazy = dd.from_pandas(frame, npartitions=5)
    model = vae().set_output(transform="pandas").fit(lazy)
    codes = lazy.map_partitions(model.transform, meta=model.transform(lazy.head(1)))
    assert isinstance(codes, dd.DataFrame)
    expected = model.transform(lazy.compute())
    assert_frame_equal(codes.compute(), expected, atol=1e-5)
    array = da.from_array(np.arange(60.0).reshape(20, 3) % 7, (5, 3))
    own = BalancedVAE(1, **SETTINGS).fit(array)
    codes = array.map_blocks(own.transform, dtype=float, chunks=(array.chunks[0], (1,)))
    assert_allclose(codes.compute(), own.transform(array), atol=1e-5)
    scores = lazy.map_partitions(model.score_samples, meta=np.empty(0))
    assert_allclose(scores.compute(), model.score_samples(lazy), rtol=1e-4)


def test_collections_that_are_no_table(frame):
    lazy = dd.from_pandas(frame, npartitions=2)
    from dask import bag

    with pytest.raises(TypeError, match=r"Series of dask.*X\.to_frame\(\)"):
        vae().fit(lazy["size"])
    for other in (bag.range(4, npartitions=2), dask.delayed(frame)):
        with pytest.raises(TypeError, match=r"of dask, .* Use X\.compute\(\)"):
            vae().fit(other)
    for shape in ((4,), (4, 2, 2)):
        message = rf"got {len(shape)}D array instead: .* Use X\.reshape\(len\(X\), -1\)"
        array = da.ones(shape, chunks=2)
        with pytest.raises(ValueError, match=message):
            vae().fit(array)
        assert vae().fit(array.reshape(len(array), -1)).n_features_in_
    blocks = da.ones((4, 2), chunks=2).map_blocks(sparse.csr_array)
    with pytest.raises(TypeError, match="Chunk 0 of X is a csr_array, which is sparse"):
        vae().fit(blocks)
    message = r"takes a table in memory, but X is a DataFrame.* X\.compute\(\), or"
    with pytest.raises(TypeError, match=message):
        BalancedVAECV(2, cv=2).fit(lazy)
    # As the guide states it of scikit-learn.
    with pytest.raises(AttributeError, match="no attribute 'take'"):
        GridSearchCV(vae(), {"beta": [1.0]}, cv=2).fit(lazy)


def test_a_search_of_scikit_learn_takes_an_array(frame):
    lazy = da.from_array(frame[["size", "weight"]].to_numpy("float64"), (300, 2))
    search = GridSearchCV(vae(), {"beta": [1.0]}, cv=2)
    scores = [search.fit(X).best_score_ for X in (lazy, lazy.compute())]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)
