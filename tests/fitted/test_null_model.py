"""Each column by its own distribution: what a model has to be better than."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import RunningAverage
from skvae.fitted._access import admitted
from skvae.likelihoods import Gaussian, Laplace
from skvae.metrics import latent_report

pytestmark = pytest.mark.filterwarnings(
    "ignore:Training ended after",
    "ignore::skvae.exceptions.PosteriorCollapseWarning",
)
X = load_wine().data[:, :4]
SMALL = {
    "hidden_layer_sizes": (4,),
    "max_iter": 2,
    "tol": 1e3,
    "random_state": 0,
    "precision": "float64",
}


def null_cells(vae, rows):
    fitted, X = admitted(vae, rows)
    return fitted.null_model.cells(fitted.on("cpu"), X)


def fitted(rows=X, **params):
    return BalancedVAE(1, **{**SMALL, **params}).fit(rows)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    ("likelihood", "family"),
    [
        ("gaussian", stats.norm),
        ("laplace", stats.laplace),
        ("log_normal", stats.lognorm),
    ],
)
def test_maximum_likelihood_of_each_column(likelihood, family, standardize):
    vae = fitted(likelihood=likelihood, standardize=standardize)
    fixed = {"floc": 0.0} if likelihood == "log_normal" else {}
    for d, column in enumerate(X.T):
        best = -family(*family.fit(column, **fixed)).logpdf(column).mean()
        assert null_cells(vae, X).mean(axis=0)[d] == pytest.approx(best, abs=1e-6)


def test_constant_column_beside_levels_has_no_error():
    frame = pd.DataFrame({"level": [True, False] * 20, "constant": 0.1})
    vae = fitted(frame)
    assert vae._fitted.null_model.output[1] == 0.0


def test_levels_cost_their_entropy():
    random = np.random.RandomState(0)
    frame = pd.DataFrame(
        {"level": random.choice(list("abc"), 90), "flag": random.uniform(size=90) < 0.2}
    )
    vae = fitted(frame, likelihood="auto")
    expected = [
        stats.entropy(frame[name].value_counts(normalize=True)) for name in frame
    ]
    assert_allclose(null_cells(vae, frame).mean(axis=0), expected, atol=1e-8)


@pytest.mark.parametrize(
    "likelihood", ["poisson", "negative_binomial", "ordinal", "student_t"]
)
def test_other_families_cost_less_than_at_random(likelihood):
    """No constant of these is left out: all are probabilities or densities."""
    counts = np.random.RandomState(0).poisson(3.0, size=(80, 2)).astype(float)
    cells = null_cells(fitted(counts, likelihood=likelihood), counts).mean(axis=0)
    entropy = [stats.entropy(np.unique(c, return_counts=True)[1]) for c in counts.T]
    # The true distribution's is 1.93; that of the values themselves is a floor of
    # what probabilities cost, and about one of what a density at integers does.
    assert (cells > np.array(entropy) - 0.1).all()
    assert (cells < 2.2).all()


def test_fixed_dispersions_stay():
    vae = fitted(likelihood=Gaussian(variance=4.0), balance="constant")
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    expected = -stats.norm(scale=2.0).logpdf(z) + np.log(X.std(axis=0))
    assert_allclose(null_cells(vae, X), expected, atol=1e-10)


def test_mixed_columns_are_as_each_by_itself():
    mixed = fitted(likelihood=[("laplace", [2, 0]), ("gaussian", [3, 1])])
    laplace, gaussian = fitted(likelihood=Laplace()), fitted(likelihood="gaussian")
    found = null_cells(mixed, X)
    assert_allclose(found[:, [0, 2]], null_cells(laplace, X)[:, [0, 2]], atol=1e-10)
    assert_allclose(found[:, [1, 3]], null_cells(gaussian, X)[:, [1, 3]], atol=1e-10)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_missing_cells_are_left_out_of_the_fit_and_cost_nothing(likelihood):
    gaps = X.copy()
    gaps[::3, 1] = np.nan
    cells = null_cells(fitted(gaps, likelihood=likelihood), gaps)
    assert not cells[::3, 1].any()
    alone = fitted(np.delete(gaps, np.s_[::3], axis=0), likelihood=likelihood)
    is_there = ~np.isnan(gaps[:, 1])
    assert_allclose(cells[is_there, 1], null_cells(alone, gaps)[is_there, 1])


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "student_t"])
def test_weight_is_repetition(likelihood):
    weight = np.random.RandomState(0).randint(3, size=len(X)).astype(float)
    one = fitted(likelihood=likelihood)
    weighed = BalancedVAE(1, likelihood=likelihood, **SMALL)
    weighed.fit(X, sample_weight=weight)
    twice = fitted(np.repeat(X, weight.astype(int), axis=0), likelihood=likelihood)
    assert_array_equal(null_cells(weighed, X), null_cells(twice, X))
    assert (null_cells(weighed, X) != null_cells(one, X)).all()


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_constant_column_has_nothing_to_explain(scope):
    """Nor is it counted against a model that its variance is that of all columns."""
    rows = np.column_stack([X, np.full(len(X), 7.0)])
    vae = fitted(rows, balance=RunningAverage(scope=scope), max_iter=20)
    report = latent_report(vae, rows)
    assert report.column_explained[-1] == pytest.approx(0.0, abs=0.02)


def test_held_out_rows_are_scored_by_the_rows_of_fit():
    vae = fitted(X[:100])
    mean, spread = X[:100].mean(axis=0), X[:100].std(axis=0)
    expected = -stats.norm(mean, spread).logpdf(X[100:])
    assert_allclose(null_cells(vae, X[100:]), expected, atol=1e-10)


def test_it_outlives_pickling_and_partial_fit():
    vae = BalancedVAE(1, **SMALL).partial_fit(X)
    before = null_cells(vae, X)
    assert_array_equal(null_cells(pickle.loads(pickle.dumps(vae)), X), before)
    assert_array_equal(null_cells(vae.partial_fit(X[:50]), X), before)


def test_report_of_a_table_with_types_and_gaps():
    random = np.random.RandomState(0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame = frame.mask(random.uniform(size=X.shape) < 0.1)
    frame["kind"] = np.where(X[:, 0] > 13, "high", "low")
    vae = BalancedVAE(1, **{**SMALL, "max_iter": 30}).fit(frame[:120])
    weight = random.uniform(size=58)
    report = latent_report(vae, frame[120:], sample_weight=weight)
    assert list(report.columns) == [*"abcd", "kind"]
    cells = vae.score_cells(frame[120:])
    assert_allclose(
        report.column_distortion, np.average(cells, axis=0, weights=weight), atol=1e-5
    )
    gain = report.null_distortion - report.distortion
    assert report.column_explained.sum() == pytest.approx(gain, abs=1e-10)
