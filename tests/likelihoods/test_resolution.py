"""Columns that were recorded on a grid, and the floor of their variance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.balance import RunningAverage
from skvae.likelihoods import Gaussian, LogNormal
from skvae.likelihoods._resolution import resolution

pytestmark = pytest.mark.filterwarnings("ignore:Training ended after")


def normal(n_rows=400, n_columns=1, seed=0):
    return np.random.RandomState(seed).normal(size=(n_rows, n_columns))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [1e-200, 0.1, 0.25, 1.0, 7.0, 1e200])
def test_step_of_a_grid(step, dtype):
    if dtype == np.float32 and not 1e-30 < step < 1e30:
        pytest.skip("is no number in single precision")
    X = (step * (np.round(5.0 * normal()) + 40.0)).astype(dtype)
    assert_allclose(resolution(X), step, rtol=1e-5 if dtype == np.float32 else 1e-9)
    assert_allclose(resolution(-X), resolution(X), rtol=1e-12)


def test_differences_that_are_rounding_are_none():
    """As 0.1 + 0.2 and 0.3 differ in their last digit."""
    tenths = np.round(5.0 * normal(), 0)
    X = np.concatenate([tenths * 0.1, tenths / 10.0, (tenths + 3.0) * 0.1 - 0.3])
    assert len(np.unique(X)) > 1.5 * len(np.unique(tenths))
    assert_allclose(resolution(X), 0.1, rtol=1e-9)


@pytest.mark.parametrize("kind", ["zeros", "mixture", "few", "one", "none"])
def test_no_grid(kind):
    X = normal()
    if kind == "zeros":
        # Repeats, but the others are anywhere.
        X[::3] = X[1::3][: len(X[::3])] = 0.0
        X[np.arange(len(X)) % 4 < 2] = 0.0
    elif kind == "mixture":
        X = np.round(X, 1) + np.where(np.arange(400) % 2, 0.0317, 0.0)[:, None]
    elif kind == "few":
        X = np.arange(30.0)[:, None]
    elif kind == "one":
        X[:] = 3.0
    elif kind == "none":
        X[:] = np.nan
    assert_array_equal(resolution(X), 0.0)


def test_missing_cells_do_not_count():
    X = np.round(4.0 * normal(n_columns=2))
    gaps = X.copy()
    gaps[::5, 0] = np.nan
    assert_array_equal(resolution(gaps), 1.0)
    few = np.where(np.arange(400) < 3, X[:, 0], np.nan)[:, None]
    assert_array_equal(resolution(few), 0.0)


def table(gaps=False):
    """A column, the same in whole numbers of a fifth of it, and two that tell of it."""
    x = normal(500, 4)
    x[:, 2:] = x[:, :1] + 0.3 * x[:, 2:]
    x[:, 1] = np.round(5.0 * x[:, 0]) / 5.0
    if gaps:
        x[np.random.RandomState(2).uniform(size=x.shape) < 0.1] = np.nan
    return x


def fit(X, floor, **params):
    params = {
        "balance": RunningAverage(scope="feature"),
        "hidden_layer_sizes": (16,),
        "max_iter": 20,
        "random_state": 0,
        "likelihood": Gaussian(floor=floor),
    } | params
    return BalancedVAE(2, **params).fit(X)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("standardize", [False, True, "robust"])
def test_no_variance_is_below_that_of_rounding(standardize, gaps):
    X = table(gaps)
    X[:, 1] *= 10.0
    step = 2.0
    held = fit(X, "resolution", standardize=standardize, max_iter=40)
    scale = held._table.scale
    least = step**2 / 12.0
    found = held.variance_[1] * scale[1] ** 2
    assert found >= least * (1.0 - 1e-5)
    if not gaps:
        free = fit(X, 1e-6, standardize=standardize, max_iter=40)
        assert free.variance_[1] * scale[1] ** 2 < 0.9 * least
    # The floor of continuous columns is as it was.
    floor = held._parts.likelihood.floor_
    assert_allclose(floor[1] * np.nanvar(X[:, 1]), least, rtol=1e-9)
    assert_array_equal(floor[[0, 2, 3]], 1e-6)


def test_a_table_without_a_grid_is_fitted_as_before():
    X = table()[:, [0, 2, 3]]
    one, other = fit(X, 1e-6, max_iter=5), fit(X, "resolution", max_iter=5)
    assert_array_equal(one.score_samples(X), other.score_samples(X))
    assert_array_equal(one.variance_, other.variance_)


def test_weight_is_repetition():
    X = table()
    weight = np.arange(len(X)) % 3
    likelihood = Gaussian(floor="resolution")
    settings = {"max_iter": 3, "random_state": 0, "likelihood": likelihood}
    weighted = BalancedVAE(2, **settings).fit(X, sample_weight=weight)
    repeated = BalancedVAE(2, **settings).fit(X.repeat(weight, axis=0))
    assert_array_equal(weighted.score_samples(X), repeated.score_samples(X))
    floor = repeated._parts.likelihood.floor_
    assert_array_equal(weighted._parts.likelihood.floor_, floor)
    assert floor[1] > 1e-4


def test_variance_of_rounding_may_be_above_that_of_the_column():
    """One row in a hundred is 1 and the others are 0."""
    X = table()
    X[:, 1] = np.arange(500) % 100 == 0
    vae = fit(X, "resolution", max_iter=3)
    scale = vae._table.scale
    assert vae.variance_[1] * scale[1] ** 2 >= (1.0 - 1e-5) / 12.0
    assert np.isfinite(vae.score_samples(X)).all()


def test_in_a_mixture():
    X = np.column_stack([table(), np.arange(500) % 2])
    likelihood = [(Gaussian(floor="resolution"), [1, 0]), ("gaussian", [2, 3])]
    vae = fit(X, None, likelihood=[*likelihood, ("bernoulli", [4])], max_iter=3)
    step = 0.2
    assert vae.variance_[1] * vae._table.scale[1] ** 2 >= step**2 / 12.0 * (1.0 - 1e-5)


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (Gaussian(floor="grid"), r"The 'floor' parameter of Gaussian must be .*'resol"),
        (LogNormal(floor="resolution"), r"The 'floor' parameter of LogNormal must be"),
    ],
    ids=["unknown", "logarithms"],
)
def test_what_cannot_be_is_refused(likelihood, message):
    X = np.exp(table())
    with pytest.raises(ValueError, match=message):
        BalancedVAE(2, likelihood=likelihood).fit(X)
