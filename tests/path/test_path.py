"""Models along a path of betas: the grid, the batched runs and the closed form."""

import math

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
)

from skvae import BalancedVAE, beta_path
from skvae.balance import LearnedVariance, RunningAverage
from skvae.displays import RateDistortionDisplay
from skvae.likelihoods import Gaussian
from skvae.linear._model import LinearModel
from skvae.metrics import rate_distortion_scoring
from skvae.networks import MLP
from skvae.path._path import BetaPath
from skvae.path._runs import fit_betas

X = load_breast_cancer().data[:, :8]
FOLDS = KFold(3, shuffle=True, random_state=0)
SMALL = {
    "n_components": 2,
    "hidden_layer_sizes": (6,),
    "max_iter": 8,
    "n_iter_no_change": 3,
    "tol": 1.0,
    "precision": "float64",
    "random_state": 0,
}
BETAS = [0.1, 1.0, 4.0]
ARRAYS = (
    "rate",
    "distortion",
    "elbo",
    "active_units",
    "n_iter",
    "is_complete",
    "models",
)


@pytest.fixture(scope="module")
def folds():
    """A path over test folds with the default balance."""
    return beta_path(X, betas=BETAS, cv=FOLDS, **SMALL)


# The models.


@pytest.mark.parametrize("balance", ["constant", "running_average"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_models_are_those_of_separate_fits(balance, early_stopping):
    params = SMALL | {"balance": balance, "early_stopping": early_stopping}
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    path = beta_path(X, betas=BETAS, sample_weight=weight, **params)
    assert isinstance(path, BetaPath)
    assert_array_equal(path.betas, BETAS)
    for i, beta in enumerate(BETAS):
        alone = BalancedVAE(beta=beta, **params).fit(X, sample_weight=weight)
        model = path.models[i]
        assert model.get_params() == alone.get_params()
        assert model.n_iter_ == alone.n_iter_
        assert vars(model).keys() == vars(alone).keys()
        assert_allclose(model.transform(X), alone.transform(X), rtol=1e-9, atol=1e-9)
        assert path.rate[i] == pytest.approx(alone.rate_, rel=1e-9)
        assert path.distortion[i] == pytest.approx(alone.distortion_, rel=1e-9)
        assert path.elbo[i] == pytest.approx(alone.elbo_, rel=1e-9)
        assert path.active_units[i] == alone.active_units_.sum()
    for name in (*ARRAYS, "fit_time", "score_time"):
        assert getattr(path, name).shape == (3,), name
    assert (path.fit_time > 0.0).all()
    assert repr(path) == "<BetaPath of 3 models, beta from 0.1 to 4>"


def test_models_go_on_as_those_of_separate_fits():
    model = beta_path(X, betas=BETAS, early_stopping=True, **SMALL).models[1]
    alone = BalancedVAE(beta=1.0, early_stopping=True, **SMALL).fit(X)
    assert model.n_iter_ == alone.n_iter_
    # Both know at which of the planned steps they are, but not of the same noise:
    # that of a path has been drawn for as long as its last model trained.
    assert model._fitted.state.n_epochs == alone._fitted.state.n_epochs
    assert np.isfinite(model.partial_fit(X).elbo_)


def test_folds_score_as_a_grid_search(folds):
    search = GridSearchCV(
        BalancedVAE(**SMALL),
        {"beta": BETAS},
        cv=FOLDS,
        scoring=rate_distortion_scoring(),
        refit=False,
    ).fit(X)
    for name, values in {
        "elbo": folds.elbo,
        "neg_rate": -folds.rate,
        "neg_distortion": -folds.distortion,
        "active_units": folds.active_units,
    }.items():
        splits = [search.cv_results_[f"split{i}_test_{name}"] for i in range(3)]
        assert_allclose(values, np.transpose(splits), rtol=1e-9, err_msg=name)
    for name in (*ARRAYS, "fit_time", "score_time"):
        assert getattr(folds, name).shape == (3, 3), name
    assert repr(folds) == "<BetaPath of 3 x 3 models, beta from 0.1 to 4>"
    (_, test), *_ = FOLDS.split(X)
    assert folds.models[2, 0].beta == 4.0
    assert folds.models[2, 0].score(X[test]) == pytest.approx(folds.elbo[2, 0])


def test_models_of_folds_are_those_of_separate_fits():
    rows, kind = X[:400], np.arange(400) % 7 == 0
    params = SMALL | {"max_iter": 12, "random_state": 3}
    weight = np.random.default_rng(0).integers(0, 3, len(rows)).astype(float)
    # Folds of classes differ in size by a few rows.
    splits = list(StratifiedKFold(3).split(rows, kind))
    path = beta_path(rows, betas=BETAS, cv=splits, sample_weight=weight, **params)
    for fold, (train, _) in enumerate(splits):
        for model, beta in zip(path.models[:, fold], BETAS, strict=True):
            alone = BalancedVAE(beta=beta, **params)
            alone.fit(rows[train], sample_weight=weight[train])
            assert repr(model) == repr(alone)
            assert model.n_iter_ == alone.n_iter_
            assert vars(model).keys() == vars(alone).keys()
            codes = alone.transform(rows)
            assert_allclose(model.transform(rows), codes, rtol=1e-9, atol=1e-9)
            assert model.elbo_ == pytest.approx(alone.elbo_, rel=1e-9)


def test_threads_change_nothing_but_rounding(folds):
    with joblib.parallel_config("threading"):
        found = beta_path(X, betas=BETAS, cv=FOLDS, n_jobs=2, **SMALL)
    for name in ARRAYS[:-1]:
        # A thread of joblib may get fewer threads for its products.
        assert_allclose(getattr(found, name), getattr(folds, name), 1e-9, err_msg=name)


def test_one_fold_of_a_path_is_a_path(folds):
    first = folds.fold(0)
    assert_array_equal(first.betas, folds.betas)
    for name in ARRAYS:
        assert_array_equal(getattr(first, name), getattr(folds, name)[:, 0])


def test_folds_do_not_depend_on_n_jobs(folds):
    other = beta_path(X, betas=BETAS, cv=FOLDS, n_jobs=2, **SMALL)
    for name in ARRAYS[:-1]:
        found, expected = getattr(other, name), getattr(folds, name)
        assert_allclose(found, expected, rtol=1e-9, err_msg=name)


def test_weights_are_repetition_in_folds():
    rng = np.random.default_rng(0)
    rows, group = X[:90], np.repeat([0, 1, 2], 30)
    weight = rng.integers(0, 3, 90)
    logo, params = LeaveOneGroupOut(), SMALL | {"max_iter": 3, "n_iter_no_change": 2}
    repeated, groups = np.repeat(rows, weight, axis=0), np.repeat(group, weight)
    one = beta_path(
        rows,
        betas=3,
        cv=logo.split(rows, groups=group),
        sample_weight=weight,
        **params,
    )
    other = beta_path(
        repeated, betas=3, cv=logo.split(repeated, groups=groups), **params
    )
    assert_array_equal(one.betas, other.betas)
    assert_allclose(one.elbo, other.elbo, rtol=1e-12)
    unweighted = beta_path(
        rows, betas=one.betas, cv=logo.split(rows, groups=group), **params
    )
    assert not np.allclose(one.elbo, unweighted.elbo, rtol=1e-3)


def test_frames_stay_frames():
    frame = pd.DataFrame(X[:90]).add_prefix("column ")
    path = beta_path(frame, betas=2, cv=2, **SMALL)
    for model in path.models.flat:
        assert list(model.feature_names_in_) == list(frame)
        assert isinstance(model.sample(2, random_state=0), pd.DataFrame)


@pytest.mark.parametrize("balance", ["constant", "running_average"])
def test_models_of_a_halved_path_are_those_of_the_full_one(balance):
    params = SMALL | {"balance": balance, "max_iter": 10, "n_iter_no_change": 10}
    betas = [8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.1]
    full = beta_path(X, betas=betas, **params)
    halved = beta_path(X, betas=betas, halving=True, **params)
    assert full.is_complete.all()
    assert full.n_iter.tolist() == [10] * 7
    assert_array_equal(halved.n_iter == 10, halved.is_complete)
    assert set(halved.n_iter[~halved.is_complete]) == {1, 2}
    assert halved.elbo.argmax() in np.flatnonzero(halved.is_complete)
    for one, other, n_iter in zip(
        halved.models, full.models, halved.n_iter, strict=True
    ):
        assert one.n_iter_ == n_iter
        assert one.history_["elbo"].shape == (n_iter,)
        if n_iter == 10:
            codes = other.transform(X)
            assert_allclose(one.transform(X), codes, rtol=1e-9, atol=1e-9)
        assert np.isfinite(one.partial_fit(X).elbo_)


def test_halving_needs_held_out_rows():
    with pytest.raises(ValueError, match="halving=True compares betas by the elbo of"):
        beta_path(X, betas=BETAS, halving=True, **SMALL, early_stopping=False)


def test_display_draws_a_path(folds):
    for path in (folds, folds.fold(0)):
        display = RateDistortionDisplay.from_path(path)
        assert_array_equal(display.rate, path.rate)
        assert_array_equal(display.betas, BETAS)


def test_progress_is_printed(capsys):
    beta_path(X, betas=2, **SMALL)
    assert capsys.readouterr().out == ""
    beta_path(X, betas=2, verbose=1, **SMALL)
    assert "epoch 1/8" in capsys.readouterr().out


# The betas.


def rows_of(eigenvalues, n_rows=64):
    """Rows of mean zero and maximum-likelihood covariance diag(eigenvalues)."""
    normal = np.random.default_rng(0).normal(size=(n_rows, len(eigenvalues)))
    basis = np.linalg.qr(np.column_stack([np.ones(n_rows), normal]))[0][:, 1:]
    return math.sqrt(n_rows) * basis * np.sqrt(eigenvalues)


EIGENVALUES = [4.0, 2.0, 1.0, 0.5, 0.25, 0.25]
LINEAR = {
    "n_components": 6,
    "balance": "constant",
    "network": MLP((), linear_path=False),
    "likelihood": Gaussian(variance=1.0),
    "standardize": False,
    "early_stopping": False,
    "learning_rate_init": 0.05,
    "batch_size": 64,
    "max_iter": 60,
    "precision": "float64",
    "random_state": 0,
}


def first_of_grid(rows, sample_weight=None, **params):
    return grid_of(rows, sample_weight, **params)[0]


def grid_of(rows, sample_weight=None, **params):
    """Betas that a path takes by default."""
    from skvae.path._beta_grid import beta_grid

    return beta_grid(BalancedVAE(**params), rows, sample_weight, 20)


def test_grid_is_log_spaced_from_full_collapse():
    betas = grid_of(rows_of(EIGENVALUES), **LINEAR)
    assert len(betas) == 20
    assert 4.0 <= betas[0] < 4.0 * 1.002
    assert betas[-1] == pytest.approx(1e-3 * betas[0], rel=1e-3)
    assert_allclose(np.diff(np.log(betas)), np.log(1e-3) / 19, atol=1e-3)
    # The weight that the balance reports in float32 is that of the grid.
    assert [float(str(np.float32(beta))) for beta in betas] == betas.tolist()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"likelihood": Gaussian(variance=0.5)}, 8.0),
        ({"likelihood": Gaussian(variance=[4.0, 2.0, 1.0, 0.5, 0.25, 0.05])}, 5.0),
        # All columns have variance one, and nothing in common.
        ({"standardize": True}, 1.0),
        # A variance that is moved ends at that of the columns, 8 / 6 in the mean.
        ({"likelihood": "gaussian", "balance": LearnedVariance("shared")}, 3.0),
        ({"likelihood": "gaussian", "balance": RunningAverage("feature")}, 1.0),
        ({"likelihood": "gaussian", "balance": RunningAverage("auto")}, 3.0),
        # Its beta is multiplied by six features for two latents.
        ({"balance": "normalized", "n_components": 2}, 4.0 / 3.0),
    ],
)
def test_grid_starts_where_a_linear_model_collapses(params, expected):
    first = first_of_grid(rows_of(EIGENVALUES), **{**LINEAR, **params})
    assert expected * (1.0 - 1e-12) <= first < expected * 1.002


def test_grid_sees_weights():
    rows = rows_of(EIGENVALUES)
    weight = np.random.default_rng(1).integers(0, 3, len(rows))
    repeated = np.repeat(rows, weight, axis=0)
    covariance = np.cov(repeated, rowvar=False, ddof=0)
    first = first_of_grid(rows, weight, **LINEAR)
    largest = np.linalg.eigvalsh(covariance)[-1]
    assert largest <= first < largest * 1.002
    assert first == first_of_grid(repeated, **LINEAR)
    assert first == first_of_grid(repeated[::-1], **LINEAR)


def test_grid_where_there_is_no_closed_form():
    binary = (rows_of(EIGENVALUES) > 0.0).astype(float)
    betas = grid_of(binary)
    assert (betas[0], betas[-1]) == pytest.approx((10.0, 0.01))
    # Rows that are all equal have no eigenvalue to start at.
    assert first_of_grid(np.ones((60, 3))) == 10.0


def test_given_betas_are_taken_in_their_order():
    betas = [1.0, 0.123456789, 3.0]
    path = beta_path(X, betas=betas, **SMALL)
    assert path.betas.tolist() == betas
    assert [model.beta for model in path.models] == betas


# The closed form.


def test_linear_path_lies_on_the_rate_distortion_curve():
    rows = rows_of(EIGENVALUES)
    closed = LinearModel.from_rows(rows, np.ones(len(rows)), 6)
    betas = [4.2, 3.0, 1.5, 0.9, 0.4, 0.3, 0.15, 0.1]
    path = beta_path(rows, betas=betas, **LINEAR)
    for i, beta in enumerate(betas):
        model = path.models[i]
        # With the variance that it was trained with.
        assert model.variance_ == 1.0
        error = 2.0 * path.distortion[i] - 6 * math.log(2.0 * math.pi)
        assert error == pytest.approx(closed.squared_error(beta), rel=0.01)
        assert path.rate[i] == pytest.approx(closed.rate(beta), rel=0.01, abs=0.01)
        assert path.active_units[i] == np.sum(np.array(EIGENVALUES) > beta)
    assert path.active_units[0] == 0
    assert path.active_units[-1] == 6


def test_latents_switch_off_at_their_eigenvalue():
    # A share of 1 - theta / l of the variance of an active latent's posterior mean is
    # left, and "active" asks for 0.01 of it.
    eigenvalues = np.array(EIGENVALUES)
    betas = [share * value for value in (4.0, 2.0, 0.5) for share in (0.95, 1.05)]
    path = beta_path(rows_of(EIGENVALUES), betas=betas, **LINEAR)
    assert_array_equal(
        path.active_units, [np.sum(eigenvalues > beta) for beta in betas]
    )
    assert_array_equal(path.active_units, [1, 0, 2, 1, 4, 3])


# Errors.


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"betas": 0}, ValueError, "'betas' parameter of beta_path must be an int"),
        ({"betas": "all"}, ValueError, "'betas' parameter of beta_path must be"),
        ({"betas": []}, ValueError, "a list of at least one finite number, got \\[\\]"),
        ({"betas": [[1.0]]}, ValueError, "a list of at least one finite number"),
        ({"betas": [np.nan]}, ValueError, "a list of at least one finite number"),
        ({"betas": [1.0, -2.0]}, ValueError, "must not be negative, got -2:"),
        ({"beta": 1.0}, TypeError, "takes the weights of the rate as betas, not as"),
        ({"max_iter": -1}, ValueError, "'max_iter' parameter of BalancedVAE must be"),
        ({"cv": "five"}, ValueError, "'cv' parameter of beta_path must be"),
        ({"halving": 1.5}, ValueError, "'halving' parameter of beta_path must be"),
        ({"n_jobs": 1.5}, ValueError, "'n_jobs' parameter of beta_path must be"),
        ({"hidden": (3,)}, TypeError, "unexpected keyword argument 'hidden'"),
        (
            {"divergence": "importance_weighted", "balance": "constant"},
            ValueError,
            "with beta=4.0, above 1",
        ),
    ],
)
def test_errors(params, error, message):
    with pytest.raises(error, match=message):
        beta_path(X, **{"betas": BETAS, **SMALL, **params})


def test_grid_of_a_bound_by_several_draws_ends_at_one():
    params = {"divergence": "importance_weighted", "balance": "constant"}
    assert first_of_grid(X, **params) == 1.0
    path = beta_path(X, betas=2, **SMALL, **params)
    assert path.betas[0] == 1.0


def test_betas_of_an_unfitted_estimator():
    vae = BalancedVAE(**SMALL)
    models = fit_betas(vae, X, BETAS).models
    assert [model.beta for model in models] == BETAS
    assert vae.beta == 1.0
    assert not hasattr(vae, "n_iter_")


# --- progress -------------------------------------------------------------------------


class Counter:
    """A callback that counts epochs, and stops after some."""

    def __init__(self, stop_at=None):
        self.stop_at, self.n_epochs, self.events = stop_at, 0, []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.n_epochs += context.task_name == "epoch"
        return self.n_epochs == self.stop_at


TOLD = {
    **{"n_components": 1, "hidden_layer_sizes": (), "max_iter": 4, "tol": 1e3},
    **{"balance": "constant", "early_stopping": False, "random_state": 0},
}


@pytest.mark.parametrize(("cv", "n_runs"), [(None, 1), (2, 2)])
def test_callbacks_hear_of_each_epoch_of_a_run(cv, n_runs):
    told = Counter()
    path = beta_path(X, betas=[0.1, 1.0], cv=cv, callbacks=[told], **TOLD)
    assert told.n_epochs == 4 * n_runs
    assert told.events == ["setup", "teardown"] * n_runs
    silent = beta_path(X, betas=[0.1, 1.0], cv=cv, **TOLD)
    assert_array_equal(path.elbo, silent.elbo)
    path.models.ravel()[0].fit(X)
    assert told.n_epochs == 4 * n_runs


def test_monitor_scores_the_best_model_of_a_run():
    callback = pytest.importorskip("sklearn.callback", reason="new in 1.9")

    def elbo(model, X, y=None):
        seen.append(model.score(X))
        return seen[-1]

    seen, monitor = [], callback.ScoringMonitor(scoring={"elbo": elbo})
    path = beta_path(X, betas=[0.1, 1.0], cv=2, callbacks=[monitor], **TOLD)
    # Of four epochs and of the whole, for each fold.
    assert len(seen) == 10
    for fold, (train, _) in enumerate(KFold(2).split(X)):
        best = max(path.models[:, fold], key=lambda model: model.elbo_)
        assert seen[5 * fold + 4] == pytest.approx(best.score(X[train]))


def test_callback_stops_all_models_of_a_run():
    path = beta_path(X, betas=[0.1, 1.0], callbacks=[Counter(stop_at=2)], **TOLD)
    assert [model.n_iter_ for model in path.models] == [2, 2]


def test_verbose_path_says_how_far_it_is(capsys):
    path = beta_path(X, betas=[0.1, 1.0], verbose=1, **TOLD)
    best = max(model.elbo_ for model in path.models)
    shown = f"[BalancedVAE] epoch 4/4: elbo {best:.4g} nats per row"
    assert shown in capsys.readouterr().out
