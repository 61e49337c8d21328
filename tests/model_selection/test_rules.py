"""Rules that choose a model: on curves made by hand, and in searches."""

import copy
import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE
from skvae.metrics import neg_rate_scorer, rate_distortion_scoring
from skvae.model_selection import (
    RefitRule,
    knee,
    one_standard_error,
    target_distortion,
    target_rate,
)
from skvae.model_selection._rules import knee_of

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)

RULES = {
    "knee()": knee,
    "one_standard_error()": one_standard_error,
    "target_rate(nats=2.0)": lambda: target_rate(2.0),
    "target_rate(nats=2.0, tol=0.5)": lambda: target_rate(2.0, tol=0.5),
    "target_distortion(nats=7)": lambda: target_distortion(7),
}


def results_of(rate, distortion, spread=1.0, n_folds=4, **others):
    """Results of a search whose best elbo has `spread` as its standard error."""
    rate, distortion = np.array(rate, float), np.array(distortion, float)
    elbo = -(rate + distortion)
    # Centred, with a standard deviation (of a sample) of sqrt(n_folds).
    noise = np.linspace(-1.0, 1.0, n_folds)
    noise *= np.sqrt(n_folds) / noise.std(ddof=1)
    return {
        "mean_test_elbo": elbo,
        "mean_test_neg_rate": -rate,
        "mean_test_neg_distortion": -distortion,
        **{f"split{k}_test_elbo": elbo + spread * z for k, z in enumerate(noise)},
        **others,
    }


# From full collapse to overfitting.
RATE = [0.0, 1.0, 2.0, 4.0, 8.0]
DISTORTION = [12.0, 7.0, 4.0, 3.0, 3.5]
RESULTS = results_of(RATE, DISTORTION)


@pytest.mark.parametrize("name", RULES)
def test_copies_and_repr(name):
    rule = RULES[name]()
    assert repr(rule) == name
    assert isinstance(rule, RefitRule)
    expected = rule(RESULTS)
    assert type(expected) is int
    for copied in (
        pickle.loads(pickle.dumps(rule)),
        copy.deepcopy(rule),
        clone(rule, safe=False),
    ):
        assert copied == rule
        assert hash(copied) == hash(rule)
        assert copied(RESULTS) == expected
    search = GridSearchCV(BalancedVAE(), {"beta": [1.0]}, refit=rule)
    assert f"refit={name}" in repr(search)
    assert clone(search).refit == rule


def test_rules_with_other_settings_differ():
    assert target_rate(2.0) != target_rate(3.0)
    assert target_rate(2.0) != target_distortion(2.0)
    assert knee() != one_standard_error()


@pytest.mark.parametrize("name", RULES)
def test_order_of_the_candidates_does_not_matter(name):
    rule, order = RULES[name](), np.array([3, 0, 4, 2, 1])
    permuted = {key: np.asarray(values)[order] for key, values in RESULTS.items()}
    assert order[rule(permuted)] == rule(RESULTS)


@pytest.mark.parametrize("name", RULES)
def test_fits_that_failed_are_not_chosen(name):
    rule = RULES[name]()
    chosen = rule(RESULTS)
    padded = {
        key: np.concatenate([[np.nan], values, [np.nan]])
        for key, values in RESULTS.items()
    }
    assert rule(padded) == chosen + 1
    padded = {key: np.full(3, np.nan) for key in RESULTS}
    with pytest.raises(ValueError, match="no candidate with finite scores"):
        rule(padded)


@pytest.mark.parametrize("name", RULES)
def test_scores_that_are_not_there(name):
    with pytest.raises(ValueError, match=r"scoring=rate_distortion_scoring\(\)"):
        RULES[name]()({"mean_test_accuracy": np.array([1.0])})


# --- Knee ---------------------------------------------------------------------------


def test_knee_is_farthest_below_the_chord():
    # Below the chord from (0, 12) to (8, 3), as shares: .43, .64, .5, 0.
    assert knee()(RESULTS) == 2
    assert knee_of(np.array(RATE), np.array(DISTORTION)) == 2
    # A circle around (1, 1): the knee is where its slope is that of the chord.
    angle = np.linspace(0.0, np.pi / 2, 19)
    assert knee_of(1.0 - np.cos(angle), 1.0 - np.sin(angle)) == 9


def test_knee_does_not_depend_on_units():
    rate, distortion = np.array(RATE), np.array(DISTORTION)
    assert knee_of(1e3 * rate, 1e-3 * distortion - 50.0) == 2


def test_knee_of_a_plateau_is_its_start():
    rate = np.arange(6.0)
    for tilt in (-1e-3, 0.0, 1e-3):
        distortion = np.array([10.0, 5.0, 1.0, 1.0, 1.0, 1.0])
        distortion[3:] += tilt * np.arange(1.0, 4.0)
        assert knee_of(rate, distortion) == 2


def test_knee_is_not_worse_in_both_than_another():
    # The fourth would be farthest below, but for the third.
    rate = np.array([0.0, 8.0, 2.0, 2.1])
    distortion = np.array([12.0, 3.0, 4.0, 4.1])
    assert knee_of(rate, distortion) == 2
    # Two of the same rate.
    rate = np.array([0.0, 2.0, 2.0, 8.0])
    distortion = np.array([12.0, 5.0, 4.0, 3.0])
    assert knee_of(rate, distortion) == 2


@pytest.mark.parametrize(
    ("rate", "distortion", "best"),
    [
        ([1.0], [1.0], 0),
        ([0.0, 1.0], [3.0, 0.0], 1),
        ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0], 0),  # straight
        ([0.0, 1.0, 2.0], [2.0, 1.9, -1.0], 2),  # above the chord
        ([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], 0),  # more rate does not help
        ([1.0, 1.0, 1.0], [2.0, 1.0, 0.0], 2),  # all at one rate
    ],
)
def test_curve_without_a_knee(rate, distortion, best):
    assert knee_of(np.array(rate), np.array(distortion)) is None
    message = f"curve of {len(rate)} candidates has no knee; the one with the best elbo"
    with pytest.warns(UserWarning, match=message) as caught:
        assert knee()(results_of(rate, distortion)) == best
    assert caught[0].filename == __file__


# --- One standard error -------------------------------------------------------------


@pytest.mark.parametrize(
    ("spread", "chosen"), [(0.0, 2), (1.9, 2), (2.1, 1), (6.1, 0), (5.9, 1)]
)
def test_lowest_rate_within_one_standard_error(spread, chosen):
    # The elbos are -12, -8, -6, -7 and -11.5.
    assert one_standard_error()(results_of(RATE, DISTORTION, spread)) == chosen


@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_standard_error_is_that_of_the_mean_over_folds(n_folds):
    for spread, chosen in [(1.99, 2), (2.01, 1)]:
        results = results_of(RATE, DISTORTION, spread, n_folds)
        assert one_standard_error()(results) == chosen


def test_only_the_error_of_the_best_counts():
    results = results_of(RATE, DISTORTION, 0.1)
    for k in range(4):
        results[f"split{k}_test_elbo"][[0, 1, 3, 4]] += 100.0 * (k - 1.5)
    assert one_standard_error()(results) == 2


def test_equally_simple_candidates():
    results = results_of([2.0, 1.0, 1.0, 1.0], [4.0, 6.0, 5.5, 5.8], 2.0)
    assert one_standard_error()(results) == 2


def test_largest_beta_where_there_is_no_rate():
    elbo = RESULTS["mean_test_elbo"]
    results = {
        "mean_test_score": elbo,
        "split0_test_score": elbo - 2.1,
        "split1_test_score": elbo + 2.1,
        "param_beta": np.ma.array([10.0, 3.0, 1.0, 0.3, 0.1], mask=False),
    }
    assert one_standard_error()(results) == 1
    del results["param_beta"]
    with pytest.raises(ValueError, match="one_standard_error needs the rate of each"):
        one_standard_error()(results)


# --- Targets ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nats", "chosen"), [(0, 0), (0.4, 0), (0.6, 1), (2.9, 2), (3.1, 3), (8.0, 4)]
)
def test_closest_rate(nats, chosen):
    assert target_rate(nats)(RESULTS) == chosen


@pytest.mark.parametrize(
    ("nats", "chosen"), [(12.0, 0), (9.4, 1), (5.0, 2), (3.4, 4), (3.0, 3)]
)
def test_closest_distortion(nats, chosen):
    assert target_distortion(nats)(RESULTS) == chosen


def test_distortion_below_zero():
    results = results_of(RATE, np.array(DISTORTION) - 10.0)
    assert target_distortion(-6.1)(results) == 2


def test_best_elbo_of_equally_close_candidates():
    # As many latents or layers, at nearly the same rate.
    results = results_of([1.0, 2.0, 2.2, 2.4, 3.0], [7.0, 6.0, 4.0, 3.0, 2.0])
    assert target_rate(2.0)(results) == 1
    assert target_rate(2.0, tol=0.3)(results) == 2
    assert target_rate(2.0, tol=0.5)(results) == 3
    assert target_rate(2.1)(results_of([2.0, 2.2], [6.0, 4.0])) == 1
    assert target_distortion(4.0, tol=2.5)(results) == 4


@pytest.mark.parametrize(
    ("rule", "chosen", "message"),
    [
        (
            target_rate(20.0),
            4,
            "A rate of 20 nats per row is out of reach: the candidates have 0 to 8. "
            "The closest is taken, with 8. Search smaller betas.",
        ),
        (
            target_distortion(20.0),
            0,
            "A distortion of 20 nats per row is out of reach: the candidates have 3 to "
            "12. The closest is taken, with 12. Search larger betas.",
        ),
        (
            target_distortion(-2.5, tol=1.0),
            3,
            "A distortion of -2.5 nats per row is out of reach: the candidates have 3 "
            "to 12. The closest is taken, with 3. Search smaller betas.",
        ),
    ],
)
def test_target_out_of_reach(rule, chosen, message):
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        assert rule(RESULTS) == chosen
    assert caught[0].filename == __file__


def test_rate_below_all():
    results = results_of([1.0, 2.0], [7.0, 5.0])
    with pytest.warns(UserWarning, match=r"with 1\. Search larger betas"):
        assert target_rate(0.5)(results) == 0
    assert target_rate(0.5, tol=0.5)(results) == 0


@pytest.mark.parametrize("nats", [-1.0, np.nan, np.inf, "2", None])
def test_rate_that_cannot_be(nats):
    message = (
        "nats of target_rate must be a finite number of at least 0, in nats per row, "
        f"got {nats!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        target_rate(nats)


@pytest.mark.parametrize("nats", [np.nan, np.inf, "2", None])
def test_distortion_that_cannot_be(nats):
    message = (
        "nats of target_distortion must be a finite number, in nats per row, "
        f"got {nats!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        target_distortion(nats)


@pytest.mark.parametrize("tol", [-1.0, np.nan, "2"])
@pytest.mark.parametrize("rule", [target_rate, target_distortion])
def test_tolerance_that_cannot_be(rule, tol):
    message = (
        f"tol of {rule.__name__} must be a finite number of at least 0, in nats per "
        f"row, got {tol!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        rule(1.0, tol=tol)


# --- The knee itself -----------------------------------------------------------------

CURVE_RATE = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
# The chord falls by 10 over 8: the second point is 6.75 below it, the third 7.5.
CURVE_DISTORTION = np.array([10.0, 2.0, 0.0, 0.0, 0.0])


def test_index_is_farthest_below_the_chord():
    assert knee_of(CURVE_RATE, CURVE_DISTORTION) == 2


def test_order_and_units_do_not_matter():
    order = np.array([3, 2, 0, 4, 1])
    assert knee_of(CURVE_RATE[order], CURVE_DISTORTION[order]) == 1
    assert knee_of(1e3 * CURVE_RATE + 7.0, 1e-3 * CURVE_DISTORTION - 7.0) == 2


def test_curve_that_turns_up_at_its_end():
    assert knee_of(np.array([0.0, 1.0, 2.0]), np.array([0.0, -1.0, 1.0])) == 1
    worse = np.append(CURVE_DISTORTION, 50.0)
    assert knee_of(np.append(CURVE_RATE, 9.0), worse) == 2


@pytest.mark.parametrize(
    ("rate", "distortion"),
    [
        ([1.0], [1.0]),
        ([0.0, 1.0], [1.0, 0.0]),
        ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0]),  # straight
        ([0.0, 1.0, 2.0], [2.0, 1.9, 0.0]),  # above the chord
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]),  # more rate does not help
        ([1.0, 1.0, 1.0], [2.0, 1.0, 0.0]),  # all at one rate
    ],
)
def test_curves_without_a_knee(rate, distortion):
    assert knee_of(np.array(rate), np.array(distortion)) is None


# --- In searches --------------------------------------------------------------------

BETAS = [0.1, 0.3, 1.0, 3.0, 30.0]
CV = KFold(3, shuffle=True, random_state=0)
X = load_breast_cancer().data[::3]


@pytest.fixture(scope="module")
def vae():
    return BalancedVAE(
        4,
        balance="constant",
        hidden_layer_sizes=(),
        max_iter=3,
        tol=1e3,
        early_stopping=False,
        random_state=0,
    )


@pytest.fixture(scope="module")
def results(vae):
    search = GridSearchCV(
        vae, {"beta": BETAS}, cv=CV, scoring=rate_distortion_scoring(), refit=False
    )
    return search.fit(X).cv_results_


@may_collapse
def test_curve_of_a_real_search(results):
    rate = -results["mean_test_neg_rate"]
    assert (np.diff(rate) < 0.0).all()
    assert rate[-1] < 0.1
    best = results["mean_test_elbo"].argmax()
    # The knee and the rule prefer shorter codes than the elbo does.
    assert BETAS[best] < BETAS[one_standard_error()(results)] < BETAS[-1]
    assert BETAS[best] < BETAS[knee()(results)] < BETAS[-1]
    assert target_rate(rate[1] + 0.01)(results) == 1
    assert target_distortion(-results["mean_test_neg_distortion"][3])(results) == 3


@may_collapse
@pytest.mark.parametrize("rule", [knee(), one_standard_error(), target_rate(3.0)])
def test_refit(vae, results, rule):
    chosen = rule(results)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), vae),
        {"balancedvae__beta": BETAS},
        cv=CV,
        scoring=rate_distortion_scoring(),
        refit=rule,
    ).fit(X)
    # Not the scores: a scaler's Jacobian is not included. But the rates agree.
    assert search.best_index_ == chosen
    assert search.best_params_ == {"balancedvae__beta": BETAS[chosen]}
    assert search.best_estimator_[-1].beta_ == BETAS[chosen]
    assert search.transform(X).shape == (len(X), 4)


@may_collapse
def test_refit_with_the_default_score(vae, results):
    search = GridSearchCV(vae, {"beta": BETAS}, cv=CV, refit=one_standard_error()).fit(
        X
    )
    assert search.best_index_ == one_standard_error()(results)


def test_search_over_several_parameters(vae):
    search = RandomizedSearchCV(
        vae,
        {"beta": [0.3, 1.0, 3.0], "n_components": [2, 4]},
        n_iter=6,
        cv=CV,
        scoring=rate_distortion_scoring(),
        refit=target_rate(2.0, tol=0.3),
        random_state=0,
    ).fit(X)
    rate = -search.cv_results_["mean_test_neg_rate"]
    elbo = search.cv_results_["mean_test_elbo"]
    off = np.maximum(np.abs(rate - 2.0), 0.3)
    assert off[search.best_index_] == off.min()
    assert elbo[search.best_index_] == elbo[off == off.min()].max()
    for rule in (knee(), one_standard_error()):
        chosen = rule(search.cv_results_)
        # No other candidate is better in both rate and distortion.
        distortion = -search.cv_results_["mean_test_neg_distortion"]
        assert not ((rate < rate[chosen]) & (distortion < distortion[chosen])).any(), (
            rule
        )


def test_search_that_did_not_score_the_curve(vae):
    search = GridSearchCV(
        vae, {"beta": BETAS[:2]}, cv=CV, scoring=neg_rate_scorer, refit=knee()
    )
    message = "knee needs 'mean_test_neg_rate' in cv_results, got 'mean_test_score'"
    with pytest.raises(ValueError, match=message):
        search.fit(X)
