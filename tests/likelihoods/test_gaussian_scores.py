"""Probabilities of intervals of normal scores, and means of what they stand for."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from skvae.data._columns import Columns
from skvae.data._view import TableView
from skvae.likelihoods import ByColumns, Gaussian, Poisson
from skvae.likelihoods._gaussian_scores import GaussianScores, of_scores
from skvae.likelihoods._groups import continuous


def viewed(X, likelihood):
    likelihood.fit(X)
    view = TableView.from_rows(
        Columns.of_numbers(X.shape[1]),
        likelihood,
        X,
        np.arange(len(X)),
        np.ones(len(X)),
        continuous=continuous(likelihood, X.shape[1]),
        standardize="quantile",
    )
    return view, of_scores(likelihood, view.scores)


def table():
    """Half zeros and half numbers, and counts."""
    random = np.random.RandomState(0)
    numbers = np.where(np.arange(400) < 200, 0.0, random.normal(5.0, 1.0, 400))
    return np.column_stack([numbers, random.poisson(3.0, 400)])


def exact(low, high, mean, std):
    """Log-probability of an interval, by differences in the lower half."""
    a, b = (low - mean) / std, (high - mean) / std
    a, b = (-b, -a) if a + b > 0 else (a, b)
    return norm.logcdf(b) + np.log1p(-np.exp(norm.logcdf(a) - norm.logcdf(b)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("mean", [-6.0, 0.0, 0.7, 4.0])
def test_an_atom_has_the_probability_of_its_interval(mean, std, dtype):
    X = table()
    view, likelihood = viewed(X, Gaussian())
    parameters = {"mean": torch.full((1, 400, 2), mean, dtype=dtype)}
    variance = torch.full((1, 1), std**2, dtype=dtype)
    x = torch.from_numpy(view.to_model(X)).to(dtype)
    nats = likelihood.log_prob(x, parameters, variance)[0].double().numpy()
    rtol = 1e-3 if dtype == torch.float32 else 1e-5
    for d, column in enumerate(view.scores.columns):
        for k in np.flatnonzero(column.is_atom):
            cells = X[:, d] == column.values[k]
            expected = exact(column.low[k], column.high[k], mean, std)
            assert_allclose(nats[cells, d], expected, rtol=rtol, atol=1e-5)
    density = ~view.scores.is_atom(X)
    expected = norm.logpdf(x.double().numpy(), mean, std)
    assert_allclose(nats[density], expected[density], rtol=rtol, atol=1e-5)


def test_narrow_and_wide_intervals_agree_where_they_meet():
    """The series and the difference of probabilities."""
    view, likelihood = viewed(table(), Gaussian())
    x = torch.from_numpy(view.to_model(np.zeros((1, 2))))
    std = torch.linspace(1.0, 100.0, 1000, dtype=torch.float64)
    variance = std.square()[:, None]
    parameters = {"mean": torch.zeros((1000, 1, 2), dtype=torch.float64)}
    nats = likelihood.log_prob(x, parameters, variance)[:, 0, 0]
    assert (nats.diff() < 0.0).all()
    assert nats.diff().diff().abs().max() < 0.02


def test_reconstruction_is_the_mean_of_draws():
    X = table()
    view, likelihood = viewed(X, Gaussian())
    mean = np.linspace(-2.0, 2.0, 9)
    parameters = {"mean": torch.from_numpy(np.tile(mean[None, :, None], (1, 1, 2)))}
    variance = torch.full((1, 1), 0.25, dtype=torch.float64)
    found = likelihood.reconstruction(parameters, variance)[0]
    u = np.random.RandomState(0).normal(mean[None], 0.5, (100_000, 9))
    drawn = view.to_user(np.stack([u, u], axis=-1)).mean(axis=0)
    # Half a slice of 20 from the zeros to the numbers about 5.
    assert_allclose(found, drawn, atol=0.125)
    # Exact where all is on one atom.
    sure = torch.full((1, 1), 1e-8, dtype=torch.float64)
    assert likelihood.reconstruction(parameters, sure)[0, 2, 0] == 0.0


def test_a_mixture_has_scores_in_its_gaussian_columns():
    X = table()
    nested = ByColumns([(Poisson(), [1]), (ByColumns([(Gaussian(), [0])]), [0])])
    for mixture in (ByColumns([(Poisson(), [1]), (Gaussian(), [0])]), nested):
        view, likelihood = viewed(X, mixture)
        groups = likelihood.listed()
        assert [type(group.likelihood) for group in groups] == [Poisson, GaussianScores]
        assert_array_equal(view.scores.is_mapped, [True, False])
        output = torch.zeros((1, 400, 2), dtype=torch.float64)
        parameters = likelihood.unpack(output)
        variance = torch.ones((1, 1), dtype=torch.float64)
        x = torch.from_numpy(view.to_model(X))
        nats = likelihood.log_prob(x, parameters, variance)[0].numpy()
        assert_allclose(nats[:200, 0], np.log(0.5), atol=0.01)
        own = mixture.log_prob(x, parameters, variance)[0].numpy()
        assert_array_equal(nats[:, 1], own[:, 1])
        assert likelihood.reconstruction(parameters, variance).shape == (1, 400, 2)
