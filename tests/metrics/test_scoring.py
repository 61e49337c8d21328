"""All metrics from one encoding."""

import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import skvae.metrics
from skvae.fitted._inference import Model
from skvae.metrics import RateDistortionScoring, rate_distortion_scoring

NAMES = ["elbo", "neg_rate", "neg_distortion", "active_units"]
CV = KFold(2, shuffle=True, random_state=0)
VERSION = parse_version(sklearn.__version__)


def singly(estimator, X, names=NAMES, **weight):
    """The same numbers from the scorers of one."""
    return {
        name: getattr(skvae.metrics, f"{name}_scorer")(estimator, X, **weight)
        for name in names
    }


def test_metrics_are_those_of_the_scorers(fitted, X):
    found = rate_distortion_scoring()(fitted, X)
    assert found == singly(fitted, X)
    assert list(found) == NAMES
    assert all(isinstance(value, float) for value in found.values())
    parts = found["neg_rate"] + found["neg_distortion"]
    assert found["elbo"] == pytest.approx(parts, rel=1e-12)
    assert found["neg_rate"] < -0.1
    weight = np.arange(len(X)) % 3
    weighted = rate_distortion_scoring()(fitted, X, None, weight)
    assert weighted == singly(fitted, X, sample_weight=weight)
    assert weighted["elbo"] != found["elbo"]


def test_log_likelihood_on_request(fitted, X):
    found = rate_distortion_scoring(n_importance_samples=5)(fitted, X)
    assert list(found) == [*NAMES, "log_likelihood"]
    assert found["log_likelihood"] == fitted.log_likelihood(X, 5).mean()
    found = rate_distortion_scoring(n_importance_samples=100)(fitted, X)
    assert found == singly(fitted, X, [*NAMES, "log_likelihood"])
    with pytest.raises(ValueError, match="n_importance_samples must be an integer"):
        rate_distortion_scoring(n_importance_samples=0)(fitted, X)


def test_one_encoding_of_each_split(vae, X, monkeypatch):
    n_scored = []
    scored = Model.score

    def counted(self, rows):
        n_scored.append(len(rows))
        return scored(self, rows)

    monkeypatch.setattr(Model, "score", counted)
    pipeline = make_pipeline(StandardScaler(), vae)
    grid = {"balancedvae__beta": [1.0, 2.0]}
    search = GridSearchCV(
        pipeline, grid, cv=CV, scoring=rate_distortion_scoring(), refit="elbo"
    ).fit(X)
    assert n_scored == [30] * 4
    for name in NAMES:
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()


def test_copies_and_repr(fitted, X):
    scoring = rate_distortion_scoring(n_importance_samples=3)
    for copied in (pickle.loads(pickle.dumps(scoring)), clone(scoring)):
        assert copied(fitted, X) == scoring(fitted, X)
        assert repr(copied) == "RateDistortionScoring(n_importance_samples=3)"
    assert repr(rate_distortion_scoring()) == "RateDistortionScoring()"
    assert isinstance(scoring, RateDistortionScoring)


def test_workers_find_the_same(vae, X, one_thread):
    one, two = (
        cross_validate(vae, X, cv=CV, scoring=rate_distortion_scoring(), n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    for name in NAMES:
        assert_array_equal(one[f"test_{name}"], two[f"test_{name}"], err_msg=name)


@pytest.mark.skipif(parse_version("1.9") > VERSION, reason="no callbacks before 1.9")
@pytest.mark.parametrize(
    "as_given", [lambda X: X, lambda X: [X[:50], X[50:]]], ids=["table", "chunks"]
)
def test_scoring_monitor(vae, X, as_given):
    pytest.importorskip("sklearn.callback")
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=rate_distortion_scoring())
    model = clone(vae).set_callbacks(monitor).fit(as_given(X))
    *_, last = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    for name, expected in singly(model, X).items():
        assert last[name] == pytest.approx(expected, rel=1e-6), name


# --- Sample weights -----------------------------------------------------------------


@pytest.fixture
def weight(X):
    return np.arange(len(X)) % 3 + 0.5


def by_hand(vae, X, weight):
    return [
        singly(
            clone(vae).fit(X[train], sample_weight=weight[train]),
            X[test],
            sample_weight=weight[test],
        )
        for train, test in CV.split(X)
    ]


@pytest.mark.skipif(
    parse_version("1.7") > VERSION, reason="searches keep weights from scorers"
)
def test_weights_without_routing(vae, X, weight):
    search = GridSearchCV(
        vae, {"beta": [1.0]}, cv=CV, scoring=rate_distortion_scoring(), refit=False
    ).fit(X, sample_weight=weight)
    for k, expected in enumerate(by_hand(vae, X, weight)):
        for name in NAMES:
            found = search.cv_results_[f"split{k}_test_{name}"]
            assert_allclose(found, expected[name], rtol=1e-12, err_msg=name)


def test_weights_with_routing(vae, X, weight, routing):
    weighted = clone(vae).set_fit_request(sample_weight=True)
    scoring = rate_distortion_scoring().set_score_request(sample_weight=True)
    scoring = pickle.loads(pickle.dumps(clone(scoring)))
    found = cross_validate(
        weighted, X, cv=CV, scoring=scoring, params={"sample_weight": weight}
    )
    for k, expected in enumerate(by_hand(vae, X, weight)):
        for name in NAMES:
            assert_allclose(found[f"test_{name}"][k], expected[name], rtol=1e-12)


def test_weights_that_nobody_asked_for(vae, X, weight, routing):
    weighted = clone(vae).set_fit_request(sample_weight=True)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(
            weighted,
            X,
            cv=CV,
            scoring=rate_distortion_scoring(),
            params={"sample_weight": weight},
        )


def test_only_weights_can_be_requested(routing):
    with pytest.raises(TypeError, match="estimator"):
        rate_distortion_scoring().set_score_request(estimator=True)
