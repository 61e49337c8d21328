"""scikit-learn's own checks, without a single excuse."""

import os
import subprocess
import sys

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

from skvae import BalancedVAE, BalancedVAECV, OutlierVAE
from skvae.balance import POLICIES, LearnedVariance, OptimalVariance
from skvae.likelihoods import Bernoulli

# The checks fit each instance some sixty times, so these are small and short. The
# tolerance says that two epochs are meant to be enough.
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3}

# Settings beside the balance that change how a fit runs.
BESIDE = {
    # A weight of 1 would be one of n_features / n_components.
    "normalized": {"n_components": 3, "precision": "float64", "beta": 0.1},
    "linear": {"hidden_layer_sizes": ()},
    "learned_variance": {"batch_size": 3, "balance": LearnedVariance(scope="feature")},
    # Two models side by side.
    "optimal_variance": {
        "balance": OptimalVariance(scope="auto"),
        "early_stopping": True,
        "validation_fraction": 0.2,
    },
}

# Each differs from the others in how tables are read, validated or trained on.
INSTANCES = [
    BalancedVAE(**SMALL),
    BalancedVAE(**SMALL, **BESIDE["optimal_variance"]),
    BalancedVAE(standardize="quantile", **SMALL),
    BalancedVAE(likelihood=Bernoulli(threshold=0.0), balance="constant", **SMALL),
    BalancedVAECV(2, cv=2, **SMALL),
    OutlierVAE(n_folds=2, **SMALL),
    OutlierVAE(0.1, **SMALL),
]

# A policy changes no validation, no shape and no tag.
OTHERS = [
    *(
        BalancedVAE(**{**SMALL, "balance": name, **BESIDE.get(name, {})})
        for name in POLICIES
        if name != "optimal_variance"
    ),
    BalancedVAECV([0.5, 2.0], cv=3, **{**SMALL, "balance": "constant"}),
    OutlierVAE(**SMALL),
    OutlierVAE(**SMALL, likelihood="auto", standardize=True),
]


@parametrize_with_checks(INSTANCES)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(OTHERS)
def test_scikit_learn_checks_of_every_policy(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator", [*INSTANCES, *OTHERS], ids=lambda vae: str(vae.balance)
)
def test_no_check_is_evaded(estimator):
    """Some tags silently take checks away."""
    checks = [check for _, check in estimator_checks_generator(estimator)]
    assert len(checks) >= 50
    tags = get_tags(estimator)
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert not tags._skip_test


def test_array_api_check():
    """The one check that skips itself unless a variable is set before scipy loads."""
    script = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from skvae import BalancedVAE

estimator = BalancedVAE(hidden_layer_sizes=(), max_iter=2, tol=1e3)
for _, check in estimator_checks_generator(estimator):
    if "array_api" in repr(check):
        check(estimator)
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        check=True,
    )
