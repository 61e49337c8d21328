"""Tables that are mapped from a file, and are never in memory as a whole."""

import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE, OutlierVAE
from skvae.data import _large, _mapped
from skvae.data._large import blocks_of
from skvae.fit import _stream, _windows
from skvae.fit._prepared import like_of, prepared, scaled
from skvae.fit._stream import Stream
from skvae.fit._table import CheckedTable
from skvae.model._spec import ModelSpec

SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}


@pytest.fixture
def small_parts(monkeypatch):
    """Mapped arrays of any size count as large, and are read in small parts."""
    monkeypatch.setattr(_large, "_SMALL", 0)
    monkeypatch.setattr(_mapped, "_BLOCK", 2**9)
    monkeypatch.setattr(_windows, "_WINDOW", 2**13)
    monkeypatch.setattr(_stream, "_ROWS", 500)


@pytest.fixture
def mapped(tmp_path):
    """Map an array from a file."""

    def mapped(X):
        path = tmp_path / "X.npy"
        np.save(path, X)
        return np.load(path, mmap_mode="r")

    return mapped


def rows_of(n_rows, seed=0):
    random = np.random.default_rng(seed)
    codes = random.standard_normal((n_rows, 2))
    X = codes @ random.standard_normal((2, 5)) + 0.3 * random.standard_normal(
        (n_rows, 5)
    )
    return (X * [1.0, 10.0, 0.1, 1.0, 1.0] + 3.0).astype(np.float32)


def scaled_table(X, sample_weight=None, **params):
    vae = BalancedVAE(2, **params)
    table = CheckedTable.of(vae, X, sample_weight)
    spec = ModelSpec.from_params(vae, table.likelihood, table.X, table.columns, [1.0])
    return scaled(spec, table, standardize=vae.standardize)


def split(table, n_held_out=0):
    is_held_out = np.arange(len(table.admitted.rows)) < n_held_out
    like = like_of(BalancedVAE(precision="float64", device="cpu"))
    return prepared(table, is_held_out, like, seed=0)


def epoch(data, batch_size, n_steps, generator=None):
    """Rows of the batches of an epoch, and their weights."""
    source = data.source
    generator = generator or torch.Generator().manual_seed(0)
    x, weight = [], []
    for fill in source.fills(n_steps, batch_size, generator):
        window = source.window(batch_size)
        x.append(window.x[: fill.n_rows].clone())
        weight.append(window.weight[: fill.n_rows].clone())
    return torch.cat(x).numpy(), torch.cat(weight).numpy()


def attributes_of(vae):
    return {name for name in vars(vae) if name.endswith("_") or name[0] == "_"}


def test_what_is_read_in_blocks(mapped, monkeypatch):
    X = mapped(rows_of(40))
    assert blocks_of(X) is None
    monkeypatch.setattr(_large, "_SMALL", 0)
    for part in (X, X[3:], X[:, ::2], np.asarray(X), X.view(np.int32)):
        assert blocks_of(part).n_rows == len(part)
    for other in (np.array(X), X.copy(), X + 1.0, X[[0, 1]], X[0], X[:0], [[1.0]]):
        assert blocks_of(other) is None


@pytest.mark.parametrize("random", [None, np.random.RandomState(0)])
def test_blocks_are_all_rows(mapped, small_parts, random):
    X = mapped(rows_of(200))
    found = sorted(blocks_of(X).read(random), key=lambda block: block.start)
    assert_array_equal(np.concatenate([table for _, table in found]), X)
    assert len(found) == (1 if random is None else 8)


def test_small_arrays_are_fitted_as_in_memory(mapped):
    X = rows_of(200)
    one, other = (BalancedVAE(2, **SETTINGS).fit(each) for each in (X, mapped(X)))
    assert_array_equal(one.transform(X), other.transform(mapped(X)))


@pytest.mark.parametrize("likelihood", ["auto", "student_t"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_fit_is_about_as_good_as_in_memory(mapped, small_parts, likelihood, order):
    X, new = np.split(rows_of(5000), [3000])
    # In an order that batches must not have.
    X = np.asarray(X[X[:, 0].argsort()], order=order)
    one, other = (
        BalancedVAE(2, likelihood=likelihood, **SETTINGS).fit(each)
        for each in (X, mapped(X))
    )
    assert other.score(new) == pytest.approx(one.score(new), abs=0.1)
    # Figures of a sample.
    assert other.elbo_ == pytest.approx(one.elbo_, abs=0.5)


def test_fit_is_reproducible(mapped, small_parts):
    X = mapped(rows_of(1000))
    one, other = (BalancedVAE(2, **SETTINGS).fit(X) for _ in range(2))
    assert_array_equal(one.transform(X), other.transform(X))


def test_scaling_is_of_all_rows(mapped, small_parts):
    X = rows_of(2000)
    X[7, 1] = np.nan
    X[:, 3] = 5.0
    scaling, expected = (
        scaled_table(each, likelihood="gaussian").view.scaling
        for each in (mapped(X), X)
    )
    for name in ("center", "scale", "mean", "variance", "is_constant"):
        assert_allclose(getattr(scaling, name), getattr(expected, name), rtol=1e-9)


def test_each_row_is_trained_on_once_an_epoch(mapped, small_parts):
    X = np.arange(3000.0).reshape(1500, 2)
    data = split(scaled_table(mapped(X), standardize=False), n_held_out=60)
    assert data.source.n_rows == 1440
    generator = torch.Generator().manual_seed(0)
    orders = []
    for _ in range(2):
        x, weight = epoch(data, 16, 90, generator)
        assert_allclose(weight, 1.0 / 16)
        orders.append(x[:, 0])
    held_out = data.held_out.x[:, 0].numpy()
    others = np.setdiff1d(X[:, 0], held_out)
    assert len(others) == 1440
    for order in orders:
        assert_array_equal(np.sort(order), others)
    assert not np.array_equal(*orders)
    # Batches draw from a window, whose rows are of many blocks.
    window = data.source.window(16)
    assert window.x.nbytes <= 2**13
    assert np.ptp(orders[0][: len(window.x)]) > 2000


def test_an_epoch_depends_on_the_generator_alone(mapped, small_parts):
    X = np.arange(3000.0).reshape(1500, 2)
    data = split(scaled_table(mapped(X), standardize=False))
    generator = torch.Generator().manual_seed(0)
    epoch(data, 10, 150, generator)
    state = generator.get_state()
    one, _ = epoch(data, 10, 150, generator)
    epoch(data, 10, 150, generator)
    other, _ = epoch(data, 10, 150, generator.set_state(state))
    assert_array_equal(one, other)


def test_weights(mapped, small_parts):
    X, weight = np.arange(2400.0).reshape(1200, 2), np.arange(1200) % 3
    table = scaled_table(mapped(X), weight, standardize=False)
    data = split(table, n_held_out=40)
    assert_array_equal(table.admitted.X[:, 0] % 6 > 0, True)
    assert data.source.n_rows == 760
    x, batch_weight = epoch(data, 20, 38)
    own = weight[(x[:, 0] / 2).astype(int)]
    assert_allclose(batch_weight, own / own.mean() / 20)
    rows = X[weight > 0]
    expected = np.average(X, axis=0, weights=weight)
    scaling = scaled_table(mapped(X), weight).view.scaling
    assert_allclose(scaling.center, expected)
    assert len(np.unique(x[:, 0])) == len(rows) - 40


def test_sample_has_every_level_and_a_missing_cell(mapped, small_parts):
    X = rows_of(4000)
    X[:, 3] = np.arange(4000) % 7
    X[1234, 3] = 9.0
    X[777, 4] = np.nan
    columns = [("categorical", [3]), ("gaussian", [0, 1, 2, 4])]
    table = scaled_table(mapped(X), likelihood=columns)
    assert table.admitted.gaps == (4,)
    (levels,) = (
        group.likelihood.levels_
        for group in table.spec.likelihood.listed()
        if hasattr(group.likelihood, "levels_")
    )
    assert_array_equal(levels[0], [0, 1, 2, 3, 4, 5, 6, 9])
    assert len(table.admitted.rows) < 510
    # The rows that were added weigh what they do in the table.
    assert table.admitted.weight.min() == pytest.approx(500 / 4000)
    data = split(table)
    window = data.source.window(100)
    epoch(data, 100, 40)
    assert window.observed is not None


def test_zeros_and_ones_are_those_of_the_whole_table(mapped, small_parts):
    X = np.zeros((3000, 2))
    X[::2] = 1.0
    spec = scaled_table(mapped(X)).spec
    assert type(spec.likelihood).__name__ == "Bernoulli"
    X[1501, 1] = 0.5
    spec = scaled_table(mapped(X)).spec
    assert type(spec.likelihood).__name__ == "ByColumns"


def test_levels_beyond_those_that_the_sample_looks_for(
    mapped, small_parts, monkeypatch
):
    monkeypatch.setattr(_stream, "_LEVELS", 3)
    X = np.repeat(np.arange(5.0), 400)[:, None] * [1.0, 1.0]
    # Most of these are not in the sample.
    X[::400] = [[8.0, 0.5], [8.5, 0.6], [8.6, 0.7], [8.7, 0.8], [8.8, 0.9]]
    settings = {"likelihood": "categorical", **SETTINGS, "max_iter": 1}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        BalancedVAE(1, **settings).fit(mapped(X))
    messages = [str(warning.message) for warning in found]
    assert len([text for text in messages if "taken for missing" in text]) == 1
    vae = BalancedVAE(1, handle_unknown="error", **settings)
    with pytest.raises(ValueError, match="which now holds"):
        vae.fit(mapped(X))
    assert not attributes_of(vae)


@pytest.mark.parametrize("row", [0, 3, 1999])
def test_infinite_cell(mapped, small_parts, row):
    X = rows_of(2000)
    X[row, 1] = np.inf
    vae = BalancedVAE(2, **SETTINGS)
    with pytest.raises(ValueError, match=rf"column 1 holds inf in row {row}\."):
        vae.fit(mapped(X))
    assert not attributes_of(vae)
    vae.fit(rows_of(200))
    with pytest.raises(ValueError, match=rf"column 1 holds inf in row {row}\."):
        vae.transform(mapped(X))


def test_impossible_cell(mapped, small_parts):
    X = np.abs(rows_of(2000)) + 0.1
    X[1111, 2] = -1.0
    with pytest.raises(ValueError, match="needs values above 0"):
        BalancedVAE(2, likelihood="log_normal", **SETTINGS).fit(mapped(X))


def test_wrong_weights(mapped, small_parts):
    X = mapped(rows_of(100))
    with pytest.raises(ValueError, match="sample_weight"):
        BalancedVAE(2).fit(X, sample_weight=np.ones(99))
    with pytest.raises(ValueError, match="zero"):
        BalancedVAE(2).fit(X, sample_weight=np.zeros(100))


@pytest.mark.parametrize("standardize", ["robust", "quantile", False])
def test_other_scalings(mapped, small_parts, standardize):
    X = rows_of(1500)
    # An atom.
    X[::3, 4] = 3.0
    vae = BalancedVAE(2, standardize=standardize, **SETTINGS).fit(mapped(X))
    assert np.isfinite(vae.score(X))


def test_integers(mapped, small_parts):
    X = np.random.default_rng(0).poisson(4.0, size=(1000, 3))
    vae = BalancedVAE(1, likelihood="poisson", **SETTINGS).fit(mapped(X))
    assert vae.transform(mapped(X)).shape == (1000, 1)


def test_methods_give_the_same_block_by_block(mapped, monkeypatch):
    X = rows_of(300)
    vae = BalancedVAE(2, **SETTINGS).fit(X)
    methods = (
        vae.transform,
        vae.score_samples,
        vae.log_likelihood,
        lambda X: vae.rate_distortion(X)[0],
    )
    expected = [method(X) for method in methods]
    monkeypatch.setattr(_large, "_SMALL", 0)
    monkeypatch.setattr("skvae.data._rows._CELLS", 70 * 5)
    blocks = mapped(X)
    assert len(list(blocks_of(blocks).read())) == 5
    for method, each in zip(methods, expected, strict=True):
        found = method(blocks)
        assert found.dtype == each.dtype
        assert_allclose(found, each, rtol=1e-3, atol=1e-3)


def test_fits_that_go_on(mapped, small_parts):
    X = mapped(rows_of(1000))
    vae = BalancedVAE(2, warm_start=True, **SETTINGS).fit(X)
    first = vae.score(X)
    assert vae.fit(X).score(X) > first - 0.1
    vae = BalancedVAE(2, batch_size=50, **SETTINGS).partial_fit(X).partial_fit(X)
    assert vae.n_iter_ == 2
    assert np.isfinite(vae.score(X))


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_outliers(mapped, small_parts, contamination):
    X = mapped(rows_of(1500))
    settings = {**SETTINGS, "max_iter": 2, "tol": 1e3}
    vae = OutlierVAE(n_components=2, contamination=contamination, **settings).fit(X)
    if contamination != "auto":
        assert np.mean(vae.predict(X) == -1) == pytest.approx(0.1, abs=0.04)


def test_nothing_needs_the_memory_of_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(_stream, "_ROWS", 20_000)
    # Of zeros: the file takes no space.
    shape = 2**21, 32
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", "float32", shape)
    tracemalloc.start()
    stream = Stream.of(BalancedVAE(), blocks_of(X), None, None)
    n_rows = sum(len(numbers.place) for numbers in stream.read())
    _, place, rows, _ = stream.sample()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_rows == len(X)
    assert len(np.unique(place)) == len(rows) == 20_000
    assert peak < X.nbytes / 5


def test_sample_is_in_memory_once(mapped, small_parts):
    table = CheckedTable.of(BalancedVAE(2), mapped(rows_of(2000)), None)
    assert table.X is table.source
