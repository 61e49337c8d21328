"""Missing cells and new categories in an estimator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.exceptions import ColumnWarning
from skvae.likelihoods import Categorical

pytestmark = pytest.mark.filterwarnings("ignore:Training ended after")
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 5, "random_state": 0}


@pytest.fixture(scope="module")
def frame():
    random = np.random.RandomState(0)
    X = load_wine().data[:, :4]
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame = frame.mask(random.uniform(size=X.shape) < 0.15)
    frame["kind"] = pd.Series(random.choice(["x", "y"], len(X))).where(X[:, 0] > 12.5)
    frame.index = frame.index[::-1]
    return frame


@pytest.fixture(scope="module")
def vae(frame):
    return BalancedVAE(2, tol=1e3, **SMALL).fit(frame)


def test_missing_cells_cost_nothing_and_rows_sum_to_the_distortion(vae, frame):
    cells = vae.score_cells(frame)
    assert np.isfinite(cells).all()
    assert not cells[frame.isna().to_numpy()].any()
    np.testing.assert_array_equal(cells.sum(axis=1), vae.rate_distortion(frame)[1])


def test_impute_keeps_what_is_observed(vae, frame):
    filled = vae.impute(frame)
    assert not filled.isna().any(axis=None)
    pd.testing.assert_frame_equal(filled.where(frame.notna()), frame)


def test_row_that_is_missing_altogether(vae, frame):
    rows = frame.iloc[:3].copy()
    rows.iloc[1] = np.nan
    assert np.isfinite(vae.transform(rows)).all()
    assert not vae.impute(rows).isna().any(axis=None)
    assert vae.rate_distortion(rows)[1][1] == 0.0


def test_n_draws_gives_as_many_tables(vae, frame):
    assert len(vae.impute(frame, n_draws=2, random_state=0)) == 2
    with pytest.raises(ValueError, match="n_draws must be an integer of at least 1"):
        vae.impute(frame, n_draws=0)


def test_new_category(vae, frame):
    new = frame.iloc[:3].assign(kind="new")
    message = r"taken for missing: 3 of column 'kind' \(such as 'new'\)\. To make"
    with pytest.warns(ColumnWarning, match=message):
        Z = vae.transform(new)
    np.testing.assert_array_equal(Z, vae.transform(new.assign(kind=None)))
    likelihood = [("gaussian", list("abcd")), (Categorical(), ["kind"])]
    for strict in (
        BalancedVAE(2, likelihood=likelihood, **SMALL),
        BalancedVAE(2, handle_unknown="error", **SMALL),
    ):
        strict.fit(frame)
        message = "holds the category 'new', which .* did not: known are 'x', 'y'. Set"
        with pytest.raises(ValueError, match=message):
            strict.transform(new)


def test_numeric_categories_are_not_read_as_codes(frame):
    numbers = frame.assign(kind=pd.Categorical(np.where(frame["a"] > 13, 10, 20)))
    vae = BalancedVAE(2, **SMALL).fit(numbers)
    plain = numbers.assign(kind=numbers["kind"].astype(int))
    np.testing.assert_array_equal(vae.transform(numbers), vae.transform(plain))


def test_column_that_was_constant_stays_so_where_it_is_missing():
    X = np.random.RandomState(0).normal(size=(60, 3))
    X[:, 1] = 7.0
    vae = BalancedVAE(1, **SMALL).partial_fit(X)
    X[3, 1] = np.nan
    vae.partial_fit(X)
    assert (vae.inverse_transform(vae.transform(X))[:, 1] == 7.0).all()
