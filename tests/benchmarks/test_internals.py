"""Probabilities of numbers in the steps that they were recorded in."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from benchmarks.common.internals import log_probability
from skvae import BalancedVAE

pytestmark = pytest.mark.filterwarnings(
    "ignore:Training ended after", "ignore:The model has collapsed"
)
SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}


@pytest.mark.parametrize("standardize", [True, "quantile"])
def test_probabilities_of_whole_numbers_sum_to_one(standardize):
    random = np.random.default_rng(0)
    items = pd.DataFrame({"items": random.poisson(3, 500).astype(float)})
    vae = BalancedVAE(1, standardize=standardize, **SETTINGS).fit(items)
    # Normal scores know the values of the table.
    known = np.unique(items["items"]) if standardize == "quantile" else range(-20, 30)
    rows = pd.DataFrame({"items": np.array(known, dtype=float)})
    nats = log_probability(vae, rows, np.ones(1), 2000)
    assert np.exp(nats).sum() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("standardize", [True, "quantile"])
def test_small_steps_have_the_density(standardize):
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 1)) + random.normal(size=(200, 3))
    rows = pd.DataFrame(X, columns=list("abc"))
    vae = BalancedVAE(1, standardize=standardize, **SETTINGS).fit(rows)
    nats = log_probability(vae, rows, np.full(3, 1e-4), 50)
    density = vae.log_likelihood(rows, 50) + 3 * np.log(1e-4)
    assert_allclose(nats, density, atol=1e-4)


def test_levels_and_missing_cells_have_no_steps():
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"size": random.normal(size=200)})
    rows["kind"] = pd.Categorical(np.where(rows["size"] > 0, "large", "small"))
    rows.loc[::7, "size"] = np.nan
    vae = BalancedVAE(1, **SETTINGS).fit(rows)
    nats = log_probability(vae, rows, np.array([1e-4, 1.0]), 50)
    density = vae.log_likelihood(rows, 50)
    density += np.where(rows["size"].isna(), 0.0, np.log(1e-4))
    assert_allclose(nats, density, atol=1e-4)
