"""Scorers wherever scikit-learn and Optuna take one."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import skvae.metrics
from skvae.metrics import (
    elbo_scorer,
    log_likelihood_scorer,
    neg_distortion_scorer,
    neg_rate_scorer,
)

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


NAMES = ["elbo", "neg_rate", "neg_distortion", "log_likelihood", "active_units"]
SCORERS = {name: getattr(skvae.metrics, f"{name}_scorer") for name in NAMES}
BETAS = [0.5, 5.0]
CV = KFold(2, shuffle=True, random_state=0)
VERSION = parse_version(sklearn.__version__)


def by_hand(vae, X, scorer, weight=None):
    """Scores of the test folds, in a plain loop."""
    scores = []
    for train, test in CV.split(X):
        part = (None, None) if weight is None else (weight[train], weight[test])
        model = clone(vae).fit(X[train], sample_weight=part[0])
        scores.append(scorer(model, X[test], sample_weight=part[1]))
    return np.array(scores)


@pytest.mark.parametrize("name", NAMES)
def test_scorer_is_its_measure(fitted, X, name):
    from skvae.fitted import _measures as measures

    weight = np.arange(len(X)) % 3
    seen = measures.Seen(fitted, X)
    measure, scorer = getattr(measures, name), SCORERS[name]
    assert scorer(fitted, X) == measure(seen)
    assert scorer(fitted, X, None, weight) == measure(seen, weight)
    assert scorer(fitted, X, np.ones(len(X)), sample_weight=None) == measure(seen)


def test_scorer_of_a_pipeline_scores_what_its_steps_return(vae, X):
    scaler = StandardScaler().fit(X)
    pipeline = make_pipeline(StandardScaler(), clone(vae)).fit(X)
    plain = clone(vae).fit(X)
    for name, scorer in SCORERS.items():
        expected = scorer(pipeline[-1], scaler.transform(X))
        assert scorer(pipeline, X) == expected, name
    # The model's own scaling is accounted for, that of a step is not.
    jacobian = np.log(scaler.scale_).sum()
    assert elbo_scorer(pipeline, X) - jacobian == pytest.approx(
        elbo_scorer(plain, X), abs=1e-3
    )


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_repr(fitted, X, name):
    scorer = SCORERS[name]
    expected = scorer(fitted, X)
    for copied in (
        pickle.loads(pickle.dumps(scorer)),
        copy.deepcopy(scorer),
        clone(scorer),
    ):
        assert copied is not scorer
        assert copied(fitted, X) == expected
        assert repr(copied) == repr(scorer) == f"{name}_scorer"


def test_search_can_be_cloned_and_printed(vae):
    search = GridSearchCV(vae, {"beta": BETAS}, scoring=elbo_scorer)
    assert "scoring=elbo_scorer" in repr(search)
    assert repr(clone(search)) == repr(search)


# --- Searches -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_cross_validation(vae, X, name):
    scorer = SCORERS[name]
    expected = by_hand(vae, X, scorer)
    assert_array_equal(cross_val_score(vae, X, cv=CV, scoring=scorer), expected)


def test_cross_validation_with_several_scorers(vae, X):
    scores = cross_validate(vae, X, cv=CV, scoring=SCORERS)
    for name, scorer in SCORERS.items():
        assert_array_equal(scores[f"test_{name}"], by_hand(vae, X, scorer))


@may_collapse
def test_elbo_is_the_score_of_a_search(vae, X):
    grid = {"beta": BETAS}
    plain = GridSearchCV(vae, grid, cv=CV).fit(X)
    search = GridSearchCV(vae, grid, cv=CV, scoring=elbo_scorer).fit(X)
    for name in ("mean_test_score", "std_test_score", "split1_test_score"):
        assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
    assert search.best_params_ == plain.best_params_
    assert search.score(X) == search.best_estimator_.score(X)


@may_collapse
def test_search_over_a_pipeline(vae, X):
    pipeline = make_pipeline(StandardScaler(), vae)
    grid = {"balancedvae__beta": BETAS}
    search = GridSearchCV(pipeline, grid, cv=CV, scoring=SCORERS, refit="elbo").fit(X)
    rates = search.cv_results_["mean_test_neg_rate"]
    assert rates[0] < rates[1] < 0.0
    assert search.score(X) == elbo_scorer(search.best_estimator_, X)


@may_collapse
def test_randomized_search(vae, X):
    search = RandomizedSearchCV(
        vae,
        {"beta": loguniform(0.1, 10.0)},
        n_iter=3,
        cv=CV,
        scoring=neg_rate_scorer,
        random_state=0,
    ).fit(X)
    betas = [params["beta"] for params in search.cv_results_["params"]]
    # The lowest rate is that of the largest beta.
    assert search.best_params_["beta"] == max(betas)


@may_collapse
def test_halving_search(vae, X):
    search = HalvingGridSearchCV(
        vae,
        {"beta": [0.1, 1.0, 10.0]},
        factor=2,
        min_resources=30,
        cv=CV,
        scoring=neg_distortion_scorer,
        random_state=0,
    ).fit(X)
    assert search.n_iterations_ == 2
    assert search.best_params_ == {"beta": 0.1}


@may_collapse
def test_validation_curve(vae, X):
    settings = {"param_name": "beta", "param_range": BETAS, "cv": CV}
    _, rates = validation_curve(vae, X, None, scoring=neg_rate_scorer, **settings)
    models = [clone(vae).set_params(beta=beta) for beta in BETAS]
    expected = [by_hand(model, X, neg_rate_scorer) for model in models]
    assert_array_equal(rates, expected)


def test_importance_of_columns(fitted, X):
    from sklearn.inspection import permutation_importance

    found = permutation_importance(
        fitted, X, None, scoring=elbo_scorer, n_repeats=2, random_state=0
    )
    # A row with a cell of another row is less likely.
    assert (found.importances_mean > 0.0).all()


@may_collapse
def test_workers_find_the_same(vae, X, one_thread):
    for scoring, refit in [(elbo_scorer, True), (SCORERS, "log_likelihood")]:
        searches = [
            GridSearchCV(
                vae, {"beta": BETAS}, cv=CV, scoring=scoring, refit=refit, n_jobs=n_jobs
            ).fit(X)
            for n_jobs in (1, 2)
        ]
        one, two = (search.cv_results_ for search in searches)
        names = [name for name in one if "_test_" in name]
        assert names
        for name in names:
            assert_array_equal(one[name], two[name], err_msg=name)


# optuna-integration 5.0 calls what optuna 5.0 deprecates; goes when it does not.
@may_collapse
@pytest.mark.filterwarnings("ignore:.optuna.terminator:FutureWarning")
# It has no tags of scikit-learn 1.6, which says so; goes with that version.
@pytest.mark.filterwarnings("ignore:The OptunaSearchCV:DeprecationWarning")
def test_optuna(vae, X):
    reason = "needs optuna and optuna-integration, of the test extra"
    optuna = pytest.importorskip("optuna", reason=reason)
    integration = pytest.importorskip("optuna_integration.sklearn", reason=reason)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    betas = optuna.distributions.FloatDistribution(0.1, 10.0)
    try:
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            search = integration.OptunaSearchCV(
                make_pipeline(StandardScaler(), vae),
                {"balancedvae__beta": betas},
                cv=CV,
                n_trials=3,
                scoring=log_likelihood_scorer,
                random_state=0,
            )
        search.fit(X)
    finally:
        optuna.logging.set_verbosity(before)
    best = clone(search.estimator).set_params(**search.best_params_)
    expected = cross_val_score(best, X, cv=CV, scoring=log_likelihood_scorer).mean()
    assert search.best_score_ == pytest.approx(expected, rel=1e-12)
    assert search.score(X) == log_likelihood_scorer(search.best_estimator_, X)


@pytest.mark.skipif(parse_version("1.9") > VERSION, reason="no callbacks before 1.9")
def test_scoring_monitor(vae, X):
    pytest.importorskip("sklearn.callback")
    from sklearn.callback import ScoringMonitor

    several = ScoringMonitor(scoring=SCORERS)
    one = ScoringMonitor(scoring=elbo_scorer)
    model = clone(vae).set_params(max_iter=3).set_callbacks(several, one).fit(X)
    several, one = several.get_logs().data, one.get_logs().data
    epochs = [row for row in several if row["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert {*NAMES} <= epochs[-1].keys()
    assert epochs[-1]["elbo"] == pytest.approx(model.score(X), rel=1e-6)
    elbos = [row["score"] for row in one if row["task_name"] == "epoch"]
    assert elbos == [row["elbo"] for row in epochs]


# --- Sample weights -----------------------------------------------------------------


@pytest.fixture
def weight(X):
    return np.arange(len(X)) % 3 + 0.5


def test_weights_without_routing(vae, X, weight):
    for scoring, key in [(elbo_scorer, "score"), (SCORERS, "elbo")]:
        search = GridSearchCV(vae, {"beta": [1.0]}, cv=CV, scoring=scoring, refit=False)
        search.fit(X, sample_weight=weight)
        folds = [search.cv_results_[f"split{k}_test_{key}"][0] for k in range(2)]
        if parse_version("1.7") <= VERSION:
            assert_allclose(folds, by_hand(vae, X, elbo_scorer, weight), rtol=1e-12)
        else:
            # Searches did not hand weights to scorers.
            unweighted = [
                elbo_scorer(clone(vae).fit(X[a], sample_weight=weight[a]), X[b])
                for a, b in CV.split(X)
            ]
            assert_allclose(folds, unweighted, rtol=1e-12)


def test_weights_with_routing(vae, X, weight, routing):
    weighted = clone(vae).set_fit_request(sample_weight=True)
    for name, shared in SCORERS.items():
        scorer = clone(shared).set_score_request(sample_weight=True)
        expected = by_hand(vae, X, scorer, weight)
        found = cross_validate(
            weighted, X, cv=CV, scoring=scorer, params={"sample_weight": weight}
        )
        assert_allclose(found["test_score"], expected, rtol=1e-12, err_msg=name)
        search = GridSearchCV(weighted, {"beta": [1.0]}, cv=CV, scoring=scorer)
        search.fit(X, sample_weight=weight)
        mean = search.cv_results_["mean_test_score"][0]
        assert mean == pytest.approx(expected.mean(), rel=1e-12)


def test_routing_of_each_scorer_is_its_own(vae, X, weight, routing):
    weighted = clone(vae).set_fit_request(sample_weight=True)
    scoring = {
        "yes": clone(elbo_scorer).set_score_request(sample_weight=True),
        "no": clone(elbo_scorer).set_score_request(sample_weight=False),
        "other": clone(elbo_scorer).set_score_request(sample_weight="test_weight"),
    }
    other = np.ones(len(X))
    other[::2] = 0.0
    found = cross_validate(
        weighted,
        X,
        cv=CV,
        scoring=scoring,
        params={"sample_weight": weight, "test_weight": other},
    )
    for name, test_weight in {"yes": weight, "no": None, "other": other}.items():
        expected = [
            elbo_scorer(
                clone(vae).fit(X[train], sample_weight=weight[train]),
                X[test],
                sample_weight=None if test_weight is None else test_weight[test],
            )
            for train, test in CV.split(X)
        ]
        assert_allclose(found[f"test_{name}"], expected, rtol=1e-12, err_msg=name)


def test_weights_that_nobody_asked_for(vae, X, weight, routing):
    weighted = clone(vae).set_fit_request(sample_weight=True)
    search = GridSearchCV(weighted, {"beta": [1.0]}, cv=CV, scoring=elbo_scorer)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        search.fit(X, sample_weight=weight)


def test_request_needs_routing():
    with pytest.raises(RuntimeError, match="routing is enabled"):
        clone(elbo_scorer).set_score_request(sample_weight=True)


def test_request_is_copied_and_pickled(routing):
    scorer = clone(elbo_scorer).set_score_request(sample_weight="w")
    for copied in (scorer, clone(scorer), pickle.loads(pickle.dumps(scorer))):
        requests = copied.get_metadata_routing().score.requests
        assert requests == {"sample_weight": "w"}
    shared = elbo_scorer.get_metadata_routing().score.requests
    assert shared == {"sample_weight": None}
