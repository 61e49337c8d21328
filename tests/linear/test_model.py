import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA, FactorAnalysis

from skvae.linear import _model as linear_model
from skvae.linear._model import LinearModel, factor_analysis

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
    monkeypatch.setattr(linear_model, "_MAX_FULL", 10)
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = LinearModel.from_rows(X, np.ones(len(X)), 3)
    monkeypatch.undo()
    expected = LinearModel.from_rows(X, np.ones(len(X)), 3)
    assert_allclose(model.eigenvalues, expected.eigenvalues, rtol=1e-6)
    assert model.residual == pytest.approx(expected.residual, rel=1e-6)


@pytest.mark.parametrize(
    ("n_components", "beta", "variance"),
    [
        (2, 0.5, 0.4),
        (2, 1.0, 0.5),
        (2, 1.5, 2 / 3),
        (2, 2.0, 1.0),
        (2, 3.0, 4 / 3),
        (4, 0.5, 0.125),
        (4, 1.0, 0.25),
        (4, 1.5, 2 / 3),
        (4, 2.0, 1.0),
        (4, 3.0, 4 / 3),
    ],
)
def test_variance_that_is_learned_with_beta(n_components, beta, variance):
    model = model_of(n_components)
    assert model.variance_at(beta) == pytest.approx(variance, rel=1e-12)
    if beta == 1.0:
        assert model.variance_at(beta) == pytest.approx(model.noise_variance)


@pytest.mark.parametrize("n_components", [2, 4])
@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9, 1.3, 1.7, 2.5, 10.0])
def test_variance_at_is_the_minimum(n_components, beta):
    model = model_of(n_components)

    def loss(variance):
        theta = beta * variance
        error = model.squared_error(theta) / variance
        return 0.5 * (6 * math.log(variance) + error) + beta * model.rate(theta)

    at = model.variance_at(beta)
    levels = at * np.geomspace(0.01, 100.0, 401)
    assert min(loss(level) for level in levels) >= loss(at) - 1e-12


def test_no_variance_where_there_is_no_minimum():
    assert model_of(6).variance_at(0.5) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("theta", "n_active"), [(0.3, 4), (0.75, 3), (4.0, 0)])
def test_weights_are_the_optimum(theta, n_active):
    x = rows_of(EIGENVALUES)
    weights = model_of(6).weights(theta, np.zeros(6), np.ones(6))
    mean = x @ weights.encoder
    variance = np.exp(weights.log_variance)
    active = theta < EIGENVALUES
    assert active.sum() == n_active
    assert_allclose(variance[active], theta / EIGENVALUES[active])
    # The variance law; a latent that is off is as good as the prior.
    assert_allclose(mean.var(axis=0) + variance, 1.0, rtol=1e-10)
    assert (variance[~active] >= 0.999 - 1e-12).all()
    model = model_of(6)
    rate = 0.5 * (np.square(mean) + variance - 1.0 - np.log(variance)).mean(axis=0)
    assert rate.sum() == pytest.approx(model.rate(theta), abs=5e-3)
    residual = np.square(x - mean @ weights.decoder).mean(axis=0).sum()
    error = residual + (variance[:, None] * np.square(weights.decoder)).sum()
    assert error == pytest.approx(model.squared_error(theta), abs=0.02)


def test_axes_have_one_direction():
    x = (
        rows_of(EIGENVALUES)
        @ np.linalg.qr(np.random.RandomState(0).standard_normal((6, 6)))[0]
    )
    vectors = LinearModel.from_rows(x, np.ones(64), 4).vectors
    turned = LinearModel.from_rows(-x, np.ones(64), 4).vectors
    assert_allclose(turned, vectors, atol=1e-9)
    # Two columns that are each other's opposites, with whatever rounding.
    one = np.random.RandomState(0).standard_normal(50)
    for rounding in (0.0, 1e-15, -1e-15):
        x = np.column_stack([one, -one * (1.0 + rounding)])
        vectors = LinearModel.from_rows(x, np.ones(50), 1).vectors
        assert_allclose(vectors, [[math.sqrt(0.5), -math.sqrt(0.5)]])


@pytest.mark.parametrize(
    ("load", "n_components"),
    [
        (load_wine, 2),
        (load_wine, 3),
        (load_wine, 5),
        (load_breast_cancer, 2),
        (load_breast_cancer, 5),
    ],
)
def test_factor_analysis_is_not_below_that_of_scikit_learn(load, n_components):
    X = load().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    covariance = np.cov(X.T, bias=True)
    noise = factor_analysis(covariance, n_components, 1e-5)
    model = LinearModel.from_rows(X / np.sqrt(noise), np.ones(len(X)), n_components)
    loadings = model.weights(1.0, np.zeros(X.shape[1]), np.sqrt(noise)).decoder
    found = loadings.T @ loadings + np.diag(noise)
    score = -0.5 * (
        np.linalg.slogdet(2.0 * np.pi * found)[1]
        + np.trace(np.linalg.solve(found, covariance))
    )
    analysis = FactorAnalysis(n_components, svd_method="lapack", tol=1e-8)
    analysis.set_params(max_iter=5000)
    if (load, n_components) in {(load_wine, 2), (load_wine, 3)}:
        analysis.fit(X)
        assert score == pytest.approx(analysis.score(X), abs=1e-5)
        assert_allclose(noise, analysis.noise_variance_, atol=2e-3)
    else:
        # Some variances are zero, where EM is slow.
        analysis.set_params(tol=1e-2, max_iter=1000).fit(X)
        assert score > analysis.score(X) - 1e-6
    assert (noise >= 1e-5 * np.diag(covariance) * (1.0 - 1e-9)).all()


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_factor_analysis_is_optimal_together_with_beta(beta):
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    weight = np.full(len(X), 1.0 / len(X))

    def loss(log_noise):
        model = LinearModel.from_rows(X / np.exp(0.5 * log_noise), weight, 3)
        error, rate = model.squared_error(beta), model.rate(beta)
        return 0.5 * (error + log_noise.sum()) + beta * rate

    covariance = np.cov(X.T, bias=True)
    found = np.log(factor_analysis(covariance, 3, 1e-2, beta=beta))
    inside = (found > np.log(1.1e-2)) & (found < np.log(0.99))
    assert inside.sum() > 5
    for step in 0.05 * np.eye(len(found))[inside]:
        assert loss(found) < min(loss(found + step), loss(found - step))


def test_factor_analysis_is_equivariant_to_units():
    X = load_wine().data
    scale = np.geomspace(0.01, 100.0, 13)
    one, other = (
        factor_analysis(np.cov(rows.T, bias=True), 3, 1e-5) for rows in (X, X * scale)
    )
    assert_allclose(other, one * scale**2, rtol=1e-3)
