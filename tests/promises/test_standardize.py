"""Columns that are scaled by median and interquartile range inside an estimator."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.balance import RunningAverage

pytestmark = pytest.mark.filterwarnings("ignore:Training ended after")
SETTINGS = {
    "standardize": "robust",
    "hidden_layer_sizes": (8,),
    "max_iter": 3,
    "random_state": 0,
    "precision": "float64",
}


def heavy_tailed(n_rows=120):
    random = np.random.RandomState(0)
    X = random.standard_t(2.0, size=(n_rows, 2)) @ random.normal(size=(2, 4))
    return X + 0.3 * random.standard_t(2.0, size=X.shape)


def with_gaps(X):
    X = X.copy()
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.1] = np.nan
    return X


def robust(X, weight=None, **params):
    return BalancedVAE(2, **(SETTINGS | params)).fit(X, sample_weight=weight)


@pytest.mark.parametrize("gaps", [False, True])
def test_elbo_is_in_the_units_of_x(gaps):
    """In other units the elbo differs by the logarithm of the scale."""
    X = heavy_tailed()
    X = with_gaps(X) if gaps else X
    scale = np.array([1e-3, 1.0, 50.0, 1e6])
    own, other = robust(X), robust(scale * X + 7.0)
    shift = (~np.isnan(X)) @ np.log(scale)
    found = other.score_samples(scale * X + 7.0)
    assert_allclose(found, own.score_samples(X) - shift, rtol=1e-6)
    bound = other.log_likelihood(scale * X + 7.0, 5)
    assert_allclose(bound, own.log_likelihood(X, 5) - shift, rtol=1e-6)


def test_without_training_it_does_not_matter_what_scales():
    """Densities of one linear model with a variance for each column are the same."""
    X = heavy_tailed()
    params = {
        "hidden_layer_sizes": (),
        "learning_rate_init": 1e-12,
        "early_stopping": False,
        "likelihood": "gaussian",
        "balance": RunningAverage(scope="feature"),
        "max_iter": 1,
    }
    scores = [robust(X, standardize=how, **params).score(X) for how in (True, "robust")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@pytest.mark.parametrize("gaps", [False, True])
def test_weight_is_repetition(gaps):
    X = heavy_tailed()
    X = with_gaps(X) if gaps else X
    weight = np.arange(len(X)) % 3
    weighted, repeated = robust(X, weight), robust(X.repeat(weight, axis=0))
    assert_array_equal(weighted.score_samples(X), repeated.score_samples(X))


def test_partial_fit_and_warm_start_keep_the_scale():
    X = heavy_tailed()
    vae = robust(X)
    scale = vae._fitted.view.scaling.scale
    vae.partial_fit(10.0 * X)
    assert_array_equal(vae._fitted.view.scaling.scale, scale)
    vae.set_params(warm_start=True).fit(10.0 * X)
    assert_array_equal(vae._fitted.view.scaling.scale, scale)
    assert np.isfinite(vae.score(X))


def test_columns_of_levels_are_left_alone():
    X = np.column_stack([heavy_tailed(), np.arange(120) % 2])
    vae = robust(X, likelihood=[("gaussian", [0, 1, 2, 3]), ("bernoulli", [4])])
    assert vae._fitted.view.scaling.center[4] == 0.0
    assert vae._fitted.view.scaling.scale[4] == 1.0
    low, high = np.percentile(X[:, :4], [25, 75], axis=0)
    # The quartiles of numpy lie between values, a little.
    assert_allclose(vae._fitted.view.scaling.scale[:4], (high - low) / 1.349, rtol=0.05)


def test_rows_come_back_in_the_units_of_x():
    X = heavy_tailed()
    vae = robust(X, max_iter=30)
    center = np.median(X, axis=0)
    sampled = vae.sample(2000, random_state=0)
    low, high = np.percentile(sampled, [25, 75], axis=0)
    assert ((low < center) & (center < high)).all()
