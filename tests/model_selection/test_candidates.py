"""What the results of a search say of its candidates, and what they may lack."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.model_selection._candidates import Candidates

RESULTS = {
    "mean_test_elbo": np.array([-3.0, -2.0]),
    "split0_test_elbo": np.array([-4.0, -2.5]),
    "split1_test_elbo": np.array([-2.0, -1.5]),
    "split0_test_elbo_of_another_kind": np.array([0.0, 0.0]),
    "mean_test_neg_rate": np.array([-1.0, -2.0]),
    "params": [{"beta": 2.0}, {"beta": 1.0}],
}
REMEDY = "Search with scoring=rate_distortion_scoring() from skvae.metrics."


def test_scores():
    candidates = Candidates(RESULTS, "rule")
    assert_array_equal(candidates.mean("elbo"), [-3.0, -2.0])
    assert_array_equal(candidates.folds("elbo"), [[-4.0, -2.5], [-2.0, -1.5]])
    assert_array_equal(candidates.simplicity(), [-1.0, -2.0])
    assert candidates.elbo_metric == "elbo"


def test_single_metric_is_the_elbo():
    assert Candidates({"mean_test_score": [1.0]}, "rule").elbo_metric == "score"
    assert Candidates({}, "rule").elbo_metric == "elbo"


@pytest.mark.parametrize("key", ["param_beta", "param_balancedvae__beta"])
def test_beta_stands_in_for_the_rate(key):
    betas = np.ma.array([0.5, 2], mask=False, dtype=object)
    results = {"mean_test_score": [0.0, 1.0], key: betas, "param_balance__to_beta": 1}
    found = Candidates(results, "rule").simplicity()
    assert_array_equal(found, [0.5, 2.0])
    assert found.dtype == np.float64


def test_metric_that_is_not_there():
    message = (
        "rule needs 'mean_test_neg_distortion' in cv_results, got 'mean_test_elbo', "
        f"'mean_test_neg_rate'. {REMEDY}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Candidates(RESULTS, "rule").mean("neg_distortion")
    with pytest.raises(ValueError, match=r"cv_results, got no test scores\."):
        Candidates({"params": []}, "rule").mean("elbo")


@pytest.mark.parametrize(
    "betas",
    [
        {},
        {"param_a__beta": [1.0, 2.0], "param_b__beta": [1.0, 2.0]},
        {"param_beta": np.ma.array([1.0, 2.0], mask=[False, True])},
    ],
    ids=["none", "two", "not of all"],
)
def test_neither_rate_nor_beta(betas):
    message = (
        "rule needs the rate of each candidate, as 'mean_test_neg_rate' in cv_results, "
        "or one beta of each, as 'param_beta'; got 'mean_test_score'. " + REMEDY
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Candidates({"mean_test_score": [0.0, 0.0], **betas}, "rule").simplicity()


@pytest.mark.parametrize("n_folds", [0, 1])
def test_too_few_folds(n_folds):
    results = {f"split{k}_test_elbo": [0.0] for k in range(n_folds)}
    message = (
        "rule needs the scores of at least two test folds, as 'split0_test_elbo' and "
        f"so on, got {n_folds}. Search with a cv of more folds."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Candidates(results, "rule").folds("elbo")


def test_fits_that_failed():
    candidates = Candidates({}, "rule")
    nan = np.nan
    found = candidates.usable(np.array([1.0, nan, 3.0]), np.array([1.0, 2.0, -np.inf]))
    assert_array_equal(found, [0])
    message = "rule found no candidate with finite scores .* error_score='raise'"
    with pytest.raises(ValueError, match=message):
        candidates.usable(np.array([nan, nan]))
