"""What training with each divergence, and with a full posterior, arrives at."""

import functools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.divergences import (
    DIP,
    DIVERGENCES,
    MMD,
    Draws,
    ImportanceWeighted,
    TotalCorrelation,
)
from skvae.likelihoods import Gaussian
from skvae.model._weights import views
from skvae.networks import MLP

pytestmark = pytest.mark.xdist_group("trained divergences")

X = load_wine().data

every_divergence = pytest.mark.parametrize("name", DIVERGENCES)


# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


def fit(divergence, X=X, n_components=3, **params):
    settings = {
        "balance": "learned_variance",
        # From a random start, so that it is the divergence that gets there.
        "network": MLP((16,), linear_path=False),
        "max_iter": 30,
        # All rows at once: what is compared is the divergence, and not batches.
        "batch_size": len(X),
        "early_stopping": False,
        "learning_rate_init": 0.02,
        "random_state": 0,
        "precision": "float64",
        # So short a training still rises a little.
        "tol": 1e3,
        **params,
    }
    return BalancedVAE(n_components, divergence=divergence, **settings).fit(X)


def draws_of(vae, X=X, n_draws=8):
    """Fresh draws from the posteriors of all rows of a trained model."""
    module = vae._fitted.spec.module()
    weights = views(torch.tensor(vae._fitted.values), vae._fitted.shapes)
    posterior = module.encode(
        weights, torch.tensor(vae._fitted.view.scaling.to_model(X))
    )
    noise = torch.randn(
        (n_draws, len(X), vae.n_components_),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )
    z = posterior.sample(noise[:, None]).transpose(0, 1)
    weight = torch.full((len(X),), 1.0 / len(X), dtype=torch.float64)
    return Draws(posterior, z, noise, posterior.kl(), weight, len(X))


@pytest.fixture(scope="module")
def kl():
    return fit("kl")


# What MMD costs is less the closer training comes to its end.
SLOWLY = {"batch_size": 64, "learning_rate_init": 0.01, "max_iter": 50}


@pytest.fixture(scope="module")
def short():
    """A short training with a divergence, by its name."""
    return functools.cache(functools.partial(fit, max_iter=2))


def correlation(vae):
    """Largest covariance of two of the codes."""
    covariance = np.cov(vae.transform(X).T, bias=True)
    return np.abs(covariance - np.diag(np.diag(covariance))).max()


def test_dip_decorrelates_the_codes(kl):
    vae = fit(DIP())
    assert correlation(vae) < 0.02
    assert correlation(kl) > 0.05
    # And takes next to nothing for it.
    assert vae.elbo_ == pytest.approx(kl.elbo_, abs=0.2)


def test_dip_of_the_first_kind_gives_codes_a_variance_of_one():
    vae = fit(DIP("I", 10.0, 100.0))
    assert_allclose(np.cov(vae.transform(X).T, bias=True), np.eye(3), atol=0.03)


@may_collapse
def test_total_correlation_makes_latents_independent(kl):
    def total_correlation(vae):
        draws = draws_of(vae)
        return float(draws.mean(TotalCorrelation().split(draws)[1]))

    vae = fit(TotalCorrelation(total_correlation=20.0), batch_size=64)
    assert total_correlation(kl) > 0.3
    assert abs(total_correlation(vae)) < 0.05
    # A beta as large leaves nothing to be independent.
    assert fit("kl", beta=20.0).rate_ < 0.5 < 1.5 < vae.rate_


def test_mmd_brings_all_latents_to_the_prior():
    vae, batches = fit(MMD(), **SLOWLY), fit("kl", **SLOWLY)
    draws = draws_of(vae)
    assert float(MMD().discrepancy(draws)) < 0.005
    assert float(MMD().discrepancy(draws_of(batches))) > 0.02
    z = draws.z.flatten(0, 2).numpy()
    assert_allclose(z.mean(axis=0), 0.0, atol=0.1)
    assert_allclose(np.cov(z.T), np.eye(3), atol=0.2)
    # What the default weight costs is little.
    assert vae.elbo_ == pytest.approx(batches.elbo_, abs=0.3)


def test_mmd_alone_lets_posteriors_shrink(kl):
    assert fit(MMD(alpha=1.0), batch_size=64).rate_ > 3.0 * kl.rate_


def test_monte_carlo_kl_trains_to_the_same(kl):
    vae = fit("monte_carlo_kl")
    assert vae.elbo_ == pytest.approx(kl.elbo_, abs=0.1)
    assert vae.rate_ == pytest.approx(kl.rate_, abs=0.2)


def test_importance_weighted_is_the_tighter_bound():
    # With the variance fixed, as calibration would set it for the elbo.
    params = {"balance": "constant", "likelihood": Gaussian(variance=0.4)}
    one, five = fit("kl", **params), fit(ImportanceWeighted(5), **params)
    bound = {vae: vae.log_likelihood(X, 1000).mean() for vae in (one, five)}
    assert bound[five] > bound[one] - 0.02
    objective = five.history_["objective"][-5:].mean()
    assert objective < one.history_["objective"][-5:].mean() - 0.05
    # What was minimised lies between the elbo, which pays for it, and the likelihood.
    assert five.elbo_ < one.elbo_
    assert five.elbo_ + 0.2 < -objective < bound[five] + 0.05


@every_divergence
def test_rate_is_the_kl_whatever_was_minimised(name, short):
    vae = short(name)
    rate, distortion = vae.rate_distortion(X)
    expected = float(draws_of(vae).rate)
    assert vae.rate_ == pytest.approx(expected, rel=1e-9)
    assert rate.mean() == pytest.approx(expected, rel=1e-9)
    assert vae.elbo_ == pytest.approx(-(rate + distortion).mean(), rel=1e-4)
    history = vae.history_
    assert_allclose(history["elbo"], -(history["rate"] + history["distortion"]))


@every_divergence
def test_units_of_the_columns_do_not_matter(name, short):
    # Factors of two are exact, so that both models see the same numbers.
    factor = 2.0 ** (np.arange(13) - 4)
    vae, scaled = short(name), fit(name, X * factor, max_iter=2)
    assert_allclose(scaled.transform(X * factor), vae.transform(X), atol=1e-12)
    assert scaled.rate_ == pytest.approx(vae.rate_, rel=1e-12)
    assert scaled.elbo_ == pytest.approx(vae.elbo_ - np.log(factor).sum(), rel=1e-12)
    assert_allclose(
        scaled.history_["objective"],
        vae.history_["objective"] + np.log(factor).sum(),
        rtol=1e-12,
    )


@every_divergence
def test_order_and_weight_of_rows_in_batches(name):
    params = {"balance": "learned_variance", "batch_size": 32, "max_iter": 2}
    weight = 1.0 + np.arange(len(X)) % 2
    vae = BalancedVAE(2, divergence=name, tol=1e3, random_state=0, **params)
    codes = vae.fit(X, sample_weight=weight).transform(X)
    repeated = X.repeat(weight.astype(int), axis=0)[::-1]
    np.testing.assert_array_equal(vae.fit(repeated).transform(X), codes)


@pytest.mark.parametrize(
    "n_components",
    [
        2,
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
    ],
)
def test_full_posterior_reaches_probabilistic_pca(n_components):
    standardized = (X - X.mean(axis=0)) / X.std(axis=0)
    network = MLP((), posterior="full")
    params = {"network": network, "learning_rate_init": 0.05, "max_iter": 50}
    vae = fit("kl", standardized, n_components, **params)
    eigenvalues = np.linalg.eigvalsh(np.cov(standardized.T, bias=True))[::-1]
    kept, variance = eigenvalues[:n_components], eigenvalues[n_components:].mean()
    optimum = -0.5 * (
        13 * np.log(2.0 * np.pi)
        + np.log(kept).sum()
        + (13 - n_components) * np.log(variance)
        + 13
    )
    assert vae.score(standardized) == pytest.approx(optimum, abs=1e-3)
    # The bound is tight: a single draw says as much as the elbo, for each row.
    elbo = vae.score_samples(standardized)
    assert_allclose(vae.log_likelihood(standardized, 1), elbo, atol=0.1)
    assert vae.log_likelihood(standardized).mean() == pytest.approx(optimum, abs=1e-3)


def test_full_posterior_is_worth_something_where_there_are_layers(kl):
    vae = fit("kl", network=MLP((16,), posterior="full"))
    assert vae.elbo_ > kl.elbo_ - 0.05
    below = draws_of(vae).posterior.below
    assert float(below.abs().mean()) > 0.01
    assert float(below.std(dim=1).min()) > 0.0


def test_full_posterior_with_every_method_of_the_estimator():
    vae = fit("kl", network=MLP((4,), posterior="full"), max_iter=2)
    rate, distortion = vae.rate_distortion(X)
    assert_allclose(vae.score_samples(X), -(rate + distortion))
    assert vae.log_likelihood(X, 100).mean() >= vae.score(X)
    assert vae.sample(3, random_state=0).shape == (3, 13)
    assert vae.partial_fit(X).transform(X).shape == (178, 3)
    again = vae.set_params(warm_start=True).fit(X)
    assert np.isfinite(again.elbo_)
    vae.set_params(network=MLP((4,)))
    with pytest.raises(ValueError, match="warm_start=True goes on from the weights"):
        vae.fit(X)
