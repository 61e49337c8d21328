"""Latents of rows with missing cells, and cells filled from them."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer

from skvae import BalancedVAE
from skvae.fitted._laplace import Normals, WeightedLatents, drawn_about_modes, laplace

N_LATENTS, N_FEATURES = 5, 20


@pytest.fixture(scope="module")
def linear():
    """A linear model of complete rows, and rows of which half the cells are missing.

    The encoder takes missing cells for zeros: its posterior is narrow, and far off.
    """
    random = np.random.default_rng(0)
    loading = random.standard_normal((N_LATENTS, N_FEATURES))
    X = random.standard_normal((600, N_LATENTS)) @ loading
    X += 0.2 * random.standard_normal(X.shape)
    vae = BalancedVAE(
        N_LATENTS,
        hidden_layer_sizes=(),
        standardize=False,
        max_iter=5,
        random_state=0,
    ).fit(X[:500])
    gaps = X[500:].copy()
    gaps[random.uniform(size=gaps.shape) < 0.5] = np.nan
    return vae, gaps


def decoder(vae):
    """Centre, loading and noise variance of a linear decoder."""
    center = vae.inverse_transform(np.zeros((1, N_LATENTS)))[0]
    loading = vae.inverse_transform(np.eye(N_LATENTS)) - center
    return center, loading, np.broadcast_to(vae.variance_, N_FEATURES)


def latents_given(vae, row):
    """Mean and covariance of p(z given the observed cells), in closed form."""
    center, loading, noise = decoder(vae)
    known = ~np.isnan(row)
    by_noise = loading[:, known] / noise[known]
    covariance = np.linalg.inv(np.eye(N_LATENTS) + by_noise @ loading[:, known].T)
    return covariance @ by_noise @ (row - center)[known], covariance


def cells_given(vae, row):
    """Mean and standard deviation of the missing cells, in closed form."""
    mean, covariance = latents_given(vae, row)
    center, loading, noise = decoder(vae)
    gone = np.isnan(row)
    loading = loading[:, gone]
    variance = noise[gone] + np.einsum("kd,kl,ld->d", loading, covariance, loading)
    return center[gone] + mean @ loading, np.sqrt(variance)


def drawn(vae, X, n_draws=100):
    """The model, and latents drawn from its encoder's posterior."""
    model = vae._fitted.on("cpu", X.dtype)
    noise = np.random.RandomState(0).standard_normal((n_draws, 1, N_LATENTS))
    with torch.no_grad():
        sample = model.sample(X, model.tensor(noise))
        return model, WeightedLatents(sample.z[0], model.log_weights(sample))


def test_laplace_is_exact_for_a_linear_model(linear):
    vae, gaps = linear
    model, _ = drawn(vae, gaps)
    start = torch.zeros((len(gaps), N_LATENTS), dtype=torch.float64)
    with torch.no_grad():
        found = laplace(model, start, *model.seen(gaps))
    for i, row in enumerate(gaps):
        mean, covariance = latents_given(vae, row)
        np.testing.assert_allclose(found.mean[i], mean, atol=1e-4)
        axes = (found.axes[i] * found.scale[i]).numpy()
        np.testing.assert_allclose(axes @ axes.T, covariance, atol=1e-4)


def test_cells_of_a_linear_model_have_their_conditional_expectation(linear):
    vae, gaps = linear
    _, latents = drawn(vae, gaps)
    # The encoder's own draws would not do.
    assert (~latents.is_enough).all()
    for row, found in zip(gaps, vae.impute(gaps), strict=True):
        mean, scale = cells_given(vae, row)
        # The latents alone are drawn, 100 of them at the right place.
        assert np.abs((found[np.isnan(row)] - mean) / scale).max() < 0.3


def test_drawn_cells_have_the_conditional_distribution(linear):
    vae, gaps = linear
    tables = np.stack(vae.impute(gaps[:20], n_draws=300, random_state=0))
    ratios = []
    for i, row in enumerate(gaps[:20]):
        mean, scale = cells_given(vae, row)
        cells = tables[:, i, np.isnan(row)]
        assert np.abs((cells.mean(axis=0) - mean) / scale).max() < 0.4
        ratios.extend(cells.std(axis=0) / scale)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)


def test_mean_weight_is_the_density_of_the_observed_cells(linear):
    vae, gaps = linear
    center, loading, noise = decoder(vae)
    covariance = loading.T @ loading + np.diag(noise)
    model, start = drawn(vae, gaps)
    latents = drawn_about_modes(model, gaps, start)
    assert latents.is_enough.all()
    assert len(latents.z) == 200
    log_mean = latents.log_weight.logsumexp(dim=0) - np.log(200)
    for row, nats in zip(gaps, log_mean, strict=True):
        known = ~np.isnan(row)
        normal = torch.distributions.MultivariateNormal(
            torch.tensor(center[known]),
            torch.tensor(covariance[np.ix_(known, known)]),
        )
        # Half of the draws are of the exact posterior and weigh twice, the others
        # next to nothing.
        expected = float(normal.log_prob(torch.tensor(row[known])))
        assert float(nats) == pytest.approx(expected, abs=0.05)


def test_a_row_does_not_depend_on_the_others(linear):
    vae, gaps = linear
    alone = np.concatenate([vae.impute(gaps[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(alone, vae.impute(gaps)[:10], rtol=1e-8)


def test_one_draw_is_enough_where_one_is_asked_for(linear):
    vae, gaps = linear
    _, latents = drawn(vae, gaps, n_draws=1)
    assert latents.is_enough.all()
    assert np.isfinite(vae.impute(gaps, n_importance_samples=1)).all()


def test_normals_have_the_moments_of_draws():
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 1, 2)))
    found = Normals.like(z)
    normal = torch.distributions.Normal(z.mean(dim=0), z.std(dim=0))
    torch.testing.assert_close(found.log_prob(z), normal.log_prob(z).sum(dim=-1))
    noise = torch.ones((1, 1, 2), dtype=torch.float64)
    torch.testing.assert_close(found.sample(noise)[0], z.mean(dim=0) + z.std(dim=0))


def test_cells_do_not_depend_on_the_other_rows():
    # Most latents are determined by none of the few cells that are left: their
    # curvatures are equal, and the axes of these arbitrary.
    X = load_breast_cancer().data
    vae = BalancedVAE(
        6,
        hidden_layer_sizes=(),
        max_iter=5,
        tol=1e3,
        precision="float64",
        random_state=0,
    ).fit(X)
    gaps = X[:40].copy()
    gaps[np.random.RandomState(1).uniform(size=gaps.shape) < 0.93] = np.nan
    filled, scale = vae.impute(gaps), X.std(axis=0)
    alone = np.concatenate([vae.impute(gaps[i : i + 1]) for i in range(len(gaps))])
    assert (np.abs(filled - alone) / scale).max() < 1e-6
