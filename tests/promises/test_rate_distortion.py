"""A sweep of beta, trained side by side, lies on the rate-distortion function."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skvae import BalancedVAE
from skvae.likelihoods import Gaussian
from skvae.linear._model import LinearModel
from skvae.networks import MLP
from skvae.path._runs import fit_betas

SPECTRA = {
    "six": ([4.0, 2.0, 1.0, 0.5, 0.25, 0.25], [0.1, 0.3, 0.6, 0.8, 1.5, 3.0]),
    "eight": (
        [3.0, 1.5, 0.9, 0.6, 0.3, 0.2, 0.1, 0.05],
        [0.07, 0.15, 0.4, 0.75, 1.2, 2.0],
    ),
}
N_ROWS = 64


def rows_of(eigenvalues):
    """Rows of mean zero and maximum-likelihood covariance diag(eigenvalues)."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(N_ROWS, len(eigenvalues)))
    basis = np.linalg.qr(np.column_stack([np.ones(N_ROWS), normal]))[0][:, 1:]
    return math.sqrt(N_ROWS) * basis * np.sqrt(eigenvalues)


def linear(n_components, **params):
    settings = {
        "balance": "constant",
        "network": MLP((), linear_path=False),
        "likelihood": Gaussian(variance=1.0),
        "standardize": False,
        "early_stopping": False,
        "learning_rate_init": 0.05,
        "batch_size": 10_000,
        "max_iter": 80,
        "precision": "float64",
        "random_state": 0,
        **params,
    }
    return BalancedVAE(n_components, **settings)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_sweep_of_beta_lies_on_the_rate_distortion_function(spectrum):
    eigenvalues, betas = SPECTRA[spectrum]
    X, n_features = rows_of(eigenvalues), len(eigenvalues)
    closed = LinearModel.from_rows(X, np.ones(N_ROWS), n_features)
    for model in fit_betas(linear(n_features), X, betas).models:
        rate, distortion = (part.mean() for part in model.rate_distortion(X))
        error = 2.0 * distortion - n_features * math.log(2.0 * math.pi)
        on_curve = closed.rate(closed.theta_at_squared_error(error))
        assert rate == pytest.approx(on_curve, rel=0.01)
        assert error == pytest.approx(closed.squared_error(model.beta), rel=0.01)
        # No encoder and decoder whatever are below the curve.
        assert rate > on_curve - 1e-6


@pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning")
def test_betas_side_by_side_are_each_alone():
    X = rows_of(SPECTRA["six"][0])
    vae = BalancedVAE(
        2,
        balance="constant",
        hidden_layer_sizes=(6,),
        max_iter=5,
        tol=1e3,
        precision="float64",
        random_state=0,
    )
    betas = [0.1, 1.0, 3.0]
    for beta, together in zip(betas, fit_betas(vae, X, betas).models, strict=True):
        alone = vae.set_params(beta=beta).fit(X)
        assert together.get_params()["beta"] == beta
        assert_allclose(together.transform(X), alone.transform(X), rtol=1e-9, atol=1e-9)
        assert together.elbo_ == pytest.approx(alone.elbo_, rel=1e-9)
        assert together.n_iter_ == alone.n_iter_
        assert set(vars(together)) == set(vars(alone))
        assert list(together.history_) == list(alone.history_)
