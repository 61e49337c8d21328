"""Columns as normal scores by rank: atoms, what is between them, and the way back."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from skvae.data._columns import Columns
from skvae.data._normal_scores import NormalScores
from skvae.data._view import TableView
from skvae.likelihoods import Gaussian

N_ROWS = 2000


def view_of(X, weight=None):
    """View of distinct rows; a column of row numbers keeps equal cells apart."""
    X = np.asarray(X)
    return TableView.from_rows(
        Columns.of_numbers(X.shape[1]),
        Gaussian().fit(X),
        X,
        np.arange(len(X)),
        np.ones(len(X)) if weight is None else weight,
        continuous=np.ones(X.shape[1], dtype=bool),
        standardize="quantile",
    )


def of_column(cells, weight=None):
    view = view_of(np.asarray(cells)[:, None], weight)
    return view, view.scores.columns[0]


def columns(seed=0):
    """A normal, a skewed, a counted, a zero-inflated, a rounded and a binary column."""
    random = np.random.RandomState(seed)
    normal = random.normal(size=(N_ROWS, 6))
    is_zero = random.uniform(size=N_ROWS) < 0.8
    return {
        "normal": normal[:, 0],
        "skewed": np.exp(2.0 * normal[:, 1]),
        "counts": random.poisson(20.0, N_ROWS).astype(float),
        "zeros": np.where(is_zero, 0.0, 100.0 * np.exp(normal[:, 3])),
        "rounded": np.round(normal[:, 4], 1),
        "binary": (normal[:, 5] > 0.5).astype(float),
    }


every_column = pytest.mark.parametrize("name", columns())


def mass(view, cells):
    """Probability of each atom, and an integral of the density of all else."""
    column = view.scores.columns[0]
    atoms = norm.cdf(column.high) - norm.cdf(column.low)
    # No step has a knot inside.
    low, high = column.values[0], column.values[-1]
    beyond = np.linspace(0.0, 8.0, 2001)[1:] * cells.std()
    ends = np.concatenate([low - beyond[::-1], column.values, high + beyond])
    part = (np.arange(200) + 0.5) / 200
    step = np.diff(ends)
    grid = ends[:-1, None] + part * step[:, None]
    X = grid.reshape(-1, 1)
    density = np.exp(norm.logpdf(view.to_model(X)) - view.log_jacobian(X))
    return atoms, float((density.reshape(grid.shape).mean(axis=1) * step).sum())


@every_column
def test_probability_is_one(name):
    cells = columns()[name]
    view, _ = of_column(cells)
    atoms, between = mass(view, cells)
    assert atoms.sum() + between == pytest.approx(1.0, abs=2e-4)


@every_column
def test_scores_are_standard_normal(name):
    X = columns()[name][:, None]
    view, _ = of_column(X[:, 0])
    u, _ = view.scores.drawn(X, np.random.RandomState(0).uniform(size=X.shape))
    u = np.where(np.isnan(u), view.to_model(X), u)
    # Uniform draws within atoms are as wide as a sample of normal numbers.
    assert abs(u.mean()) < 4.0 / np.sqrt(N_ROWS)
    assert abs(u.std() - 1.0) < 4.0 / np.sqrt(2.0 * N_ROWS)
    quantiles = np.sort(u[:, 0])
    expected = norm.ppf((np.arange(N_ROWS) + 0.5) / N_ROWS)
    assert np.abs(norm.cdf(quantiles) - norm.cdf(expected)).max() < 0.05


@every_column
def test_the_map_is_monotone_and_bounded(name):
    cells = columns()[name]
    view, column = of_column(cells)
    assert len(column.values) <= 1500
    assert (np.diff(column.values) > 0.0).all()
    assert (column.low[1:] > column.high[:-1]).all()
    grid = np.linspace(cells.min() - 5.0, cells.max() + 5.0, 10_001)[:, None]
    assert (np.diff(view.to_model(grid)[:, 0]) >= 0.0).all()
    u = np.linspace(-9.0, 9.0, 10_001)[:, None]
    X = view.to_user(u)[:, 0]
    assert (np.diff(X) >= 0.0).all()
    assert (X[0], X[-1]) == (cells.min(), cells.max())


@every_column
def test_observed_values_come_back(name):
    cells = columns()[name]
    view, _ = of_column(cells)
    X = cells[:, None]
    again = view.to_user(view.to_model(X))
    assert_allclose(again, X, rtol=1e-12, atol=1e-12 * np.abs(X).max())
    is_atom = view.scores.is_atom(X)
    assert_array_equal(again[is_atom], X[is_atom])
    assert is_atom.any() == (name not in ("normal", "skewed"))


def test_atoms_are_the_values_that_come_again():
    cells = np.concatenate([np.arange(50.0), np.full(50, 3.5)])
    view, column = of_column(cells)
    assert_array_equal(column.values[column.is_atom], [3.5])
    # All but the margins for new values on both sides.
    low, high = (float(each[column.is_atom][0]) for each in (column.low, column.high))
    assert norm.cdf(high) - norm.cdf(low) == pytest.approx(0.498)
    u = np.linspace(low, high, 11)[:, None]
    assert_array_equal(view.to_user(u)[:, 0], 3.5)
    middle = norm.expect(lb=low, ub=high, conditional=True)
    assert view.to_model(np.array([[3.5]]))[0, 0] == pytest.approx(middle)


@pytest.mark.parametrize("name", ["counts", "rounded", "binary"])
def test_draws_are_on_the_grid_of_the_column(name):
    cells = columns()[name]
    view, column = of_column(cells)
    u = np.random.RandomState(0).normal(size=(20_000, 1))
    assert column.is_grid
    assert np.isin(view.to_user(u), cells).all()


def test_between_atoms_draws_are_new_numbers():
    cells = columns()["zeros"]
    view, column = of_column(cells)
    drawn = view.to_user(np.random.RandomState(0).normal(size=(20_000, 1)))
    assert not column.is_grid
    assert (drawn == 0.0).mean() == pytest.approx((cells == 0.0).mean(), abs=0.01)
    positive = drawn[drawn > 0.0]
    assert len(np.unique(positive)) > 0.9 * len(positive)
    # The gap that no row is in has no more draws than half a row is worth.
    least = cells[cells > 0.0].min()
    assert (positive < least).mean() < 0.01


def test_beyond_the_range_scores_go_on():
    view, column = of_column(columns()["skewed"])
    end, scale = column.values[-1], view.scaling.scale[0]
    steps = np.arange(4.0)
    u = view.to_model((end + scale * steps)[:, None])[:, 0]
    slope = np.diff(u)
    assert_allclose(slope, slope[0], rtol=1e-9)
    # A long tail goes on as one, and none is steeper than a normal one.
    assert 0.0 < slope[0] < 0.5
    assert of_column(columns()["binary"])[1].slopes[-1] == 1.0
    far = view.to_model(np.array([[1e300], [-1e300]]))
    assert np.isfinite(far).all()


@pytest.mark.parametrize("factor", [1000.0, 0.1, 1e-200])
@every_column
def test_units_make_no_difference(name, factor):
    X = columns()[name][:, None]
    own, other = view_of(X), view_of(factor * X)
    assert_allclose(other.to_model(factor * X), own.to_model(X), atol=1e-9)
    nats = own.log_jacobian(X) + np.where(own.scores.is_atom(X), 0.0, np.log(factor))
    assert_allclose(other.log_jacobian(factor * X), nats, atol=1e-6)


@every_column
def test_weight_is_repetition(name):
    cells = np.unique(columns()[name])[:300]
    weight = 1.0 + np.arange(len(cells)) % 3
    weighted = of_column(cells, weight)[1]
    repeated = of_column(cells.repeat(weight.astype(int)))[1]
    assert_allclose(weighted.low, repeated.low, atol=1e-9)
    assert_allclose(weighted.high, repeated.high, atol=1e-9)
    assert_array_equal(weighted.values, repeated.values)


@pytest.mark.parametrize("weight", [1e-300, 1e300])
def test_weights_of_any_size(weight):
    cells = columns()["zeros"]
    view, _ = of_column(cells, weight * (1.0 + np.arange(N_ROWS) % 3))
    X = cells[:, None]
    assert np.isfinite(view.to_model(X)).all()
    assert np.isfinite(view.log_jacobian(X)).all()


def test_missing_cells_stay_missing_and_do_not_count():
    X = np.column_stack([columns()["zeros"], columns()["normal"]])
    X[::3] = np.nan
    view, other = view_of(X), view_of(X[~np.isnan(X[:, 0])])
    assert_array_equal(np.isnan(view.to_model(X)), np.isnan(X))
    assert_array_equal(np.isnan(view.to_user(view.to_model(X))), np.isnan(X))
    for one, two in zip(view.scores.columns, other.scores.columns, strict=True):
        assert_array_equal(one.low, two.low)


def test_a_constant_column_has_no_map():
    X = np.column_stack([np.full(50, 3.0), np.arange(50.0), np.full(50, np.nan)])
    view = view_of(X)
    assert_array_equal(view.scores.is_mapped, [False, True, False])
    x = view.to_model(np.array([[3.0, 5.0, np.nan], [4.0, 5.0, np.nan]]))
    assert_array_equal(x[:, 0], [0.0, 10.0])


def test_equal_numbers_of_another_precision_are_the_same_atom():
    cells = np.repeat([0.1, 0.2, 0.3], 10)
    view, column = of_column(cells)
    assert column.is_atom.all()
    single = np.array([[0.1], [0.2], [0.3]], dtype=np.float32)
    assert view.scores.is_atom(single).all()
    assert view.scores.is_atom(np.array([[0.1 + 0.2]])).all()
    narrow, _ = of_column(cells.astype(np.float32))
    assert narrow.scores.is_atom(np.array([[0.1]])).all()


def test_a_row_of_large_weight_has_several_draws():
    X = np.array([[0.0], [1.5], [2.5], [3.5]])
    view = view_of(X, np.array([9.0, 1.0, 1.0, 1.0]))
    index, weight = np.arange(4), np.array([9.0, 1.0, 1.0, 1.0])
    assert_array_equal(view.scores.n_copies(X, index, weight), [9, 1, 1, 1])
    assert view.scores.n_copies(X, index, 1e6 * weight).max() == 32


def test_draws_within_an_atom_have_the_density_of_its_interval():
    _, column = of_column(np.repeat([0.0, 1.0, 2.0], [700, 200, 100]))
    knot = np.repeat(np.arange(3), 4000)
    uniform = np.tile((np.arange(4000) + 0.5) / 4000, 3)
    u, log_density = column.drawn(knot, uniform)
    for k in range(3):
        own = knot == k
        low, high = column.low[k], column.high[k]
        assert ((low <= u[own]) & (u[own] <= high)).all()
        log_mass = np.log(norm.cdf(high) - norm.cdf(low))
        assert_allclose(log_density[own], norm.logpdf(u[own]) - log_mass, atol=1e-9)
        middle = norm.expect(lb=low, ub=high, conditional=True)
        assert u[own].mean() == pytest.approx(middle, abs=1e-3)


CELLS = st.sampled_from([0.0, 1.0, 1e-12, -1e300, 1e300, 5e-324, 3.0]) | st.floats(
    allow_nan=False, allow_infinity=False
)


@settings(max_examples=200)
@given(cells=st.lists(CELLS, min_size=2, max_size=20))
@example(cells=[0.0, 5e-324])
def test_any_numbers_come_back(cells):
    X = np.array(cells)[:, None]
    view = view_of(X)
    u, nats = view.to_model(X), view.log_jacobian(X)
    assert np.isfinite(u).all()
    assert np.isfinite(nats).all()
    size = np.abs(X).max()
    again = view.to_user(u)
    assert (np.abs(0.5 * again - 0.5 * X) <= 1e-9 * size).all()


def test_some_columns_alone():
    X = np.column_stack(list(columns().values()))
    scores = view_of(X).scores
    assert isinstance(scores.of([1, 3]), NormalScores)
    assert scores.of([1, 3]).columns == (scores.columns[1], scores.columns[3])
    low, high = scores.atoms
    assert low.shape == high.shape
    assert np.isinf(low[0]).all()
    assert_array_equal(low[5, :2], scores.columns[5].low)
