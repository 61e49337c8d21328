"""The estimator that finds its own beta."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE, BalancedVAECV, beta_path
from skvae.exceptions import PosteriorCollapseWarning
from skvae.metrics import elbo_scorer, rate_distortion_scoring
from skvae.model_selection import knee, target_rate

X, Y = load_breast_cancer(return_X_y=True)
X = X[:200, :6]
Y = Y[:200]
FOLDS = KFold(3, shuffle=True, random_state=0)
BETAS = [2.0, 1.0, 0.1]
SETTINGS = {
    "n_components": 2,
    "hidden_layer_sizes": (6,),
    "balance": "constant",
    "max_iter": 6,
    "tol": 10.0,
    "precision": "float64",
    "random_state": 0,
}
SMALL = {"betas": BETAS, "cv": FOLDS, **SETTINGS}


@pytest.fixture(scope="module")
def fitted():
    return BalancedVAECV(**SMALL).fit(X)


@pytest.fixture(scope="module")
def search():
    return GridSearchCV(
        BalancedVAE(**SETTINGS),
        {"beta": BETAS},
        cv=FOLDS,
        scoring=rate_distortion_scoring(),
        refit="elbo",
    ).fit(X)


def test_results_are_those_of_a_grid_search(fitted, search):
    found, expected = fitted.cv_results_, search.cv_results_
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if name.endswith("_time"):
            assert (found[name] >= 0.0).all(), name
        elif name == "params":
            assert found[name] == values
        elif name == "param_beta":
            assert isinstance(found[name], np.ma.MaskedArray)
            assert found[name].tolist() == values.tolist()
        else:
            assert_allclose(found[name], values, rtol=1e-9, err_msg=name)
            assert found[name].dtype == values.dtype, name
    assert fitted.best_index_ == search.best_index_
    assert fitted.best_score_ == pytest.approx(search.best_score_, rel=1e-9)
    assert fitted.best_params_ == search.best_params_
    assert fitted.n_splits_ == 3
    assert_array_equal(fitted.betas_, BETAS)


def test_it_is_the_fitted_estimator(fitted):
    alone = BalancedVAE(beta=fitted.beta_, **SETTINGS).fit(X)
    assert fitted.beta_ == fitted.betas_[fitted.best_index_] == fitted.beta
    # All that a fitted one has, and as much of it.
    assert vars(alone).keys() - vars(fitted).keys() == {"beta"}
    assert fitted.n_iter_ == alone.n_iter_
    assert_array_equal(fitted.history_["elbo"], alone.history_["elbo"])
    assert_array_equal(fitted.transform(X), alone.transform(X))
    assert fitted.score(X) == alone.score(X)
    assert_array_equal(
        fitted.sample(3, random_state=0), alone.sample(3, random_state=0)
    )
    assert list(fitted.get_feature_names_out()) == ["balancedvaecv0", "balancedvaecv1"]
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.transform(X), fitted.transform(X))
    assert again.cv_results_.keys() == fitted.cv_results_.keys()


def test_default_grid_is_that_of_the_path():
    params = {**SMALL, "betas": 4}
    vae = BalancedVAECV(**params).fit(X)
    assert vae.path is beta_path
    path = beta_path(X, betas=4, cv=FOLDS, **SETTINGS)
    assert_array_equal(vae.betas_, path.betas)
    assert_array_equal(vae.cv_results_["mean_test_elbo"], path.elbo.mean(axis=1))


def test_beta_is_exact_in_any_precision():
    betas = [0.123456789123, 50.0]
    vae = BalancedVAECV(**{**SMALL, "betas": betas, "precision": "float32"}).fit(X)
    assert vae.beta_ == betas[0]


def test_folds_do_not_depend_on_n_jobs(fitted):
    other = BalancedVAECV(**SMALL, n_jobs=2, scoring=elbo_scorer)
    with parallel_config(backend="threading"):
        other.fit(X)
    for name, values in fitted.cv_results_.items():
        if "_test_" in name:
            found = other.cv_results_[name]
            assert_allclose(found, values, rtol=1e-9, err_msg=name)


# The choice.


@pytest.mark.parametrize("rule", [knee(), target_rate(1.0)])
def test_rules_choose(rule, search):
    vae = BalancedVAECV(**SMALL, refit=rule).fit(X)
    assert vae.best_index_ == rule(search.cv_results_)
    assert vae.beta_ == BETAS[vae.best_index_]
    assert vae.best_score_ == vae.cv_results_["mean_test_elbo"][vae.best_index_]


@pytest.mark.parametrize("index", [3, -1, 1.0])
def test_rule_must_return_an_index(index):
    message = f"the index of one of the 3 betas, from 0 to 2, got {index!r}"
    with pytest.raises(ValueError, match=message):
        BalancedVAECV(**SMALL, refit=lambda results: index).fit(X)


def separation(estimator, X, y):
    """How far apart two classes are in the latents."""
    Z = estimator.transform(X)
    return float(np.abs(Z[y == 0].mean(axis=0) - Z[y == 1].mean(axis=0)).max())


def test_scoring_decides(fitted):
    vae = BalancedVAECV(**SMALL, scoring=separation).fit(X, Y)
    results = vae.cv_results_
    assert vae.best_index_ == np.argmax(results["mean_test_score"])
    assert results["rank_test_score"][vae.best_index_] == 1
    assert vae.best_score_ == results["mean_test_score"].max()
    train, test = next(FOLDS.split(X))
    model = BalancedVAE(beta=BETAS[0], **SETTINGS).fit(X[train])
    expected = separation(model, X[test], Y[test])
    assert results["split0_test_score"][0] == pytest.approx(expected, rel=1e-9)
    # What is always there.
    assert_array_equal(results["mean_test_elbo"], fitted.cv_results_["mean_test_elbo"])


def test_name_of_a_scorer_is_looked_up():
    with pytest.raises(ValueError, match="'no such score' is not a valid"):
        BalancedVAECV(**SMALL, scoring="no such score").fit(X)


def test_score_that_is_not_a_number_is_last():
    def hole(estimator, X, y=None):
        return np.nan if estimator.beta == 1.0 else estimator.beta

    vae = BalancedVAECV(**SMALL, scoring=hole).fit(X)
    assert vae.cv_results_["rank_test_score"].tolist() == [1, 3, 2]
    assert vae.beta_ == 2.0


def test_scoring_of_several_numbers_is_refused():
    with pytest.raises(ValueError, match="scoring must return one number"):
        BalancedVAECV(**SMALL, scoring=rate_distortion_scoring()).fit(X)


# Halving.

HALVED = {
    **SMALL,
    "betas": [8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.1],
    "max_iter": 10,
    "halving": True,
}


@pytest.fixture(scope="module")
def halved():
    return BalancedVAECV(**HALVED).fit(X)


def test_results_tell_how_long_each_beta_was_trained(halved):
    results = halved.cv_results_
    settings = {**SETTINGS, "max_iter": 10}
    path = beta_path(X, betas=HALVED["betas"], cv=FOLDS, halving=True, **settings)
    for fold in range(3):
        n_iter = results[f"split{fold}_n_iter"]
        assert_array_equal(n_iter, path.n_iter[:, fold])
        # Of seven betas, three go on after one epoch, and one after two.
        assert sorted(n_iter) == [1, 1, 1, 1, 2, 2, 10]
    assert_array_equal(results["mean_n_iter"], path.n_iter.mean(axis=1))
    assert_array_equal(results["n_complete"], (path.n_iter == 10).sum(axis=1))
    assert_array_equal(results["mean_test_elbo"], path.elbo.mean(axis=1))


def test_betas_that_no_fold_trained_to_the_end_rank_last(halved):
    results = halved.cv_results_
    is_candidate = results["n_complete"] > 0
    assert 0 < is_candidate.sum() < 7
    for metric in ("elbo", "neg_rate"):
        ranks = results[f"rank_test_{metric}"]
        assert ranks.min() == 1
        assert ranks[is_candidate].max() < ranks[~is_candidate].min()
    # A collapsed model has the least rate, and is no candidate.
    assert results["mean_test_neg_rate"].argmax() not in np.flatnonzero(is_candidate)
    assert is_candidate[halved.best_index_]
    scores = results["mean_test_elbo"]
    assert halved.best_score_ == scores[is_candidate].max()
    assert halved.n_iter_ == 10


def test_rules_choose_among_betas_that_were_trained_to_the_end(halved):
    seen = []

    def last(results):
        seen.append(results)
        return len(results["params"]) - 1

    vae = BalancedVAECV(**HALVED, refit=last).fit(X)
    candidates = np.flatnonzero(halved.cv_results_["n_complete"])
    assert vae.best_index_ == candidates[-1]
    assert vae.beta_ == HALVED["betas"][candidates[-1]]
    (given,) = seen
    assert given.keys() == vae.cv_results_.keys()
    for name, values in given.items():
        assert_array_equal(values, np.take(vae.cv_results_[name], candidates), name)
    n = len(candidates)
    with pytest.raises(ValueError, match=f"of the {n} betas, from 0 to {n - 1}, got 6"):
        BalancedVAECV(**HALVED, refit=lambda results: 6).fit(X)


def test_halving_needs_held_out_rows():
    message = "but none are, with early_stopping=False and 133 distinct rows. Use"
    with pytest.raises(ValueError, match=message):
        BalancedVAECV(**HALVED, early_stopping=False).fit(X)
    with pytest.raises(ValueError, match="early_stopping='auto' and 20 distinct rows"):
        BalancedVAECV(**HALVED).fit(X[:30])


# Weights and metadata.


def test_weights_count_in_folds():
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    vae = BalancedVAECV(**SMALL, scoring=elbo_scorer).fit(X, sample_weight=weight)
    path = beta_path(X, betas=BETAS, cv=FOLDS, sample_weight=weight, **SETTINGS)
    assert_array_equal(vae.cv_results_["mean_test_elbo"], path.elbo.mean(axis=1))
    # The scorer has them too.
    assert_allclose(
        vae.cv_results_["mean_test_score"],
        vae.cv_results_["mean_test_elbo"],
        rtol=1e-12,
    )
    alone = BalancedVAE(beta=vae.beta_, **SETTINGS).fit(X, sample_weight=weight)
    assert_array_equal(vae.transform(X), alone.transform(X))


def test_scorer_without_weights_is_told_of():
    with pytest.raises(ValueError, match="takes no sample_weight, but fit was given"):
        BalancedVAECV(**SMALL, scoring=separation).fit(
            X, Y, sample_weight=np.ones(len(X))
        )


def test_groups_are_routed():
    groups = np.arange(len(X)) % 5
    params = {**SMALL, "cv": GroupKFold(3)}
    with pytest.raises(ValueError, match="only supported if"):
        BalancedVAECV(**params).fit(X, groups=groups)
    weight = np.linspace(0.5, 1.5, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = clone(elbo_scorer).set_score_request(sample_weight=True)
        vae = BalancedVAECV(**params, scoring=scorer)
        vae.set_fit_request(sample_weight=True)
        vae.fit(X, groups=groups, sample_weight=weight)
    splits = list(GroupKFold(3).split(X, groups=groups))
    path = beta_path(X, betas=BETAS, cv=splits, sample_weight=weight, **SETTINGS)
    results = vae.cv_results_
    assert_array_equal(results["mean_test_elbo"], path.elbo.mean(axis=1))
    assert_allclose(results["mean_test_score"], results["mean_test_elbo"], rtol=1e-12)
    assert {"splitter", "scorer"} <= {
        name for name, _ in vae.get_metadata_routing() if name
    }


# The estimator.


def test_settings_are_those_of_balanced_vae():
    own = {"betas", "cv", "scoring", "refit", "n_jobs", "halving"}
    ours = BalancedVAECV().get_params()
    theirs = BalancedVAE().get_params()
    assert ours.keys() - own == theirs.keys() - {"beta"}
    assert {name: ours[name] for name in theirs.keys() - {"beta"}} == {
        name: theirs[name] for name in theirs.keys() - {"beta"}
    }
    assert BalancedVAECV._parameter_constraints.keys() == ours.keys()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"refit": "elbo"}, "'refit' parameter of BalancedVAECV must be"),
        ({"betas": 0}, "'betas' parameter of BalancedVAECV must be"),
        ({"betas": [-1.0]}, "must not be negative, got -1"),
        ({"halving": "yes"}, "'halving' parameter of BalancedVAECV must be"),
        ({"scoring": 3}, "'scoring' parameter of BalancedVAECV must be"),
        ({"max_iter": 0}, "'max_iter' parameter of BalancedVAECV must be"),
    ],
)
def test_settings_are_validated(params, message):
    vae = BalancedVAECV(**{**SMALL, **params})
    with pytest.raises(ValueError, match=message):
        vae.fit(X)
    assert not hasattr(vae, "cv_results_")


def test_unfitted():
    vae = BalancedVAECV()
    with pytest.raises(NotFittedError):
        vae.transform(X)
    assert not hasattr(vae, "beta")
    with pytest.raises(AttributeError, match="no partial_fit: folds need all rows"):
        vae.partial_fit(X)


def test_columns_with_nothing_in_common_need_no_latents():
    noise = np.random.default_rng(0).normal(size=(200, 4))
    vae = BalancedVAECV(**{**SMALL, "betas": [0.1, 20.0]}).fit(noise)
    assert vae.beta_ == 20.0
    assert not vae.active_units_.any()
    # One that is asked for without a comparison gives a warning.
    with pytest.warns(PosteriorCollapseWarning):
        BalancedVAE(beta=20.0, **SETTINGS).fit(noise)


def test_failed_fit_leaves_the_last_one():
    vae = BalancedVAECV(**SMALL).fit(X)
    before = vae.beta_
    with pytest.raises(ValueError, match="greater than the number of samples"):
        vae.fit(X[:2])
    assert vae.beta_ == before
    assert vae.n_features_in_ == 6


def test_warm_start_is_of_the_last_training():
    vae = BalancedVAECV(**SMALL, warm_start=True).fit(X)
    first = vae.cv_results_["mean_test_elbo"]
    vae._fitted = replace(vae._fitted, values=vae._fitted.values + 0.01)
    vae.fit(X)
    # The folds start anew.
    assert_array_equal(vae.cv_results_["mean_test_elbo"], first)
    cold = BalancedVAECV(**SMALL).fit(X)
    assert not np.array_equal(vae.history_["elbo"], cold.history_["elbo"])


def test_in_a_pipeline_on_a_frame():
    frame = pd.DataFrame(X).add_prefix("column ")
    pipeline = make_pipeline(StandardScaler(), BalancedVAECV(**SMALL))
    pipeline.set_output(transform="pandas")
    Z = pipeline.fit_transform(frame)
    assert list(Z.columns) == ["balancedvaecv0", "balancedvaecv1"]
    assert pipeline[-1].feature_names_in_.tolist() == list(frame)


class Told:
    """A callback that writes down whose epochs it is told of, and may stop them."""

    def __init__(self, stop_at=None):
        self.stop_at, self.epochs, self.events = stop_at, [], []

    def setup(self, estimator, context):
        self.events.append(f"setup {type(estimator).__name__}")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.epochs.append(type(estimator).__name__)
        return len(self.epochs) == self.stop_at


def test_callbacks_hear_of_the_path_and_of_the_last_training():
    told, params = Told(), SMALL | {"early_stopping": False}
    vae = BalancedVAECV(**params).set_callbacks(told).fit(X)
    # Each of the three folds is a run.
    assert told.epochs == ["BalancedVAE"] * 6 * 3 + ["BalancedVAECV"] * 6
    assert told.events == [
        *(["setup BalancedVAE", "teardown"] * 3),
        *("setup BalancedVAECV", "teardown"),
    ]
    silent = BalancedVAECV(**params).fit(X)
    assert_array_equal(
        vae.cv_results_["mean_test_elbo"], silent.cv_results_["mean_test_elbo"]
    )
    stopped = Told(stop_at=2)
    BalancedVAECV(**params).set_callbacks(stopped).fit(X)
    assert stopped.epochs == ["BalancedVAE"] * (2 + 6 + 6) + ["BalancedVAECV"] * 6


def test_callbacks_of_a_search_are_not_set_up_for_the_path():
    callback = pytest.importorskip("sklearn.callback", reason="new in 1.9")

    class Propagated(Told):
        max_propagation_depth = None

    assert isinstance(Propagated(), callback.AutoPropagatedCallback)
    told, grid = Propagated(), {"betas": [[2.0, 0.1]]}
    vae = BalancedVAECV(**SMALL | {"early_stopping": False})
    GridSearchCV(vae, grid, cv=2).set_callbacks(told).fit(X)
    assert told.events == ["setup GridSearchCV", "teardown"]
    assert told.epochs == ["BalancedVAECV"] * 6 * 3
