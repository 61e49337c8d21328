"""The lives of a fit: what each starts from, and what it leaves."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.balance import Constant, LearnedVariance, RunningAverage
from skvae.fit import _table
from skvae.fit._fit import Fit
from skvae.fit._pass import Pass
from skvae.fit._prepare import prepare
from skvae.fit._table import CheckedTable
from skvae.learning_rates import Constant as ConstantRate
from skvae.likelihoods import Gaussian
from skvae.networks import MLP

N_ROWS, N_FEATURES = 80, 4


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 2)) @ rng.normal(size=(2, N_FEATURES))
    return 3.0 + X + 0.3 * rng.normal(size=X.shape)


def small(**params):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3}
    return BalancedVAE(2, **{**settings, "random_state": 0, **params})


def table_of(vae, X, weight=None, columns=None):
    return CheckedTable.of(vae, X, weight, columns)


def fresh(vae, X, betas=(1.0,)):
    return Fit.fresh(vae, table_of(vae, X), list(betas))


def warm(vae, X):
    last = vae._fitted
    return Fit.warm(vae, table_of(vae, X, columns=last.view.columns), last)


def first(vae, X):
    return Pass.first(vae, table_of(vae, X))


def resumed(vae, X):
    last = vae._fitted
    return Pass.resumed(vae, table_of(vae, X, columns=last.view.columns), last)


# --- Fresh ----------------------------------------------------------------------------


def test_fresh_holds_out_rows_and_plans_all_epochs(X):
    fit = fresh(small(max_iter=7), X)
    assert fit.spec.n_features == N_FEATURES
    assert fit.spec.n_components == 2
    assert len(fit.prepared.held_out.x) == 8
    assert len(fit.prepared.rows.x) == N_ROWS - 8
    assert fit.plan.n_epochs == 7
    assert fit.plan.patience == 15
    assert fit.state.n_steps == fit.state.n_epochs == 0
    assert fit.sizes.n_replicas == len(fit.replicas)
    # The scaling is that of all rows, held out or not.
    view = fit.prepared.view
    assert_allclose(view.scaling.center, X.mean(axis=0))
    assert_allclose(view.to_model(X).std(axis=0), 1.0)


def test_fresh_has_two_candidates_for_each_beta_where_rows_are_held_out(X):
    fit = fresh(small(), X, [0.5, 2.0])
    expected = [(beta, scope) for beta in (0.5, 2.0) for scope in ("shared", "feature")]
    assert fit.n_candidates == 2
    assert [tuple(replica) for replica in fit.replicas] == expected
    assert len(fit.state.values) == 4
    assert len(fit.train(None)) == 2


def test_without_a_linear_start_there_is_one_candidate(X):
    network = MLP((4,), linear_path=False)
    fit = fresh(small(network=network), X, [0.5, 2.0])
    assert fit.n_candidates == 1
    assert [tuple(replica) for replica in fit.replicas] == [
        *((0.5, "shared"), (2.0, "shared"))
    ]
    # Shared at first: it ends with one for each feature, as the rows that are held out
    # can tell how large each is.
    policy = fit.spec.policy
    begins = policy.update(fit.state.balance, None, 0.1).variance_map.interpolation
    ends = policy.update(fit.state.balance, None, 0.9).variance_map.interpolation
    assert_array_equal(begins, [[0.0], [0.0]])
    assert_array_equal(ends, [[1.0], [1.0]])
    half, two = fit.train(None)
    assert np.ndim(half["variance_"]) == np.ndim(two["variance_"]) == 1


@pytest.mark.parametrize(
    ("params", "scope"),
    [
        ({"early_stopping": False}, "shared"),
        ({"balance": RunningAverage(scope="feature")}, "feature"),
        ({"balance": RunningAverage(scope="auto"), "early_stopping": False}, "shared"),
    ],
    ids=["nothing to judge on", "scope", "nothing to judge a scope on"],
)
def test_fresh_has_one_candidate_where_there_is_no_choice(X, params, scope):
    vae = small(**params)
    before = repr(vae)
    fit = fresh(vae, X)
    assert fit.n_candidates == 1
    assert [tuple(replica) for replica in fit.replicas] == [(1.0, scope)]
    assert fit.spec.policy.scope == scope
    # The settings of the user stay as they are.
    assert repr(vae) == before


def test_fixed_variance_is_not_calibrated(X):
    fit = fresh(small(balance="constant", likelihood=Gaussian(variance=0.5)), X)
    assert fit.n_candidates == 1
    assert fit.calibration is None
    assert fresh(small(balance="constant"), X).calibration is not None


def test_best_candidate_on_the_held_out_rows_is_kept(X):
    alone = {}
    for scope in ("shared", "feature"):
        vae = small(balance=RunningAverage(scope=scope), precision="float64")
        (alone[scope],) = fresh(vae, X).train(None)
    (both,) = fresh(small(precision="float64"), X).train(None)
    assert both["elbo_"] >= max(each["elbo_"] for each in alone.values()) - 0.05
    assert both["_fitted"].values.shape[0] == 1


def test_attributes_are_those_of_the_estimator(X):
    vae = small()
    (attributes,) = fresh(vae, X).train(None)
    vae.fit(X)
    for name, value in attributes.items():
        if name not in ("_fitted", "history_"):
            assert_array_equal(value, getattr(vae, name), err_msg=name)
    assert_array_equal(attributes["_fitted"].values, vae._fitted.values)
    assert attributes["history_"].keys() == vae.history_.keys()


def test_prepare_is_fresh_without_a_start(X):
    vae = small()
    expected = fresh(vae, X).prepared
    found = prepare(vae, table_of(vae, X), [1.0])
    assert torch.equal(found.rows.x, expected.rows.x)
    assert torch.equal(found.held_out.x, expected.held_out.x)
    assert found.jacobian == expected.jacobian


def test_weights_that_are_no_longer_finite_are_an_error(X):
    fit = fresh(small(), X)
    fit.state.values[:] = np.nan
    with pytest.raises(RuntimeError, match=r"Training diverged: .* learning_rate_init"):
        fit.train(None)


# --- partial_fit ----------------------------------------------------------------------


def test_first_pass_is_one_epoch_with_the_candidates_of_fit(X):
    fit = first(small(), X).fit
    assert len(fit.prepared.held_out.x) == 8
    assert len(fit.prepared.rows.x) == N_ROWS - 8
    assert fit.plan.n_epochs == 1
    assert fit.plan.patience is None
    assert isinstance(fit.plan.schedule, ConstantRate)
    assert fit.n_candidates == 2


def test_first_pass_without_held_out_rows(X):
    now = first(small(early_stopping=False), X)
    assert now.fit.prepared.held_out is None
    assert len(now.fit.prepared.rows.x) == N_ROWS
    assert now.fit.n_candidates == 1
    assert not now.kept.is_held_out.any()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_resumed_starts_from_all_that_the_last_call_left(X, early_stopping):
    vae = small(precision="float64", early_stopping=early_stopping).partial_fit(X)
    last, n_models = vae._fitted, 1 + early_stopping
    fit = resumed(vae, X + 0.1).fit
    assert fit.spec is last.spec
    assert fit.n_candidates == len(fit.replicas) == n_models
    assert fit.state.n_epochs == 1
    assert fit.state.values.shape == (n_models, last.values.shape[1])
    for name in ("values", "generator", "floor", "prior"):
        expected = getattr(last.training_state, name)
        assert_array_equal(getattr(fit.state, name), expected)
    if not early_stopping:
        assert_array_equal(fit.state.mean, last.training_state.mean)
        assert_array_equal(fit.state.square, last.training_state.square)
    assert fit.state.n_steps == last.state.n_steps == 1
    assert fit.sizes is None
    # Centre and scale stay those of the last start.
    assert_array_equal(fit.prepared.view.scaling.center, last.view.scaling.center)
    assert fit.prepared.null_model is last.null_model


def test_resumed_trains_on_the_chunk_and_scores_on_the_stream(X):
    vae = small().partial_fit(X[:60])
    now = resumed(vae, X[60:])
    before, kept = vae._fitted.kept.is_held_out, now.kept.is_held_out
    assert 0 < before.sum() <= kept.sum() < 20
    # Of the chunk of 20 rows those that are not held out, and as many of the others.
    n_new = 20 - (kept.sum() - before.sum())
    assert now.fit.prepared.source.n_rows == n_new + 20
    x = now.fit.prepared.source.source.x
    assert len(np.unique(x, axis=0)) == len(x)
    assert_allclose(now.fit.prepared.source.source.weight, 1 / len(x))
    assert len(now.fit.prepared.rows.x) == (~kept).sum()
    assert len(now.fit.prepared.held_out.x) == kept.sum()
    assert_allclose(now.kept.weight, np.ones(N_ROWS))


def test_rows_that_the_chunk_has_are_not_replayed(X):
    vae = small(early_stopping=False).partial_fit(X)
    for chunk, n_rows in ((X, N_ROWS), (X[:50], 80), (X[:20], 40)):
        source = resumed(vae, chunk).fit.prepared.source
        assert source.n_rows == n_rows
        assert len(np.unique(source.source.x, axis=0)) == n_rows


def test_rows_that_would_be_few_beside_a_chunk_are_not_replayed(X):
    vae = small(early_stopping=False).partial_fit(X)
    rng = np.random.default_rng(0)
    for n_rows, n_replayed in ((16 * N_ROWS, N_ROWS), (16 * N_ROWS + 1, 0)):
        now = resumed(vae, rng.normal(size=(n_rows, N_FEATURES)))
        assert now.fit.prepared.source.n_rows == n_rows + n_replayed


def test_anew_trains_as_long_as_what_it_competes_with(X):
    vae = small(max_iter=5).partial_fit(X)
    last = vae._fitted
    now = Pass.anew(vae, last, last.kept, 70)
    assert now.n_steps == now.fit.plan.steps_per_epoch == 70
    assert now.fit.plan.n_epochs == 1
    found = now.train()["_fitted"]
    assert found.state.n_steps == 70
    # Schedules go on.
    assert found.state.n_epochs == 2


def test_resumed_leaves_what_it_starts_from(X):
    vae = small().partial_fit(X)
    before = vae._fitted.values.copy(), vae._fitted.state.n_epochs
    attributes = resumed(vae, X).train()
    assert_array_equal(vae._fitted.values, before[0])
    assert vae._fitted.state.n_epochs == before[1]
    assert attributes["_fitted"].state.n_epochs == 2
    assert attributes["n_iter_"] == 2


def test_resumed_keeps_a_variance_for_each_feature(X):
    vae = small(balance=LearnedVariance(scope="feature")).fit(X)
    now = resumed(vae, X)
    assert now.fit.replicas == [(1.0, "feature")]
    assert now.train()["variance_"].shape == (N_FEATURES,)


# --- Warm -----------------------------------------------------------------------------


def test_warm_starts_from_weights_and_scaling_alone(X):
    vae = small().fit(X)
    last = vae._fitted
    fit = warm(vae, 2.0 * X + 1.0)
    assert_array_equal(fit.prepared.view.scaling.center, last.view.scaling.center)
    assert_array_equal(fit.prepared.view.scaling.scale, last.view.scaling.scale)
    assert fit.n_candidates == 2
    for values in fit.state.values:
        assert_array_equal(values, last.values[0])
    assert fit.state.n_steps == 0
    assert fit.state.mean is None
    assert fit.spec is not last.spec
    assert fit.plan.n_epochs == 2


def test_warm_takes_settings_as_they_are_now(X):
    vae = small().fit(X)
    vae.set_params(beta=3.0, max_iter=5, balance="constant")
    fit = warm(vae, X)
    assert [replica.beta for replica in fit.replicas] == [3.0]
    assert isinstance(fit.spec.policy, Constant)
    assert fit.plan.n_epochs == 5


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"likelihood": "laplace"}, "whose likelihood was Gaussian.* is now Laplace"),
        ({"hidden_layer_sizes": (5,)}, "their shapes are .* now ask for"),
        ({"n_components": 3}, "their shapes are .* now ask for"),
    ],
)
def test_warm_needs_a_model_of_the_same_shapes(X, changes, match):
    vae = small(likelihood="gaussian").fit(X).set_params(**changes)
    with pytest.raises(ValueError, match=match):
        warm(vae, X)


# --- Work that is done once -----------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """How often the table was admitted, and how often searched for missing cells."""
    counts = dict.fromkeys(("admit", "columns_with_gaps"), 0)

    def count(owner, name):
        function = getattr(owner, name)

        def counted(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(Gaussian, "admit")
    count(_table, "columns_with_gaps")
    return counts


@pytest.mark.parametrize("has_gaps", [False, True])
def test_each_life_admits_and_searches_the_table_once(X, calls, has_gaps):
    X = X.copy()
    if has_gaps:
        X[::7, 1] = np.nan
    once = {"admit": 1, "columns_with_gaps": 1}
    vae = small(likelihood="gaussian", warm_start=True)
    for method in (vae.fit, vae.fit, vae.partial_fit):
        calls.update(dict.fromkeys(calls, 0))
        method(X)
        assert calls == once
    calls.update(dict.fromkeys(calls, 0))
    small(likelihood="gaussian").partial_fit(X)
    assert calls == once
