import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA

from skvae import _linear_model
from skvae._linear_model import LinearModel

EIGENVALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])


def rows_of(eigenvalues, n=64, seed=0):
    """Rows of mean zero and maximum-likelihood covariance diag(eigenvalues)."""
    d = len(eigenvalues)
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(n), rng.normal(size=(n, d))])
    return np.sqrt(n * eigenvalues) * np.linalg.qr(columns)[0][:, 1:]


def model_of(n_components, eigenvalues=EIGENVALUES):
    x = rows_of(eigenvalues)
    return LinearModel.from_rows(x, np.ones(len(x)), n_components)


@pytest.mark.parametrize(
    ("theta", "rate", "squared_error"),
    [
        (0.10, 6.214608, 0.60),
        (0.25, 3.465736, 1.50),
        (0.50, 2.079442, 2.50),
        (0.75, 1.471244, 3.25),
        (1.0, 1.039721, 4.00),
        (1.5, 0.634256, 5.00),
        (2.0, 0.346574, 6.00),
        (3.0, 0.143841, 7.00),
        (4.0, 0.0, 8.00),
    ],
)
def test_rate_distortion_function(theta, rate, squared_error):
    model = model_of(6)
    assert model.rate(theta) == pytest.approx(rate, abs=1e-6)
    assert model.squared_error(theta) == pytest.approx(squared_error, abs=1e-12)
    if rate > 0.0:
        assert model.theta_at_rate(rate) == pytest.approx(theta, rel=1e-5)
    if squared_error < 8.0:
        found = model.theta_at_squared_error(squared_error)
        assert found == pytest.approx(theta, rel=1e-12)


def test_set_points():
    assert model_of(6).theta_at_rate(3.0) == pytest.approx(0.315554, abs=1e-6)
    assert model_of(6).theta_at_squared_error(2.5) == pytest.approx(0.5, rel=1e-12)
    assert model_of(6).theta_at_squared_error(8.5) == np.inf
    # Two latents leave 2.0 of the squared error, whatever the level.
    assert model_of(2).theta_at_squared_error(1.9) == 0.0
    assert model_of(2).theta_at_squared_error(2.4) == pytest.approx(0.2)
    assert model_of(2).theta_at_rate(2.0) == pytest.approx(
        math.exp((math.log(8.0) - 4.0) / 2.0)
    )


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_noise_variance_is_that_of_probabilistic_pca(n_components):
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = LinearModel.from_rows(X, np.ones(len(X)), n_components)
    pca = PCA(n_components).fit(X)
    ratio = (len(X) - 1) / len(X)
    assert model.noise_variance == pytest.approx(pca.noise_variance_ * ratio)
    assert_allclose(model.eigenvalues, pca.explained_variance_ * ratio)
    assert_allclose(
        np.abs(model.vectors @ pca.components_.T), np.eye(n_components), atol=1e-9
    )


def test_rows_may_be_weighted():
    x = rows_of(EIGENVALUES)
    weight = np.arange(64) % 3
    expected = LinearModel.from_rows(np.repeat(x, weight, axis=0), np.ones(63), 3)
    model = LinearModel.from_rows(x, 7.0 * weight, 3)
    assert_allclose(model.eigenvalues, expected.eigenvalues)
    assert model.residual == pytest.approx(expected.residual)


@pytest.mark.parametrize("shape", [(5, 9), (40, 9)])
def test_more_latents_than_eigenvalues(shape):
    x = np.random.default_rng(0).normal(size=shape)
    model = LinearModel.from_rows(x, np.ones(len(x)), 12)
    assert model.eigenvalues.shape == (12,)
    assert model.vectors.shape == (12, 9)
    total = x.var(axis=0).sum()
    assert model.squared_error(0.0) == pytest.approx(0.0, abs=1e-9)
    assert model.squared_error(1e9) == pytest.approx(total)
    assert model.theta_at_rate(1.0) > 0.0


def test_wide_and_long_tables_get_the_leading_eigenvalues_only(monkeypatch):
    monkeypatch.setattr(_linear_model, "_MAX_FULL", 10)
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = LinearModel.from_rows(X, np.ones(len(X)), 3)
    monkeypatch.undo()
    expected = LinearModel.from_rows(X, np.ones(len(X)), 3)
    assert_allclose(model.eigenvalues, expected.eigenvalues, rtol=1e-6)
    assert model.residual == pytest.approx(expected.residual, rel=1e-6)
