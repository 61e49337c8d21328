"""The linear model that training starts at."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning

from skvae import BalancedVAE
from skvae.linear._start import linear_start


def standardized(load):
    X = load().data
    return (X - X.mean(axis=0)) / X.std(axis=0)


def start(x, weight=None, held_out=None, n_components=2, beta=1.0, scope="shared"):
    weight = np.full(len(x), 1.0 / len(x)) if weight is None else weight
    if held_out is not None:
        held_out = held_out, np.full(len(held_out), 1.0 / len(held_out))
    floor = np.full(x.shape[1], 1e-6)
    return linear_start(x, weight, held_out, n_components, beta, scope, floor)


def log_likelihood(rows, weights, noise):
    """Mean log-density, from the covariance that the model implies."""
    covariance = weights.decoder.T @ weights.decoder + np.diag(noise)
    centred = rows - weights.center
    distance = (np.linalg.solve(covariance, centred.T).T * centred).sum(axis=1)
    log_determinant = np.linalg.slogdet(2.0 * np.pi * covariance)[1]
    return -0.5 * (distance.mean() + log_determinant)


def test_shared_is_probabilistic_pca():
    X = standardized(load_wine)
    weights, noise = start(X, n_components=3)
    assert np.ptp(noise) == 0.0
    pca = PCA(3).fit(X)
    assert noise[0] == pytest.approx(pca.noise_variance_ * 177 / 178)
    assert_allclose(weights.center, 0.0, atol=1e-12)
    expected = pca.get_covariance() * 177 / 178
    found = weights.decoder.T @ weights.decoder + np.diag(noise)
    assert_allclose(found, expected, atol=1e-10)


def test_encoder_is_the_posterior_of_the_decoder():
    X = standardized(load_wine)
    for scope in ("shared", "feature"):
        weights, noise = start(X, n_components=3, scope=scope)
        precision = np.eye(3) + weights.decoder / noise @ weights.decoder.T
        # Latents are independent given a row.
        assert_allclose(precision, np.diag(np.diag(precision)), atol=1e-6)
        assert_allclose(np.exp(-weights.log_variance), np.diag(precision), rtol=1e-6)
        encoder = np.linalg.solve(precision, weights.decoder / noise).T
        assert_allclose(weights.encoder, encoder, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_components", [2, 5])
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_feature_is_not_below_factor_analysis(load, n_components):
    X = standardized(load)
    found = log_likelihood(X, *start(X, n_components=n_components, scope="feature"))
    expected = FactorAnalysis(n_components, svd_method="lapack").fit(X).score(X)
    assert found > expected - 1e-4


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_weights_are_repetition(scope):
    X = standardized(load_wine)
    held_out, X = X[::5], X[np.arange(len(X)) % 5 > 0]
    times = 1 + np.arange(len(X)) % 3
    weighted = start(X, times / times.sum(), held_out, scope=scope)
    repeated = start(X.repeat(times, axis=0), None, held_out, scope=scope)
    for one, other in zip(
        [*weighted[0], weighted[1]], [*repeated[0], repeated[1]], strict=True
    ):
        assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def independent(n_rows, noise, seed):
    """One factor and noise of a given variance in each column."""
    random = np.random.RandomState(seed)
    factor = random.standard_normal((n_rows, 1))
    return factor + np.sqrt(noise) * random.standard_normal((n_rows, len(noise)))


def test_finds_the_noise_of_each_column():
    noise = np.array([0.05, 0.1, 0.5, 1.0, 2.0, 4.0])
    x, held_out = independent(2000, noise, 0), independent(5000, noise, 1)
    found, variance = start(x, None, held_out, n_components=1, scope="feature")
    assert_allclose(variance, noise, rtol=0.3)
    shared = start(x, None, held_out, n_components=1, scope="shared")
    assert np.ptp(shared[1]) == 0.0
    gain = log_likelihood(held_out, found, variance)
    gain -= log_likelihood(held_out, *shared)
    assert gain > 1.0


def test_floor_of_the_noise_is_chosen_by_held_out_rows():
    """A column that is almost another one, in few rows, is not known exactly."""
    noise = np.full(5, 0.3)
    x, held_out = independent(7, noise, 0), independent(2000, noise, 1)
    bold = start(x, None, None, n_components=3, scope="feature")
    careful = start(x, None, held_out, n_components=3, scope="feature")
    assert bold[1].min() < 1e-3
    assert careful[1].min() > 10.0 * bold[1].min()
    gain = log_likelihood(held_out, *careful) - log_likelihood(held_out, *bold)
    assert gain > 1.0


def test_latents_are_for_what_columns_share_beside_levels():
    """As many latents as columns of numbers could as well copy each of them."""
    random = np.random.RandomState(0)
    x = independent(1000, np.full(4, 1.0), 0)
    levels = np.where(random.uniform(size=(1000, 3)) < 0.4, 1.0, 0.0)
    levels = (levels - 0.4) / np.sqrt(0.4)
    x = np.column_stack([x, levels, x[:, 0] + x[:, 1]])
    is_free = np.array(4 * [True] + 3 * [False] + [True])
    weight, floor = np.full(1000, 1e-3), np.full(8, 1e-6)
    rows = x[:750], np.full(750, 1 / 750)
    held_out = x[750:], np.full(250, 1 / 250)
    arguments = 5, 1.0, "feature", floor, is_free
    for some, judged in ((rows, held_out), ((x, weight), None)):
        _, noise = linear_start(*some, judged, *arguments)
        assert_allclose(noise[~is_free], 4.0, rtol=1e-12)
        assert noise[2:4].min() > 0.5, noise
        # A sum and its parts are known exactly, by one latent less than they are.
        assert noise[[0, 1, 7]].max() < 1e-3, noise


def test_variance_is_not_below_the_floor():
    X = standardized(load_wine)
    floor = np.linspace(0.2, 0.9, 13)
    weight = np.full(len(X), 1.0 / len(X))
    for scope in ("shared", "feature"):
        _, variance = linear_start(X, weight, None, 2, 1.0, scope, floor)
        assert (variance >= floor).all()
        assert (variance == floor).any()


@pytest.mark.parametrize("scope", ["shared", "feature"])
@pytest.mark.parametrize(
    "case", ["constant", "all constant", "duplicate", "one row", "more latents"]
)
def test_degenerate_tables(case, scope):
    X = np.random.RandomState(0).standard_normal((30, 4))
    held_out = np.random.RandomState(1).standard_normal((9, 4))
    if case == "constant":
        X[:, 2] = held_out[:, 2] = 0.0
    elif case == "all constant":
        X[:] = 0.0
    elif case == "duplicate":
        X[:, 1], held_out[:, 1] = X[:, 0], held_out[:, 0]
    elif case == "one row":
        X = X[:1]
    n_components = 9 if case == "more latents" else 2
    weights, variance = start(X, None, held_out, n_components, scope=scope)
    assert all(np.isfinite(part).all() for part in [*weights, variance])
    assert (variance > 0.0).all()
    assert weights.encoder.shape == weights.decoder.T.shape == (4, n_components)
    # New rows get codes of their own size, whatever they vary by.
    codes = (held_out - weights.center) @ weights.encoder
    assert np.abs(codes).max() < 100.0


def test_direction_without_variance_is_not_used():
    """New rows may vary along it, by more than all latents have room for."""
    X = np.random.RandomState(0).standard_normal((4, 30))
    weights, _ = start(X, n_components=6)
    rows = np.random.RandomState(1).standard_normal((50, 30))
    # Four rows have three directions.
    assert np.abs(weights.encoder[:, 3:]).max() == 0.0
    assert np.abs((rows - weights.center) @ weights.encoder).max() < 10.0


def test_wide_tables_start_at_probabilistic_pca():
    random = np.random.RandomState(0)
    x, held_out = random.standard_normal((40, 501)), random.standard_normal((9, 501))
    _, variance = start(x, None, held_out, n_components=3, scope="feature")
    assert np.ptp(variance) == 0.0
    narrow = start(x[:, :50], None, held_out[:, :50], n_components=3, scope="feature")
    assert np.ptp(narrow[1]) > 0.0


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_units_of_the_table_do_not_turn_an_axis(scope):
    X = load_wine().data
    found = []
    for factor, shift in ((1.0, 0.0), (1000.0, 7.0), (1e-3, -5.0)):
        x = factor * X + shift
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        found.append(start(x, n_components=6, scope=scope)[0])
    for other in found[1:]:
        assert_allclose(other.encoder, found[0].encoder, atol=1e-4)
        assert_allclose(other.decoder, found[0].decoder, atol=1e-4)


@pytest.mark.parametrize(("beta", "variance"), [(0.5, 0.4), (2.0, 1.0), (3.0, 4 / 3)])
def test_variance_is_optimal_together_with_beta(beta, variance):
    eigenvalues = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])
    columns = np.random.default_rng(0).normal(size=(64, 6))
    basis = np.linalg.qr(np.column_stack([np.ones(64), columns]))[0][:, 1:]
    weights, noise = start(8.0 * basis * np.sqrt(eigenvalues), beta=beta)
    assert_allclose(noise, variance)
    n_active = int((eigenvalues[:2] > beta * variance).sum())
    assert (weights.log_variance < -0.1).sum() == n_active
    theta = beta * variance
    assert_allclose(
        np.exp(weights.log_variance[:n_active]), theta / eigenvalues[:n_active]
    )


@pytest.mark.parametrize("k", [1, 3])
def test_many_rows_start_where_all_of_them_would(k, monkeypatch):
    X = np.random.RandomState(0).normal(size=(300, 2)) @ np.eye(2, 5) * 3.0
    X = X + np.random.RandomState(1).normal(size=X.shape)
    weight = np.arange(300) % 3 + 1.0
    settings = {"precision": "float64", "max_iter": 1, "random_state": 0}
    fits = []
    for n_rows in (10_000, 100):
        monkeypatch.setattr("skvae.fit._linear_rows._LINEAR_ROWS", n_rows)
        vae = BalancedVAE(k, hidden_layer_sizes=(4,), **settings)
        vae.set_params(learning_rate_init=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fits.append(vae.fit(X, sample_weight=weight))
    few, many = fits
    assert few.score(X) == pytest.approx(many.score(X), abs=1e-7)
    np.testing.assert_allclose(few.variance_, many.variance_, rtol=1e-6)
