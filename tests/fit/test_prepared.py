"""A table ready to train on: what is learned from it, and how it is split."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.fit._prepared import like_of, prepared, scaled, scaled_as, scaled_for
from skvae.fit._table import CheckedTable
from skvae.model._spec import ModelSpec

LIKE = torch.zeros((), dtype=torch.float64)


@pytest.fixture
def X():
    X = np.random.default_rng(0).lognormal(size=(30, 3))
    X[4] = X[3]
    return X


def table_of(vae, X, weight=None):
    return CheckedTable.of(vae, X, weight)


def spec_of(vae, table):
    return ModelSpec.from_params(vae, table.likelihood, table.X, table.columns, [1.0])


def scaled_table(X, weight=None, **params):
    vae = BalancedVAE(2, **params)
    table = table_of(vae, X, weight)
    return scaled(spec_of(vae, table), table, standardize=vae.standardize)


def split(table, n_held_out=0, like=LIKE):
    is_held_out = np.arange(len(table.admitted.rows)) < n_held_out
    return prepared(table, is_held_out, like, seed=0)


def fitted(X, **params):
    settings = {"hidden_layer_sizes": (), "max_iter": 1, "tol": 1e3}
    vae = BalancedVAE(2, **settings, random_state=0, **params)
    return vae.partial_fit(X)


def test_equal_rows_are_merged(X):
    table = scaled_table(X)
    assert len(table.admitted.rows) == 29
    rows = split(table).rows
    assert rows.x.shape == (29, 3)
    assert float(rows.weight.max()) == pytest.approx(2 / 30)
    assert float(rows.weight.sum()) == pytest.approx(1.0)


def test_scaling_is_weighted(X):
    weight = 1.0 + np.arange(len(X)) % 3
    view = scaled_table(X, weight, likelihood="gaussian").view
    assert_allclose(view.scaling.center, np.average(X, axis=0, weights=weight))
    alike = scaled_table(X.repeat(weight.astype(int), axis=0), likelihood="gaussian")
    assert_allclose(alike.view.scaling.scale, view.scaling.scale)


def test_held_out_rows_are_the_others(X):
    table = scaled_table(X)
    data = split(table, 5)
    assert len(data.held_out.x) == 5
    assert len(data.rows.x) == 24
    both = np.concatenate([data.held_out.x, data.rows.x])
    whole = table.view.to_model(table.admitted.X[table.admitted.rows])
    assert_allclose(both, whole)
    for rows in (data.rows, data.held_out):
        assert float(rows.weight.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("n_held_out", [0, 5])
def test_scores_are_those_of_the_held_out_rows_or_of_all(X, n_held_out):
    X, weight = np.repeat(X.round(1), 2, axis=0), np.arange(60) % 3 + 1.0
    vae = fitted(X, standardize="quantile")
    data = split(scaled_table(X, weight, standardize="quantile"), n_held_out)
    admitted = data.admitted
    rows = admitted.X[admitted.rows][: n_held_out or None]
    rate, distortion = vae.rate_distortion(rows)
    weights = admitted.weight[: n_held_out or None]
    expected = [np.average(each, weights=weights) for each in (rate, distortion)]
    assert_allclose(data.scores(vae._fitted), expected, rtol=1e-6)


def test_jacobian_is_that_of_the_rows(X):
    data = split(scaled_table(X, likelihood="log_normal"), 5)
    rows = X[np.sort(data.admitted.rows)]
    assert len(rows) == 29
    nats = data.view.log_jacobian(data.admitted.X[data.admitted.rows]).sum(axis=1)
    weight = data.admitted.weight
    expected = [
        np.average(nats[p], weights=weight[p]) for p in np.split(range(29), [5])
    ]
    assert data.jacobian.validation == pytest.approx(expected[0])
    assert data.jacobian.train == pytest.approx(expected[1])
    alone = split(scaled_table(X, likelihood="log_normal"))
    assert alone.held_out is None
    assert alone.jacobian.validation == alone.jacobian.train


def test_mask_only_where_cells_are_missing(X):
    assert split(scaled_table(X)).rows.observed is None
    assert scaled_table(X).spec.indicator_columns == ()
    X[-1, 1] = np.nan
    table = scaled_table(X)
    assert table.spec.indicator_columns == (1,)
    data = split(table, 5)
    # Both parts have a mask, also the one without a missing cell.
    n_missing = [int((~rows.observed).sum()) for rows in (data.rows, data.held_out)]
    assert sum(n_missing) == 1


def test_precision_is_that_of_the_training(X):
    like = like_of(BalancedVAE(device="cpu"))
    assert like.dtype == torch.float32
    assert like.shape == ()
    rows = split(scaled_table(X), like=like).rows
    assert rows.x.dtype == rows.weight.dtype == torch.float32


def test_warm_table_has_the_scaling_of_the_last_fit(X):
    vae = fitted(X)
    last = vae._fitted
    table = table_of(vae, 2.0 * X)
    found = scaled_as(last, spec_of(vae, table), table)
    assert_array_equal(found.view.scaling.center, last.view.scaling.center)
    assert found.spec.likelihood is not last.spec.likelihood
    # The null model is that of the new rows.
    assert found.null_model is not last.null_model


def test_warm_table_keeps_the_indicators_of_the_last_fit(X):
    gaps = X.copy()
    gaps[0, 2] = np.nan
    vae = fitted(gaps)
    table = table_of(vae, X)
    found = scaled_as(vae._fitted, spec_of(vae, table), table)
    assert found.spec.indicator_columns == (2,)
    assert found.admitted.gaps == ()


def test_resumed_table_is_seen_by_the_last_model(X):
    vae = fitted(X)
    last = vae._fitted
    found = scaled_for(last, table_of(vae, X[:7]))
    assert found.spec is last.spec
    assert found.null_model is last.null_model
    assert_array_equal(found.view.to_model(X), last.view.to_model(X))


def test_resumed_table_is_admitted_by_the_last_likelihood(X):
    vae = fitted(np.floor(X), likelihood="poisson")
    with pytest.raises(ValueError, match="counts"):
        scaled_for(vae._fitted, table_of(vae, X))
