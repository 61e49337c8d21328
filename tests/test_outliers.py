"""The estimator that finds odd rows."""

import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_outlier_detector
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE, OutlierVAE

SMALL = {
    "n_components": 2,
    "hidden_layer_sizes": (4,),
    "max_iter": 3,
    "tol": 1e3,
    "random_state": 0,
}
# Starts at its optimum.
LINEAR = {
    **SMALL,
    "likelihood": "gaussian",
    "hidden_layer_sizes": (),
    "max_iter": 2,
}


def normal_rows(n_rows, seed):
    """Rows of two factors."""
    random = np.random.default_rng(seed)
    loading = np.random.default_rng(0).normal(size=(2, 6))
    return random.normal(size=(n_rows, 2)) @ loading + 0.1 * random.normal(
        size=(n_rows, 6)
    )


def odd_rows(n_rows, seed):
    """Rows that break the factors, and are within the range of each column."""
    X = normal_rows(n_rows, seed)
    return np.random.default_rng(seed).permuted(X, axis=0)


X = normal_rows(200, 1)
MIXED = np.vstack([X, odd_rows(20, 2)])
LABELS = np.repeat([1, -1], [200, 20])


@pytest.fixture(scope="module")
def fitted():
    return OutlierVAE(**SMALL).fit(X)


def table_of(X):
    """The first columns as numbers, with gaps, and a column of categories."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(X, columns=[f"x{d}" for d in range(X.shape[1])])
    frame["kind"] = np.where(frame["x0"] > 0, "high", "low")
    return frame.mask(random.random(frame.shape) < 0.05)


# The interface.


def test_scores_are_those_of_the_model(fitted):
    assert is_outlier_detector(fitted)
    rate, distortion = fitted.rate_distortion(MIXED)
    scores = fitted.score_samples(MIXED)
    assert_array_equal(scores, -(rate + distortion))
    assert_array_equal(fitted.decision_function(MIXED), scores - fitted.offset_)
    found = fitted.predict(MIXED)
    assert_array_equal(found, np.where(scores < fitted.offset_, -1, 1))
    assert found.dtype.kind == "i"
    assert_allclose(fitted.score_cells(MIXED).sum(axis=1), distortion)
    assert_array_equal(clone(fitted).fit_predict(X), fitted.predict(X))


def test_cells_are_found(fitted):
    rows = X[:40].copy()
    column = np.arange(40) % 6
    rows[np.arange(40), column] += 8.0 * X.std(axis=0)[column]
    assert (fitted.predict(rows) == -1).all()
    hits = fitted.score_cells(rows).argmax(axis=1) == column
    assert hits.mean() > 0.8


def test_it_is_the_fitted_model(fitted):
    assert fitted.transform(X).shape == (200, 2)
    assert fitted.sample(3, random_state=0).shape == (3, 6)
    assert fitted.get_feature_names_out().tolist() == ["outliervae0", "outliervae1"]
    again = pickle.loads(pickle.dumps(fitted))
    assert again.offset_ == fitted.offset_
    assert_array_equal(again.predict(MIXED), fitted.predict(MIXED))


def test_settings_are_those_of_the_model():
    names = set(BalancedVAE._get_param_names())
    own = set(OutlierVAE._get_param_names()) - names
    assert names <= set(OutlierVAE._get_param_names())
    assert own == {"contamination", "false_alarms", "n_folds", "n_jobs"}
    theirs, ours = BalancedVAE().get_params(), OutlierVAE().get_params()
    assert {name for name in names if ours[name] != theirs[name]} == {
        "likelihood",
        "standardize",
    }


# The threshold.


@pytest.mark.parametrize("proportion", [0.02, 0.05, 0.2])
def test_stated_proportion_of_new_rows_raises_an_alarm(proportion):
    old, new = normal_rows(400, 3), normal_rows(20_000, 4)
    detector = OutlierVAE(false_alarms=proportion, **LINEAR).fit(old)
    error = np.sqrt(proportion * (1.0 - proportion) * (1 / len(old) + 1 / len(new)))
    alarms = (detector.predict(new) == -1).mean()
    assert abs(alarms - proportion) < 3.0 * error


def test_threshold_holds_where_rows_are_learned_by_heart():
    random = np.random.default_rng(0)
    few, new = (
        np.hstack([normal_rows(n_rows, n_rows), random.normal(size=(n_rows, 20))])
        for n_rows in (60, 5_000)
    )
    settings = {**LINEAR, "n_components": 10, "early_stopping": False}
    held_out, own = (
        (OutlierVAE(*given, **settings).fit(few).predict(new) == -1).mean()
        for given in [(), (0.05,)]
    )
    assert held_out < 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / len(few))
    # The quantile of the scores of the rows of fit is another.
    assert own > 0.25


@pytest.mark.parametrize("contamination", [0.01, 0.1, 1 / 3, 0.5])
def test_contamination_is_that_of_the_rows_of_fit(contamination):
    detector = OutlierVAE(contamination, **LINEAR)
    n_found = (detector.fit_predict(MIXED) == -1).sum()
    assert abs(n_found - contamination * len(MIXED)) <= 0.5


def test_odd_rows_are_found():
    found = OutlierVAE(1 / 11, **LINEAR).fit_predict(MIXED)
    assert (found[LABELS == -1] == -1).mean() > 0.7
    assert (found[LABELS == 1] == -1).mean() < 0.05


# Robustness.


ROBUST = {**SMALL, "max_iter": 5}


def test_training_withstands_odd_rows():
    """Odd rows that have much in common, which a model learns where it can."""
    random = np.random.default_rng(0)
    cluster = random.normal(size=(20, 6)) * 0.3 + 6.0 * np.array([1, -1] * 3)
    rows, labels = np.vstack([X, cluster]), np.repeat([0, 1], [200, 20])
    robust, gaussian = (
        average_precision_score(labels, -model.fit(rows).score_samples(rows))
        for model in (OutlierVAE(0.1, **ROBUST), BalancedVAE(**ROBUST))
    )
    assert robust > 0.95
    assert gaussian < 0.6


def test_wild_cells_move_the_others_little():
    rows = X.copy()
    rows[:10, 0] = 1e6
    changes = []
    for given in ({}, {"likelihood": "auto", "standardize": True}):
        detector = OutlierVAE(0.05, **ROBUST, **given).fit(rows)
        scores = clone(detector).fit(X[10:]).score_samples(X[10:])
        changes.append(np.mean(scores - detector.score_samples(X[10:])))
        if not given:
            assert (detector.predict(rows[:10]) == -1).all()
    assert abs(changes[0]) < 0.2 * changes[1]


# Tables.


@pytest.mark.parametrize("contamination", ["auto", 0.05])
def test_frames_with_categories_and_gaps(contamination):
    frame = table_of(X)
    # Few epochs at a weight of 1 leave the latents as they start.
    detector = OutlierVAE(contamination, beta=0.1, **SMALL).fit(frame)
    found = detector.predict(frame)
    assert 0 < (found == -1).sum() < 40
    cells = detector.set_output(transform="pandas").score_cells(frame)
    assert cells.columns.tolist() == frame.columns.tolist()
    assert (cells.isna().sum() == 0).all()
    assert (cells.to_numpy()[frame.isna()] == 0).all()


@pytest.mark.parametrize("contamination", ["auto", 0.05])
@pytest.mark.parametrize("handle_unknown", ["missing", "error"])
def test_category_of_a_single_row_is_no_missing_cell(contamination, handle_unknown):
    frame = table_of(X)
    frame["kind"] = frame["kind"].fillna("low")
    frame.loc[7, "kind"] = "never otherwise"
    frame.iloc[7, :6] = 50.0
    detector = OutlierVAE(contamination, **SMALL, handle_unknown=handle_unknown)
    # A warning that it is new would be an error.
    assert detector.fit_predict(frame)[7] == -1
    assert detector.score_cells(frame)[7, 6] > 3.0


# Weights, order and seeds.


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_weights_are_repetitions_and_order_does_not_matter(contamination):
    random = np.random.default_rng(0)
    weight = random.integers(0, 4, size=len(X))
    detector = OutlierVAE(contamination, **SMALL)
    weighted = clone(detector).fit(X, sample_weight=weight)
    repeated = clone(detector).fit(random.permutation(np.repeat(X, weight, axis=0)))
    assert weighted.offset_ == pytest.approx(repeated.offset_, rel=1e-9)
    assert_allclose(weighted.score_samples(X), repeated.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("seed", [3, np.random.RandomState(3), None])
def test_seed_is_all_that_is_random(seed):
    offsets = []
    for _ in range(2):
        np.random.seed(0)
        given = {**LINEAR, "random_state": pickle.loads(pickle.dumps(seed))}
        offsets.append(OutlierVAE(**given).fit(X).offset_)
    assert offsets[0] == offsets[1]


def test_folds_can_be_spread(fitted):
    with parallel_config(backend="threading"):
        other = OutlierVAE(**SMALL, n_jobs=2).fit(X)
    assert other.offset_ == pytest.approx(fitted.offset_, rel=1e-6)


# Searches and pipelines.


def test_search_by_labels():
    search = GridSearchCV(
        OutlierVAE(0.1, **LINEAR),
        {"beta": [0.5, 1.0], "contamination": [0.05, 0.1]},
        scoring={"auc": "roc_auc", "accuracy": "balanced_accuracy"},
        refit="auc",
        cv=StratifiedKFold(2, shuffle=True, random_state=0),
    ).fit(MIXED, LABELS)
    assert search.best_score_ > 0.9
    accuracy = search.cv_results_["mean_test_accuracy"]
    assert np.isfinite(accuracy).all()
    assert len(set(accuracy)) > 1


def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), OutlierVAE(0.1, **SMALL))
    found = pipeline.fit_predict(MIXED)
    assert (found == -1).sum() == 22
    assert_array_equal(np.sign(pipeline.decision_function(MIXED)), found)


# Messages.


def test_one_row_has_no_held_out_scores():
    rows = np.ones((5, 2))
    with pytest.raises(ValueError, match="needs at least 2 distinct rows of positive"):
        OutlierVAE(**SMALL).fit(rows)


def test_partial_fit_is_not_there(fitted):
    assert not hasattr(fitted, "partial_fit")
    with pytest.raises(AttributeError, match="a threshold needs all rows at once"):
        _ = fitted.partial_fit


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contamination", 0.0),
        ("contamination", 0.6),
        ("contamination", "some"),
        ("false_alarms", 0.0),
        ("n_folds", 1),
        ("n_jobs", 1.5),
    ],
)
def test_parameters_are_checked(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of OutlierVAE must"):
        OutlierVAE(**{name: value}).fit(X)


def test_failed_fit_leaves_the_estimator_as_it_was(fitted):
    detector = clone(fitted).fit(X)
    detector.set_params(balance="running_average")
    with pytest.raises(ValueError, match="has none that is free to move"):
        detector.fit(MIXED)
    assert detector.offset_ == fitted.offset_
