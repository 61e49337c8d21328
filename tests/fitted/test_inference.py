"""What a fitted model says of rows and of latents, against closed forms."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import LearnedVariance
from skvae.likelihoods import Gaussian
from skvae.model._evaluate import quadrature

X = load_wine().data

ROW_METHODS = {
    "transform": BalancedVAE.transform,
    "score_samples": BalancedVAE.score_samples,
    "score_cells": BalancedVAE.score_cells,
    "rate": lambda vae, X: vae.rate_distortion(X)[0],
    "distortion": lambda vae, X: vae.rate_distortion(X)[1],
    "log_likelihood": lambda vae, X: vae.log_likelihood(X, 7),
    "reconstruction": lambda vae, X: vae.inverse_transform(vae.transform(X)),
}

PARAMS = {
    "tol": 1e3,
    "precision": "float64",
    "random_state": 0,
    "learning_rate_init": 0.02,
}


@pytest.fixture(scope="module")
def linear():
    """A linear model close to its optimum."""
    return BalancedVAE(2, hidden_layer_sizes=(), max_iter=40, **PARAMS).fit(X)


@pytest.fixture(scope="module")
def deep():
    """A model without a closed form."""
    return BalancedVAE(3, hidden_layer_sizes=(8,), max_iter=5, **PARAMS).fit(X)


@pytest.fixture(scope="module")
def binary():
    """A linear model of zeros and ones, and its rows."""
    rows = (np.median(X, axis=0) < X).astype(float)
    vae = BalancedVAE(2, hidden_layer_sizes=(), max_iter=5, **PARAMS)
    return vae.fit(rows), rows


class Linear:
    """A linear model, read from the weights that fit kept, in plain numpy."""

    def __init__(self, vae):
        weights, start = {}, 0
        for name, shape in vae._fitted.shapes.items():
            size = math.prod(shape)
            weights[name] = vae._fitted.values[0, start : start + size].reshape(shape)
            start += size
        self.encoder = weights["encoder.0.weight"], weights["encoder.0.bias"]
        self.log_variance = weights["encoder.log_variance"]
        self.deviation = np.exp(0.5 * self.log_variance)
        self.decoder = weights["decoder.0.weight"], weights["decoder.0.bias"]
        self.center, self.scale = (
            vae._fitted.view.scaling.center,
            vae._fitted.view.scaling.scale,
        )
        self.variance = vae.variance_

    def encode(self, X):
        return ((X - self.center) / self.scale) @ self.encoder[0] + self.encoder[1]

    def decode(self, Z):
        return Z @ self.decoder[0] + self.decoder[1]

    def rate(self, X):
        nats = self.encode(X) ** 2 + self.deviation**2 - 1.0 - self.log_variance
        return 0.5 * nats.sum(axis=1)

    def gaussian_cells(self, X):
        """E_q of the negative log-density of each cell, without any sampling."""
        error = ((X - self.center) / self.scale - self.decode(self.encode(X))) ** 2
        error += (self.deviation**2) @ self.decoder[0] ** 2
        nats = error / self.variance + np.log(2.0 * np.pi * self.variance)
        return 0.5 * nats + np.log(self.scale)

    @property
    def mean(self):
        return self.center + self.scale * self.decoder[1]

    @property
    def covariance(self):
        seen = self.decoder[0].T @ self.decoder[0]
        seen += np.diag(np.broadcast_to(self.variance, len(seen)))
        return self.scale[:, None] * seen * self.scale


@pytest.fixture(params=["linear", "deep"])
def vae(request):
    return request.getfixturevalue(request.param)


def test_score_is_minus_rate_and_distortion(vae):
    rate, distortion = vae.rate_distortion(X)
    assert rate.shape == distortion.shape == (178,)
    assert_array_equal(vae.score_samples(X), -(rate + distortion))
    assert vae.score(X) == pytest.approx(-(rate + distortion).mean(), rel=1e-12)
    assert isinstance(vae.score(X), float)
    assert (rate > 0.0).all()


def test_cells_sum_to_the_distortion(vae):
    cells = vae.score_cells(X)
    assert cells.shape == X.shape
    assert_allclose(cells.sum(axis=1), vae.rate_distortion(X)[1], rtol=1e-10)


def test_score_weighs_rows(vae):
    weight = np.arange(178) % 5
    expected = vae.score(X.repeat(weight, axis=0))
    assert vae.score(X, sample_weight=weight) == pytest.approx(expected, rel=1e-12)
    assert vae.score(X, sample_weight=0.1 * weight) == pytest.approx(expected)
    assert vae.score(X, sample_weight=weight) != pytest.approx(vae.score(X), rel=1e-6)


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_linear_model_in_closed_form(scope):
    vae = BalancedVAE(
        3, hidden_layer_sizes=(), max_iter=5, balance=LearnedVariance(scope), **PARAMS
    ).fit(X)
    model = Linear(vae)
    rate, distortion = vae.rate_distortion(X)
    assert_allclose(vae.transform(X), model.encode(X), rtol=1e-10, atol=1e-12)
    assert_allclose(rate, model.rate(X), rtol=1e-10)
    cells = model.gaussian_cells(X)
    # Exact although it is a quadrature: the integrand is of degree two.
    assert_allclose(vae.score_cells(X), cells, rtol=1e-9, atol=1e-9)
    assert_allclose(distortion, cells.sum(axis=1), rtol=1e-10)
    Z = np.random.RandomState(1).standard_normal((9, 3))
    expected = model.center + model.scale * model.decode(Z)
    assert_allclose(vae.inverse_transform(Z), expected, rtol=1e-12)


@pytest.mark.parametrize("variance", [0.25, np.linspace(0.1, 2.0, 13)])
def test_variance_that_the_user_fixed_is_scored_with(variance):
    vae = BalancedVAE(
        2,
        hidden_layer_sizes=(),
        max_iter=2,
        balance="constant",
        likelihood=Gaussian(variance=variance),
        **PARAMS,
    ).fit(X)
    assert_allclose(vae.score_cells(X), Linear(vae).gaussian_cells(X), rtol=1e-9)
    assert_allclose(vae.variance_, variance, rtol=1e-12)


def test_bernoulli_in_closed_form(binary):
    vae, rows = binary
    model = Linear(vae)
    noise = quadrature(2)[:, None]
    logits = model.decode(model.encode(rows) + model.deviation * noise)
    cells = (np.logaddexp(0.0, logits) - rows * logits).mean(axis=0)
    assert_allclose(vae.score_cells(rows), cells, rtol=1e-10)
    Z = np.random.RandomState(1).standard_normal((9, 2))
    assert_allclose(vae.inverse_transform(Z), expit(model.decode(Z)), rtol=1e-10)
    # Log-probabilities are never positive, and no Jacobian is added to them.
    assert (vae.score_cells(rows) > 0.0).all()
    assert (vae.log_likelihood(rows) < 0.0).all()


def importance_weighted(vae, X, draws):
    """log of the mean of p(x, z) / q(z given x), in plain numpy."""
    model = Linear(vae)
    z = model.encode(X) + model.deviation * draws[:, None]
    x = (X - model.center) / model.scale
    error = (x - model.decode(z)) ** 2 / model.variance
    log_x = -0.5 * (error + np.log(2.0 * np.pi * model.variance)).sum(axis=2)
    log_prior = -0.5 * (z**2 + np.log(2.0 * np.pi)).sum(axis=2)
    log_posterior = -0.5 * (
        draws[:, None] ** 2 + np.log(2.0 * np.pi) + model.log_variance
    ).sum(axis=2)
    log_weight = log_x + log_prior - log_posterior
    return (
        logsumexp(log_weight, axis=0) - np.log(len(draws)) - np.log(model.scale).sum()
    )


@pytest.mark.parametrize("n_samples", [1, 3, 50])
def test_log_likelihood_is_the_importance_weighted_bound(linear, n_samples):
    # The documented stream; fewer draws are the first of more.
    draws = np.random.RandomState(0).standard_normal((50, 2))[:n_samples]
    expected = importance_weighted(linear, X, draws)
    assert_allclose(linear.log_likelihood(X, n_samples), expected, rtol=1e-10)


def test_one_importance_sample_is_an_unbiased_elbo(linear):
    draws = np.random.RandomState(1).standard_normal((4000, 2))
    singles = np.array([importance_weighted(linear, X[:9], z[None]) for z in draws])
    error = singles.std(axis=0) / np.sqrt(len(draws))
    off = np.abs(singles.mean(axis=0) - linear.score_samples(X[:9]))
    assert (off < 5.0 * error).all()


def test_more_importance_samples_are_a_tighter_bound(vae):
    single, many = vae.log_likelihood(X, 1), vae.log_likelihood(X)
    assert np.isfinite(single).all()
    assert np.isfinite(many).all()
    assert many.mean() >= vae.score(X)
    # One draw says little of a row, but is not far from the elbo on average.
    assert abs(single.mean() - vae.score(X)) < 3.0


def log_weights(vae, X, n_samples):
    """Log importance weight of each draw, of shape (n_samples, n_rows)."""
    model = vae._fitted.on("cpu")
    draws = np.random.RandomState(0).standard_normal((n_samples, vae.n_components_))
    nats = torch.stack(
        [
            model.log_weights(model.sample(X, model.tensor(z[None, None])))[0]
            for z in draws
        ]
    )
    return nats.numpy() - model.view.scaling.log_jacobian.sum()


@pytest.mark.parametrize("n_samples", [1, 2, 7, 64])
def test_fewer_importance_samples_are_the_first_of_more(deep, n_samples):
    nats = log_weights(deep, X, 64)[:n_samples]
    expected = logsumexp(nats, axis=0) - np.log(n_samples)
    assert_allclose(deep.log_likelihood(X, n_samples), expected, rtol=1e-10)


def test_bound_never_falls_as_samples_are_added(deep):
    # The log is concave: the bound from 2k draws is at least the mean of the bounds
    # from their two halves. So it is for each row, draws being what they may, and the
    # mean over all blocks of k draws never falls as k grows.
    nats = log_weights(deep, X, 64)
    bounds = []
    for size in (1, 2, 4, 8, 16, 32, 64):
        blocks = nats.reshape(64 // size, size, len(X))
        bounds.append((logsumexp(blocks, axis=1) - np.log(size)).mean(axis=0))
    rises = np.diff(bounds, axis=0)
    assert (rises >= -1e-9).all()
    # The encoder is not exact here, so that each doubling is worth something.
    assert (rises.mean(axis=1) > 1e-4).all()
    assert_allclose(deep.log_likelihood(X, 64), bounds[-1], rtol=1e-10)


def test_bounds_stay_below_the_exact_log_likelihood(linear):
    model = Linear(linear)
    exact = multivariate_normal(model.mean, model.covariance).logpdf(X)
    assert (linear.score_samples(X) <= exact + 1e-9).all()
    # At its optimum, a linear model's posterior is exact and all are equal; forty
    # epochs end close by.
    assert_allclose(linear.log_likelihood(X), exact, atol=0.1)
    assert_allclose(linear.score(X), exact.mean(), atol=0.05)


@pytest.mark.parametrize("method", ROW_METHODS)
def test_row_methods_are_the_same_at_every_call(vae, method):
    call = ROW_METHODS[method]
    assert_array_equal(call(vae, X), call(vae, X))
    assert_array_equal(call(vae, X), call(vae, X.copy(order="F")))


# Trap 3 of other packages: latents drawn anew at each call, or for each batch.
@pytest.mark.parametrize("method", ROW_METHODS)
def test_row_does_not_depend_on_the_others(vae, method):
    call = ROW_METHODS[method]
    whole = call(vae, X)
    tolerance = {"rtol": 1e-11, "atol": 1e-11}
    assert_allclose(call(vae, X[::-1])[::-1], whole, **tolerance)
    assert_allclose(call(vae, X[5:17]), whole[5:17], **tolerance)
    assert_allclose(call(vae, X[40:41]), whole[40:41], **tolerance)
    assert_allclose(call(vae, X.repeat(2, axis=0))[::2], whole, **tolerance)


@pytest.mark.parametrize("method", ROW_METHODS)
def test_chunks_do_not_matter(vae, method, monkeypatch):
    whole = ROW_METHODS[method](vae, X)
    n_chunks = [0]

    def tiny(n_rows, cells_per_row):
        n_chunks[0] += -(-n_rows // 7)
        return [slice(start, start + 7) for start in range(0, n_rows, 7)]

    monkeypatch.setattr("skvae.fitted._inference.chunks", tiny)
    found = ROW_METHODS[method](vae, X)
    assert n_chunks[0] >= 26
    assert_allclose(found, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_chunks_of_the_evaluation_do_not_matter(monkeypatch, early_stopping):
    params = {**PARAMS, "early_stopping": early_stopping, "max_iter": 2}
    vae = BalancedVAE(2, hidden_layer_sizes=(4,), **params)
    names = ["rate_", "distortion_", "elbo_", "variance_"]
    whole = np.hstack([getattr(vae.fit(X), name) for name in names])

    def tiny(n_rows, cells_per_row):
        return [slice(start, start + 7) for start in range(0, n_rows, 7)]

    monkeypatch.setattr("skvae.model._evaluate.chunks", tiny)
    pieces = np.hstack([getattr(vae.fit(X), name) for name in names])
    assert_allclose(pieces, whole, rtol=1e-12)


def test_reconstruction_is_in_the_units_of_x(linear):
    back = linear.inverse_transform(linear.transform(X))
    assert back.shape == X.shape
    assert_allclose(back.mean(axis=0), X.mean(axis=0), rtol=0.02)
    explained = 1.0 - np.square(X - back).mean() / np.square(X - X.mean(axis=0)).mean()
    # The table's variance is all but that of one column, which PCA explains in part.
    assert 0.3 < explained < 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_of_the_input_is_kept(vae, dtype):
    rows = X.astype(dtype)
    for method, call in ROW_METHODS.items():
        found = call(vae, rows)
        assert found.dtype == dtype, method
        # float32 has steps of 1e-7, and the columns are up to 1e3 wide.
        rtol, atol = (1e-3, 1e-3) if dtype == np.float32 else (0.0, 0.0)
        assert_allclose(found, call(vae, X), rtol=rtol, atol=atol, err_msg=method)
    assert vae.inverse_transform(np.ones((2, vae.n_components_), dtype)).dtype == dtype


def test_jacobian_of_the_units():
    params = {**PARAMS, "hidden_layer_sizes": (4,), "max_iter": 2}
    factor = 2.0 ** (np.arange(13) - 4)
    vae = BalancedVAE(2, **params).fit(X)
    scaled = BalancedVAE(2, **params).fit(X * factor)
    # Factors of two are exact, so that both models see the same numbers.
    log_factor = np.log(factor)
    assert_allclose(
        scaled.score_cells(X * factor), vae.score_cells(X) + log_factor, atol=1e-12
    )
    total = log_factor.sum()
    for found, expected in [
        (scaled.score(X * factor), vae.score(X) - total),
        (scaled.score_samples(X * factor), vae.score_samples(X) - total),
        (scaled.log_likelihood(X * factor), vae.log_likelihood(X) - total),
        (scaled.elbo_, vae.elbo_ - total),
        (scaled.distortion_, vae.distortion_ + total),
        (scaled.rate_, vae.rate_),
    ]:
        assert_allclose(found, expected, rtol=1e-12)
    assert_array_equal(
        scaled.inverse_transform(np.ones((1, 2))) / factor,
        vae.inverse_transform(np.ones((1, 2))),
    )


def test_sample_has_the_moments_of_the_model(linear):
    n = 20_000
    sample = linear.sample(n, random_state=0)
    model = Linear(linear)
    covariance = model.covariance
    variance = np.diag(covariance)
    # Five standard errors of a normal sample's mean and covariance.
    assert (np.abs(sample.mean(axis=0) - model.mean) < 5 * np.sqrt(variance / n)).all()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    assert (np.abs(np.cov(sample.T) - covariance) < 5 * error).all()


def test_sample_has_the_moments_of_the_data():
    random = np.random.RandomState(0)
    loadings = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0], [-1.0, 2.0], [0.5, 0.0]])
    data = random.standard_normal((1500, 2)) @ loadings.T
    data += 0.7 * random.standard_normal(data.shape) + [5.0, 0.0, -100.0, 1.0, 0.0]
    params = {**PARAMS, "hidden_layer_sizes": (), "learning_rate_init": 0.05}
    # Held-out rows would set the variances, and are no more than a tenth of the data.
    params |= {"balance": LearnedVariance("feature"), "early_stopping": False}
    vae = BalancedVAE(2, max_iter=30, **params).fit(data)
    sample = vae.sample(20_000, random_state=1)
    scale = data.std(axis=0)
    # In units of the columns' deviations; thirty epochs end within 0.05 of the data.
    assert_allclose(
        sample.mean(axis=0) / scale, data.mean(axis=0) / scale, rtol=0, atol=0.1
    )
    assert_allclose(
        np.cov(sample.T) / np.outer(scale, scale),
        np.cov(data.T) / np.outer(scale, scale),
        rtol=0,
        atol=0.1,
    )


def test_binary_sample_has_the_means_of_the_model(binary):
    vae, _ = binary
    sample = vae.sample(20_000, random_state=0)
    Z = np.random.RandomState(3).standard_normal((20_000, 2))
    expected = vae.inverse_transform(Z).mean(axis=0)
    # Both have a standard error of at most 0.5 / sqrt(20,000), or 0.0036.
    assert_allclose(sample.mean(axis=0), expected, atol=0.025)


def test_seed_of_sample(vae):
    assert_array_equal(vae.sample(5, random_state=3), vae.sample(5, random_state=3))
    assert (vae.sample(5, random_state=3) != vae.sample(5, random_state=4)).all()
    state = np.random.RandomState(3)
    first = vae.sample(5, random_state=state)
    assert_array_equal(first, vae.sample(5, random_state=3))
    assert (vae.sample(5, random_state=state) != first).all()
    assert (vae.sample(5) != vae.sample(5)).all()


@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_sample_without_noise_is_decoded_at_the_latents_of_the_prior(deep, prior):
    vae = clone(deep).set_params(prior=prior).fit(X)
    means = vae.sample(50, random_state=3, noise=False)
    state = np.random.RandomState(3)
    state.randint(np.iinfo(np.int32).max)
    Z = vae.prior_.sample(50, state)
    assert_allclose(means, vae.inverse_transform(Z), rtol=1e-6, atol=1e-6)
    assert_array_equal(means, vae.sample(50, random_state=3, noise=False))
    # Those of the rows with noise, which is centred about them.
    rows = vae.sample(20_000, random_state=3)
    means = vae.sample(20_000, random_state=3, noise=False)
    noise = (rows - means) / vae._fitted.view.scaling.scale
    deviation = np.sqrt(vae._fitted.on("cpu").scored_variance.numpy().ravel())
    assert_allclose(noise.mean(axis=0), 0.0, atol=5 * deviation.max() / 20_000**0.5)
    assert_allclose(noise.std(axis=0), deviation * np.ones(X.shape[1]), rtol=0.03)


@pytest.mark.parametrize("noise", ["no", None, 0])
def test_noise_that_is_no_boolean(vae, noise):
    with pytest.raises(ValueError, match=f"noise must be True or False, got {noise!r}"):
        vae.sample(2, noise=noise)


def test_chunks_of_a_sample_have_noise_of_their_own(vae, monkeypatch):
    monkeypatch.setattr(
        "skvae.fitted._inference.chunks",
        lambda n_rows, _: [slice(start, start + 1) for start in range(n_rows)],
    )
    sample = vae.sample(200, random_state=0)
    state = np.random.RandomState(0)
    state.randint(np.iinfo(np.int32).max)
    Z = state.standard_normal((200, vae.n_components_))
    noise = (sample - vae.inverse_transform(Z)) / vae._fitted.view.scaling.scale
    # A standard error of 5 %.
    assert_allclose(noise.std(axis=0), np.sqrt(vae.variance_), rtol=0.25)


@pytest.mark.parametrize("n_components", [1, 2, 5, 16, 17, 40])
@pytest.mark.parametrize("n_nodes", [2, 32])
def test_quadrature(n_components, n_nodes):
    nodes = quadrature(n_components, n_nodes)
    assert nodes.shape == (max(n_nodes, 2 * n_components), n_components)
    atol = 1e-13
    assert_allclose(nodes.mean(axis=0), 0.0, atol=atol)
    assert_allclose(nodes.T @ nodes / len(nodes), np.eye(n_components), atol=10 * atol)
    # Opposite signs: all odd moments vanish.
    third = np.einsum("ni,nj,nk->ijk", nodes, nodes, nodes) / len(nodes)
    assert_allclose(third, 0.0, atol=10 * atol)
    assert_array_equal(nodes, quadrature(n_components, n_nodes))


def test_quadrature_integrates_a_quadratic_form():
    random = np.random.RandomState(5)
    A, b = random.standard_normal((4, 6)), random.standard_normal(6)
    nodes = quadrature(4)
    found = np.square(nodes @ A + b).mean(axis=0)
    assert_allclose(found, b**2 + (A**2).sum(axis=0), rtol=1e-12)


# Two columns that share nothing leave nothing to a latent.
@pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning")
@pytest.mark.parametrize("method", ["score_samples", "log_likelihood", "transform"])
def test_memory_is_bounded_by_the_widest_layer(method, monkeypatch):
    from skvae.model._module import Module

    X = np.random.RandomState(0).standard_normal((3000, 2))
    vae = BalancedVAE(1, hidden_layer_sizes=(256,), max_iter=2, tol=1e3).fit(X[:60])
    cells, decode, encode = [], Module.decode, Module.encode

    def counted_decode(self, weights, z):
        cells.append(z.shape[1] * 256)
        return decode(self, weights, z)

    def counted_encode(self, weights, x, observed=None):
        cells.append(len(x) * 256)
        return encode(self, weights, x, observed)

    monkeypatch.setattr(Module, "decode", counted_decode)
    monkeypatch.setattr(Module, "encode", counted_encode)
    getattr(vae, method)(X)
    # A layer's output and its activation make twice as many.
    assert max(cells) <= 2_000_000
    cells.clear()
    vae.log_likelihood(X[:1], n_importance_samples=20_000)
    assert max(cells) <= 2_000_000


# Without chunks, the layer of the score alone would take 480 MB, and several are alive.
MEASURE_PEAK = """
import resource
import numpy as np
from skvae import BalancedVAE
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
X = np.random.default_rng(0).normal(size=(60_000, 3))
vae = BalancedVAE(2, hidden_layer_sizes=(32,), max_iter=2, tol=1e3, random_state=0)
vae.set_params(balance="constant", early_stopping=False).fit(X[:50])
vae.score_samples(X[:10]), vae.log_likelihood(X[:10], 20)
before = peak()
vae.score_samples(X), vae.log_likelihood(X, 10)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="units of the peak are those here")
def test_memory_of_many_rows():
    grown = subprocess.run(
        [sys.executable, "-c", MEASURE_PEAK],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # In MiB.
    assert float(grown) < 300.0
