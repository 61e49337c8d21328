"""The table as the model sees it, and the way back, in the units of each likelihood."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from skvae.data._columns import Columns
from skvae.data._view import TableView
from skvae.likelihoods import (
    LIKELIHOODS,
    ByColumns,
    Categorical,
    Gaussian,
    LogNormal,
    Poisson,
)
from skvae.likelihoods._groups import continuous

COUNTS = st.integers(0, 1000).map(float)
LEVELS = st.sampled_from([0.0, 1.0, 2.5, 7.0])
NUMBERS = st.floats(-1e6, 1e6)

# Cells that each likelihood admits.
CELLS = {
    **dict.fromkeys(("gaussian", "student_t", "laplace"), NUMBERS),
    "log_normal": st.floats(1e-6, 1e6),
    "bernoulli": st.sampled_from([0.0, 1.0]),
    **dict.fromkeys(("beta", "continuous_bernoulli"), st.floats(0.0, 1.0)),
    **dict.fromkeys(("categorical", "ordinal"), LEVELS),
    **dict.fromkeys(
        ("poisson", "negative_binomial", "zero_inflated_negative_binomial"), COUNTS
    ),
    "mixed": (LEVELS, NUMBERS, COUNTS, st.floats(1e-6, 1e6)),
}

# Those with a derivative on both sides, and so far apart that it can be computed.
INNER_CELLS = {
    **CELLS,
    **dict.fromkeys(
        ("gaussian", "student_t", "laplace"),
        st.integers(-2000, 2000).map(lambda k: k / 8),
    ),
    "log_normal": st.integers(1, 2000).map(lambda k: k / 8),
    **dict.fromkeys(("beta", "continuous_bernoulli"), st.floats(0.01, 0.99)),
}
DISCRETE = ("categorical", "ordinal")

few = settings(max_examples=15)
standardizations = st.sampled_from([True, False, "robust", "quantile"])
every_likelihood = pytest.mark.parametrize("name", CELLS)


def likelihood_of(name):
    if name in LIKELIHOODS:
        return LIKELIHOODS[name]()
    groups = [(Categorical(), [0]), (Gaussian(), [1]), (Poisson(), [2])]
    return ByColumns([*groups, (LogNormal(), [3])])


def columns_of(cells, n_rows):
    gap = st.just(np.nan)
    return arrays(np.float64, n_rows, elements=st.one_of(cells, gap), fill=st.nothing())


@st.composite
def tables(draw, cells):
    """A table with gaps."""
    n_rows = draw(st.integers(1, 7))
    if not isinstance(cells, tuple):
        cells = (cells,) * draw(st.integers(1, 3))
    return np.column_stack([draw(columns_of(each, n_rows)) for each in cells])


def view_of(name, X, standardize=True):
    likelihood = likelihood_of(name).fit(X)
    return TableView.from_rows(
        Columns.of_numbers(X.shape[1]),
        likelihood,
        likelihood.admit(X),
        np.arange(len(X)),
        np.ones(len(X)),
        continuous=continuous(likelihood, X.shape[1]),
        standardize=standardize,
    )


@every_likelihood
@few
@given(data=st.data(), standardize=standardizations)
def test_rows_come_back_and_missing_cells_are_zeros_under_a_mask(
    name, data, standardize
):
    X = data.draw(tables(CELLS[name]))
    view, is_missing, before = view_of(name, X, standardize), np.isnan(X), X.copy()
    x = view.to_model(X)
    assert x.dtype == np.float64
    assert_array_equal(np.isnan(x), is_missing)
    again, size = view.to_user(x), np.abs(np.nan_to_num(X)).max(axis=0)
    assert_array_equal(np.isnan(again), is_missing)
    error = np.where(is_missing, 0.0, again - X)
    assert (np.abs(error) <= 1e-9 * size + 1e-12).all()

    seen, observed = view.seen(X)
    assert_array_equal(seen, np.where(is_missing, 0.0, x))
    if is_missing.any():
        assert_array_equal(observed, ~is_missing)
    else:
        assert observed is None
    assert_array_equal(X, before)


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name not in DISCRETE])
@few
@given(data=st.data(), standardize=st.sampled_from([True, False, "robust"]))
def test_jacobian_is_the_derivative_of_the_way_back(name, data, standardize):
    X = data.draw(tables(INNER_CELLS[name]))
    view = view_of(name, X, standardize)
    x, step = view.to_model(X), 1e-4
    slope = (view.to_user(x + step) - view.to_user(x - step)) / (2.0 * step)
    # A constant column comes back as its constant.
    tested = ~np.isnan(X) & ~view.scaling.is_constant
    nats = view.log_jacobian(X)
    assert_allclose(np.exp(nats[tested]), slope[tested], rtol=1e-5)


@pytest.mark.parametrize("name", DISCRETE)
@few
@given(data=st.data())
def test_levels_have_no_units(name, data):
    X = data.draw(tables(CELLS[name]))
    view = view_of(name, X)
    assert_array_equal(view.log_jacobian(X), 0.0)
    x, there = view.to_model(X), ~np.isnan(X)
    assert_array_equal(x[there], np.rint(x[there]))


@given(data=st.data())
def test_rows_are_those_of_the_index_as_tensors(data):
    X = data.draw(tables(CELLS["mixed"]))
    view = view_of("mixed", X)
    n_rows = st.integers(1, len(X))
    index = np.array(data.draw(st.permutations(range(len(X)))))[: data.draw(n_rows)]
    weight, has_gaps = 1.0 + np.arange(len(index)), bool(np.isnan(X).any())
    like = torch.zeros((), dtype=torch.float64)
    rows, jacobian = view.rows(
        X, index, weight, has_gaps=has_gaps, like=like, random=np.random.RandomState(0)
    )
    x, there = view.to_model(X)[index], ~np.isnan(X[index])
    assert_array_equal(rows.x, np.where(there, x, 0.0))
    assert_allclose(rows.weight, weight / weight.sum())
    if has_gaps:
        assert_array_equal(rows.observed, there)
    else:
        assert rows.observed is None
    nats = np.where(there, view.log_jacobian(X[index]), 0.0).sum(axis=1)
    assert jacobian == pytest.approx(np.average(nats, weights=weight), abs=1e-9)


def test_units_and_scaling_are_both_in_the_jacobian():
    X = np.array([[1.0, 1.0], [4.0, 3.0], [2.0, 8.0]])
    likelihood = ByColumns([(LogNormal(), [0]), (Gaussian(), [1])]).fit(X)
    view = TableView.from_rows(
        Columns.of_numbers(2),
        likelihood,
        X,
        np.arange(3),
        np.ones(3),
        continuous=np.ones(2, dtype=bool),
        standardize=True,
    )
    logarithm = np.log(X[:, 0])
    expected = np.log(logarithm.std()) + logarithm
    assert_allclose(view.log_jacobian(X)[:, 0], expected)
    assert_allclose(view.log_jacobian(X)[:, 1], np.log(X[:, 1].std()))


def test_later_rows_change_nothing_but_which_columns_are_constant():
    X = np.array([[1.0, 5.0], [3.0, 5.0]])
    view = view_of("gaussian", X)
    assert_array_equal(view.scaling.is_constant, [False, True])
    same, other = view.after(X), view.after(X + 1.0)
    assert_array_equal(same.scaling.is_constant, [False, True])
    assert_array_equal(other.scaling.is_constant, [False, False])
    assert_array_equal(other.to_model(X), view.to_model(X))
    assert_array_equal(view.to_user(np.ones((1, 2))), [[3.0, 5.0]])
    assert_array_equal(other.to_user(np.ones((1, 2))), [[3.0, 6.0]])
