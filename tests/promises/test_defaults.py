"""What the default settings promise on real tables."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE, BalancedVAECV
from skvae.balance import (
    POLICIES,
    Linear,
    Normalized,
    OptimalVariance,
    RunningAverage,
)
from skvae.likelihoods import Gaussian

WINE = load_wine().data

# The tolerance says that few epochs are meant to be enough.
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 4, "tol": 1e3, "random_state": 0}


# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


def at_the_start(n_components, seed, X):
    """The default before the first step."""
    vae = BalancedVAE(
        n_components,
        learning_rate_init=1e-30,
        max_iter=2,
        tol=1e3,
        random_state=seed,
    )
    return vae.fit(X)


@pytest.mark.parametrize(("load", "seed"), [(load_wine, 0), (load_breast_cancer, 1)])
def test_training_does_not_fall_below_its_start(load, seed):
    X = load().data
    vae = BalancedVAE(3, max_iter=12, tol=1e3, random_state=seed).fit(X)
    # The noise that judges an epoch is not that of the report.
    assert vae.elbo_ > at_the_start(3, seed, X).elbo_ - 0.05


def score_in_x(model, X_train, X_test):
    """Mean log-likelihood of new rows in the units of X."""
    pipeline = make_pipeline(StandardScaler(), model).fit(X_train)
    return pipeline.score(X_test) - np.log(pipeline[0].scale_).sum()


def scores(X, n_components, seed, **params):
    """Score of the default, and of the linear models, on new rows."""
    train, test = train_test_split(X, test_size=0.2, random_state=seed)
    vae = BalancedVAE(n_components, random_state=seed, **params).fit(train)
    return [
        vae.score(test),
        score_in_x(PCA(n_components), train, test),
        score_in_x(FactorAnalysis(n_components, max_iter=2000), train, test),
    ]


def test_short_default_is_not_below_the_linear_models():
    X = load_breast_cancer().data
    found = [scores(X, 5, seed, max_iter=6, tol=1e3) for seed in range(3)]
    vae, pca, analysis = np.mean(found, axis=0)
    assert vae > max(pca, analysis)


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_default_is_not_below_the_linear_models(load):
    X = load().data
    found = [scores(X, 5, seed) for seed in range(3)]
    vae, pca, analysis = np.mean(found, axis=0)
    assert vae > max(pca, analysis)


def fitted_with(balance, likelihood, X=WINE):
    vae = BalancedVAE(3, balance=balance, likelihood=likelihood, **SHORT)
    return vae.fit(X)


@pytest.mark.parametrize(
    "likelihood",
    [
        "poisson",
        Gaussian(variance=0.5),
        [(Gaussian(variance=0.5), slice(0, 3)), ("poisson", slice(3, 13))],
    ],
    ids=repr,
)
def test_auto_is_constant_where_no_variance_is_free(likelihood):
    X = np.round(WINE)
    auto = fitted_with("auto", likelihood, X)
    constant = fitted_with("constant", likelihood, X)
    assert repr(auto._fitted.spec.policy) == "Constant()"
    assert_array_equal(auto.transform(X), constant.transform(X))
    assert auto.balance == "auto"


def test_auto_is_the_running_average_where_one_is():
    auto, named = (fitted_with(name, "auto") for name in ("auto", "running_average"))
    assert repr(auto._fitted.spec.policy) == "RunningAverage()"
    assert_array_equal(auto.transform(WINE), named.transform(WINE))


def test_search_over_betas_has_the_default_balance():
    binary = (np.median(WINE, axis=0) < WINE).astype(float)
    search = BalancedVAECV([1.0, 0.5], cv=2, n_components=2, **SHORT).fit(binary)
    assert search.balance == "auto"
    assert search.beta_ in (1.0, 0.5)
    assert search.variance_ is None
    with pytest.raises(ValueError, match="has none that is free to move"):
        search.set_params(balance="running_average", likelihood="bernoulli").fit(binary)


def test_better_of_two_models_is_kept():
    candidates = {}
    for scope in ("auto", "shared", "feature"):
        balance = RunningAverage(scope=scope)
        candidates[scope] = BalancedVAE(3, balance=balance, **SHORT).fit(WINE)
    best = max(candidates["shared"].elbo_, candidates["feature"].elbo_)
    # The candidate that starts shared has not the same variance at the end.
    assert candidates["auto"].elbo_ > best - 0.1
    assert candidates["auto"].history_["rate"].shape == (4,)
    assert len(candidates["auto"]._fitted.values) == 1
    for name in ("variance_", "theta_"):
        assert np.shape(getattr(candidates["auto"], name)) == (13,)


@pytest.mark.parametrize("variant", ["ema", "ema_min", "ratchet"])
def test_without_held_out_rows_auto_is_shared(variant):
    def fitted(scope):
        balance = RunningAverage(scope=scope, variant=variant)
        vae = BalancedVAE(3, balance=Linear(policy=balance), **SHORT)
        return vae.set_params(early_stopping=False).fit(WINE)

    auto, shared = fitted("auto"), fitted("shared")
    assert_array_equal(auto.transform(WINE), shared.transform(WINE))
    for name in ("variance_", "theta_"):
        assert type(getattr(auto, name)) is float
        assert getattr(auto, name) == getattr(shared, name)
    # What the user passed stays as it is.
    assert auto.balance.policy.scope == "auto"


def test_partial_fit_goes_on_with_a_variance_for_each_feature():
    vae = BalancedVAE(3, **SHORT).fit(WINE)
    before, variance = vae.score(WINE), vae.variance_
    vae.set_params(learning_rate_init=1e-9).partial_fit(WINE)
    assert vae.variance_.shape == (13,)
    # Now it is the training error, on all rows.
    assert vae.score(WINE) == pytest.approx(before, abs=0.3)
    assert_allclose(vae.variance_, variance, rtol=0.5)


@pytest.mark.parametrize(
    "balance",
    [
        RunningAverage(source="validation"),
        OptimalVariance(source="validation"),
        Linear(policy=RunningAverage(source="validation")),
    ],
    ids=repr,
)
def test_variance_from_held_out_rows_needs_some(balance):
    match = (
        rf"balance={re.escape(repr(balance))} takes the variance from held-out rows, "
        r"but none are held out here\. Use source='auto', or fit with "
        r"early_stopping=True\."
    )
    vae = BalancedVAE(3, balance=balance, early_stopping=False, **SHORT)
    for method in (vae.fit, vae.partial_fit):
        with pytest.raises(ValueError, match=match):
            method(WINE)
    # The remedies work.
    assert np.isfinite(vae.set_params(early_stopping=True).fit(WINE).elbo_)


def test_source_decides_whose_error_is_the_variance():
    found = {}
    for source in ("train", "validation", "auto"):
        balance = OptimalVariance("feature", source=source)
        found[source] = BalancedVAE(3, balance=balance, **SHORT).fit(WINE)
    auto, validation = found["auto"], found["validation"]
    assert_array_equal(auto.transform(WINE), validation.transform(WINE))
    first, last = 0, -1
    variance = {name: vae.history_["variance"] for name, vae in found.items()}
    # They are asked at the end of an epoch.
    assert variance["train"][first] == variance["auto"][first]
    assert variance["train"][last] != variance["auto"][last]


@pytest.mark.parametrize("balance", list(POLICIES))
@may_collapse
def test_units_do_not_matter(balance):
    X, other = WINE, 1000.0 * WINE + 7.0
    params = {**SHORT, "balance": balance, "precision": "float64"}
    one = BalancedVAE(3, **params).fit(X)
    same = BalancedVAE(3, **params).fit(other)
    assert_allclose(same.transform(other), one.transform(X), atol=1e-3)
    assert same.rate_ == pytest.approx(one.rate_, rel=1e-4)
    assert same.beta_ == pytest.approx(one.beta_, rel=1e-4)
    nats = 13 * np.log(1000.0)
    assert same.distortion_ == pytest.approx(one.distortion_ + nats, rel=1e-5)


@pytest.mark.parametrize("batch_size", ["auto", 50])
def test_weights_are_repetition_and_order_is_nothing(batch_size):
    times = 1 + np.arange(len(WINE)) % 3
    params = {**SHORT, "batch_size": batch_size}
    weighted = BalancedVAE(3, **params).fit(WINE, sample_weight=times)
    repeated = WINE.repeat(times, axis=0)
    shuffled = repeated[np.random.RandomState(0).permutation(len(repeated))]
    for rows in (repeated, shuffled):
        vae = BalancedVAE(3, **params).fit(rows)
        assert_array_equal(vae._fitted.values, weighted._fitted.values)
        assert_array_equal(vae.variance_, weighted.variance_)
        assert vae.elbo_ == weighted.elbo_


def test_betas_together_are_each_alone():
    """Replicas of several betas, each with two candidates."""
    from skvae.fit._fit import Fit
    from skvae.fit._table import CheckedTable

    def fitted(betas):
        vae = BalancedVAE(3, precision="float64", **SHORT)
        return Fit.fresh(vae, CheckedTable.of(vae, WINE, None), betas).train(None)

    together = fitted([0.5, 1.0, 4.0])
    assert len(together) == 3
    for beta, one in zip([0.5, 1.0, 4.0], together, strict=True):
        (alone,) = fitted([beta])
        assert one["beta_"] == alone["beta_"] == beta
        assert one["n_iter_"] == alone["n_iter_"]
        # Adam takes steps of the same size along what is rounding alone.
        close = {"atol": 1e-5, "rtol": 1e-5}
        assert_allclose(one["_fitted"].values, alone["_fitted"].values, **close)
        for name in ("variance_", "theta_", "elbo_"):
            assert_allclose(one[name], alone[name], err_msg=name, **close)
    assert together[0]["rate_"] > together[2]["rate_"] + 0.5


def test_start_is_that_of_the_weight_in_force():
    params = {"precision": "float64", "learning_rate_init": 1e-20, **SHORT}
    beta = 0.2 * 13 / 3
    for one, other in (
        (Normalized(), "constant"),
        (Linear(policy=Normalized()), "constant"),
    ):
        found = BalancedVAE(3, balance=one, beta=0.2, **params).fit(WINE)
        expected = BalancedVAE(3, balance=other, beta=beta, **params).fit(WINE)
        assert_allclose(found.transform(WINE), expected.transform(WINE), atol=1e-6)


def test_warm_start_of_two_models_side_by_side():
    vae = BalancedVAE(3, warm_start=True, **SHORT).fit(WINE)
    before, elbo = vae.transform(WINE), vae.elbo_
    vae.set_params(learning_rate_init=1e-20).fit(WINE)
    assert_allclose(vae.transform(WINE), before, atol=1e-6)
    assert vae.elbo_ == pytest.approx(elbo, abs=0.05)


def test_rare_value_of_a_column_is_not_a_certainty():
    """Constant but for one row in a thousand: nobody has seen that it is predicted."""
    random = np.random.RandomState(0)
    X = random.standard_normal((2000, 2)) @ random.standard_normal((2, 6))
    X += 0.3 * random.standard_normal(X.shape)
    rare = np.zeros(len(X))
    rare[[3, 700]] = 1.0
    table = np.column_stack([X, rare])
    for seed in range(2):
        params = {**SHORT, "random_state": seed, "batch_size": 256, "max_iter": 2}
        # As many latents as there are factors: none is left to hold the column alone.
        vae = BalancedVAE(2, likelihood="gaussian", **params).fit(table)
        # In units of the column's own variance.
        assert vae.variance_[-1] > 0.1
        odd = table[:50].copy()
        odd[:, -1] = 1.0
        # Ten thousand nats would drown whatever else is odd in a row.
        assert vae.score_cells(odd)[:, -1].max() < 1e4


@pytest.mark.slow
def test_rare_values_of_a_real_table(shared_data):
    with np.load(shared_data / "anomaly" / "cardio.npz") as data:
        X = data["X"]
    vae = BalancedVAE(5, max_iter=20, tol=1e3, random_state=0).fit(X)
    spread = (X - X.mean(axis=0)) / X.std(axis=0)
    is_rare = np.square(np.square(spread)).mean(axis=0) > 200.0
    assert is_rare.any()
    assert vae.variance_[is_rare].min() > 0.1
