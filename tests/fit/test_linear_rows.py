"""Few rows in place of many, for linear models."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skvae.data._rows import Rows
from skvae.fit import _linear_rows
from skvae.fit._linear_rows import linear_rows
from skvae.likelihoods import Categorical, Gaussian
from skvae.linear._columns import LinearColumns
from skvae.linear._model import LinearModel

N_FEATURES = 4


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = 2.0 + rng.normal(size=(200, N_FEATURES)) @ rng.normal(size=(N_FEATURES,) * 2)
    weight = rng.uniform(0.5, 1.5, size=len(x))
    return Rows(torch.from_numpy(x), torch.from_numpy(weight / weight.sum()))


@pytest.fixture
def few(monkeypatch):
    """As if 200 rows were many."""
    monkeypatch.setattr(_linear_rows, "_LINEAR_ROWS", 100)


def moments(x, weight):
    center = weight @ x
    return center, (weight[:, None] * (x - center)).T @ (x - center)


def of_numbers(rows):
    return linear_rows(rows, Gaussian(), LinearColumns.of_numbers(N_FEATURES))


def test_rows_are_themselves_where_they_are_few(rows):
    x, weight = of_numbers(rows)
    assert_allclose(x, rows.x)
    assert_allclose(weight, rows.weight)
    assert x.dtype == weight.dtype == np.float64


def test_arrays_are_float64_whatever_the_training(rows):
    x, weight = of_numbers(Rows(rows.x.float(), 3.0 * rows.weight.float()))
    assert x.dtype == weight.dtype == np.float64
    assert weight.sum() == pytest.approx(1.0)


@pytest.mark.usefixtures("few")
def test_many_rows_become_few_of_the_same_moments(rows):
    x, weight = of_numbers(rows)
    assert x.shape == (2 * N_FEATURES, N_FEATURES)
    assert weight.sum() == pytest.approx(1.0)
    expected = moments(rows.x.numpy(), rows.weight.numpy())
    for found, moment in zip(moments(x, weight), expected, strict=True):
        assert_allclose(found, moment, rtol=1e-10, atol=1e-10)


def test_linear_model_of_few_rows_is_that_of_all(rows, monkeypatch):
    whole = LinearModel.from_rows(*of_numbers(rows), 2)
    monkeypatch.setattr(_linear_rows, "_LINEAR_ROWS", 100)
    part = LinearModel.from_rows(*of_numbers(rows), 2)
    for theta in (0.1, 1.0):
        assert part.rate(theta) == pytest.approx(whole.rate(theta))
        assert part.squared_error(theta) == pytest.approx(whole.squared_error(theta))


@pytest.mark.usefixtures("few")
def test_missing_cells_are_at_the_centre(rows):
    observed = torch.ones(rows.x.shape, dtype=torch.bool)
    observed[::3, 1] = False
    x, weight = of_numbers(Rows(rows.x, rows.weight, observed))
    filled = np.where(observed, rows.x, 0.0)
    expected = moments(filled, rows.weight.numpy())
    for found, moment in zip(moments(x, weight), expected, strict=True):
        assert_allclose(found, moment, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("few")
def test_chunks_make_no_difference(rows, monkeypatch):
    expected = of_numbers(rows)
    monkeypatch.setattr("skvae.data._rows._CELLS", 7 * N_FEATURES)
    found = moments(*of_numbers(rows))
    for part, moment in zip(found, moments(*expected), strict=True):
        assert_allclose(part, moment, rtol=1e-10, atol=1e-10)


def test_levels_are_their_centred_indicators():
    X = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]])
    likelihood = Categorical().fit(X)
    columns = likelihood.linear_columns(1)
    rows = Rows(torch.from_numpy(X), torch.full((5,), 0.2, dtype=torch.float64))
    x, weight = linear_rows(rows, likelihood, columns)
    assert x.shape == (5, len(columns.inputs))
    assert_allclose(weight @ x, 0.0, atol=1e-12)
