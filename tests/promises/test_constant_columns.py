"""A column that does not vary: what it is, and what a new value in it costs."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.likelihoods import LIKELIHOODS

pytestmark = [
    pytest.mark.filterwarnings("ignore:Training ended after"),
    pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning"),
]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "tol": 1e3, "random_state": 0}
N_ROWS = 80

# What the column holds, and new values in it.
VALUES = {
    "gaussian": (3.0, [4.0, 3.0 + 1e-6, -1e300]),
    "student_t": (0.3, [0.4, 1e300]),
    "laplace": (1e-200, [2e-200, 1e5]),
    "log_normal": (7.0, [8.0, 1e-300, 1e300]),
    "bernoulli": (0.0, [1.0]),
    "continuous_bernoulli": (0.3, [0.3 + 1e-9, 0.9, 1.0]),
    "beta": (0.3, [0.3 + 1e-9, 0.9, 1.0]),
    "poisson": (7.0, [8.0, 0.0, 1e6, 1e18]),
    "negative_binomial": (7.0, [8.0, 0.0, 1e6, 1e18]),
    "zero_inflated_negative_binomial": (7.0, [8.0, 0.0, 1e6, 1e18]),
}

COUNTS = {"poisson", "negative_binomial", "zero_inflated_negative_binomial"}


def columns_of(name):
    """Two columns that a likelihood admits."""
    random = np.random.RandomState(0)
    if name in ("gaussian", "student_t", "laplace"):
        return random.standard_normal((N_ROWS, 2))
    if name == "log_normal":
        return random.lognormal(size=(N_ROWS, 2))
    if name in ("continuous_bernoulli", "beta"):
        return random.uniform(size=(N_ROWS, 2))
    if name == "bernoulli":
        return random.randint(0, 2, (N_ROWS, 2)).astype(float)
    return random.poisson(3.0, (N_ROWS, 2)).astype(float)


def test_every_likelihood_of_numbers_is_tested():
    # Levels have no new value but one that fit did not see.
    assert VALUES.keys() == LIKELIHOODS.keys() - {"categorical", "ordinal"}


@pytest.mark.parametrize("is_rounded", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_a_constant_column_that_changes(name, is_rounded):
    value, new = VALUES[name]
    X = np.insert(columns_of(name), 1, value, axis=1)
    is_whole = name in COUNTS or name == "bernoulli"
    if is_rounded and not is_whole:
        # As a sum in another order leaves it, which is no unit.
        X[::2, 1] = np.nextafter(value, 1e300)
    vae = BalancedVAE(1, likelihood=name, **SMALL).fit(X)
    rate, cells = vae.rate_distortion(X[:9])[0], vae.score_cells(X[:9])[:, 1]
    for changed in new:
        rows = X[:9].copy()
        rows[:, 1] = changed
        found = vae.score_cells(rows)[:, 1]
        # Neither infinitely cheap nor more than what each unit of a count costs.
        assert (found > cells - 3.0).all()
        assert (found < 1e5 + (100.0 * changed if name in COUNTS else 0.0)).all()
        assert (vae.rate_distortion(rows)[0] < rate + 5000.0).all()


@pytest.mark.parametrize("name", ["gaussian", "laplace", "student_t", "log_normal"])
def test_any_other_value_of_a_continuous_column_costs_the_same(name):
    value, new = VALUES[name]
    X = np.insert(columns_of(name), 1, value, axis=1)
    vae = BalancedVAE(1, likelihood=name, **SMALL).fit(X)
    rows = np.repeat(X[:1], len(new) + 1, axis=0)
    rows[1:, 1] = np.maximum(new, value * (1.0 + 1e-9))
    cells = vae.score_cells(rows)[:, 1]
    assert_allclose(cells[1:], cells[1], rtol=1e-12)
    assert cells[1] > cells[0] + 10.0


FLAGS = {
    "integers": lambda flag: pd.Series(flag),
    "integers with gaps": lambda flag: pd.Series(flag, dtype="Int64").where(
        np.arange(len(flag)) % 20 > 0
    ),
    "booleans": lambda flag: pd.Series(flag == 1),
    "small integers": lambda flag: pd.Series(flag, dtype="int8"),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_a_flag_is_a_flag_in_a_fold_that_never_sets_it(kind):
    random = np.random.RandomState(0)
    number, flag = random.standard_normal(200), np.zeros(200, dtype=int)
    flag[1] = 1
    table = pd.DataFrame({"number": number, "flag": FLAGS[kind](flag)})
    costs = []
    for rows in (slice(0, 100), slice(2, 102)):
        vae = BalancedVAE(1, **SMALL).fit(table.iloc[rows])
        new = table.iloc[102:112].reset_index(drop=True)
        new["flag"] = FLAGS["integers"](np.arange(10) % 2).astype(table["flag"].dtype)
        cells = vae.score_cells(new)[:, 1]
        assert (cells[1::2] > cells[::2] + 3.0).all()
        costs.append(cells[::2].mean())
        assert vae.sample(3, random_state=0).dtypes.equals(table.dtypes)
    # Zeros cost about as much with the one row that is set as without it.
    assert abs(costs[0] - costs[1]) < 0.1


def test_a_count_that_is_zero_in_a_fold_is_set_where_it_is_larger():
    table = pl.DataFrame({"a": np.linspace(0.0, 1.0, 60), "count": [0] * 60})
    vae = BalancedVAE(1, **SMALL).fit(table)
    new = table.head(3).with_columns(count=pl.Series([0, 1, 1902]))
    cells = vae.score_cells(new)[:, 1]
    assert cells[1] > cells[0] + 3.0
    assert cells[2] == pytest.approx(cells[1], abs=1.0)


def test_real_zeros_are_no_flag():
    X = np.insert(columns_of("gaussian"), 1, 0.0, axis=1)
    vae = BalancedVAE(1, **SMALL).fit(X)
    assert np.shape(vae.variance_) in {(), (3,)}
    assert_array_equal(vae.inverse_transform(vae.transform(X))[:, 1], 0.0)


@pytest.mark.parametrize("n_categories", [2, 3])
def test_real_zeros_beside_categories_are_no_flag(n_categories):
    """Codes of two categories are no column of zeros and ones."""
    codes = np.arange(60) % n_categories
    table = pl.DataFrame({"a": np.array(["u", "v", "w"])[codes], "real": [0.0] * 60})
    vae = BalancedVAE(1, **SMALL).fit(table)
    new = pl.DataFrame({"a": ["u", "u"], "real": [1.0, 3.0]})
    # Neither ones nor missing.
    assert (vae.score_cells(new)[:, 1] > 1e3).all()
