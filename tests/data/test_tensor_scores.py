"""Maps by rank on tensors: the same numbers as on arrays."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.data._tensor_scores import TensorScores

from .test_normal_scores import columns, view_of


def table(dtype):
    X = np.column_stack([*columns().values(), np.full(2000, 7.5)]).astype(dtype)
    X[[0, 5], [1, 3]] = np.nan
    return X


@pytest.fixture(params=["float64", "float32"])
def view(request):
    return view_of(table(request.param))


@pytest.fixture(params=["float64", "float32"])
def rows(request):
    """Rows on knots, beside them, between and beyond them, and missing cells."""
    X = table("float64")[:300]
    between = 0.5 * (X[1:] + X[:-1])
    rows = [X, np.nextafter(X, np.inf), between, 1e3 * X[:3], -1e3 * X[:3]]
    return np.concatenate([*rows, X.astype("float32")]).astype(request.param)


def test_scores_slopes_and_atoms_are_those_of_arrays(view, rows):
    maps = TensorScores(view.scores)
    x = view.scaling.to_model(rows)
    X = maps.admitted(torch.tensor(rows).double(), rows.dtype == np.float32)
    assert_allclose(X, rows, rtol=1e-6, atol=1e-12)
    x_there = torch.tensor(x)
    is_there = ~np.isnan(rows)
    found = maps.to_scores(X, x_there).numpy()
    expected = view.scores.to_scores(rows, x)
    assert_allclose(found[is_there], expected[is_there], rtol=1e-12, atol=1e-12)
    found = maps.log_slope(X, x_there).numpy()
    expected = view.scores.log_slope(rows, x)
    assert_allclose(found[is_there], expected[is_there], rtol=1e-12, atol=1e-12)
    knot, is_knot = maps.knots(X)
    is_atom = is_knot & maps.is_atom.gather(1, knot)
    assert_array_equal(is_atom.T[:, :-1], view.scores.is_atom(rows)[:, :-1])


def test_way_back_is_that_of_arrays(view):
    u = np.random.RandomState(0).normal(0.0, 2.0, (2, 500, 7))
    u[0, 0], u[0, 1] = np.nan, 40.0
    u[1, 1] = -40.0
    X = np.arange(u.size, dtype=float).reshape(u.shape)
    maps = TensorScores(view.scores)
    found = maps.to_user(torch.tensor(u), torch.tensor(X))
    assert_allclose(found, view.scores.to_user(u, X), rtol=1e-12)
    # The last column is constant, and has no map.
    assert_array_equal(found[..., -1], X[..., -1])
