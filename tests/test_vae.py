"""What `BalancedVAE` learns and reports, and how long it trains."""

import math
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid
from sklearn.utils import check_random_state

from skvae import BalancedVAE
from skvae.balance import (
    POLICIES,
    Constant,
    LearnedVariance,
    Linear,
    OptimalVariance,
    RunningAverage,
)
from skvae.data._canonical import canonical_rows
from skvae.divergences import KL
from skvae.exceptions import PosteriorCollapseWarning
from skvae.fit._plan import held_out
from skvae.fit._progress import Report
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.networks import MLP

X = load_wine().data
N_ROWS, N_FEATURES = X.shape
BINARY = (np.median(X, axis=0) < X).astype(float)

# The tolerance says that two epochs are meant to be enough.
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}

# From a random start there is more to learn.
RANDOM = MLP((8,), linear_path=False)

# These ask for more weight, or have less to say, than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)

HISTORY = {
    "rate",
    "distortion",
    "elbo",
    "objective",
    "beta",
    "variance",
    "theta",
    "learning_rate",
}
VALIDATION = {"validation_rate", "validation_distortion", "validation_elbo"}


def fit(X=X, **params):
    return BalancedVAE(**{**SMALL, **params}).fit(X)


@pytest.fixture
def n_steps(monkeypatch):
    """Count optimiser steps; a list of one number."""
    from skvae.training._optimizer import Adam

    count, step = [0], Adam.step

    def counted(self, *args):
        count[0] += 1
        step(self, *args)

    monkeypatch.setattr(Adam, "step", counted)
    return count


@pytest.fixture
def one_step_an_epoch(monkeypatch):
    """Epochs that cost next to nothing, where their number is what matters."""
    monkeypatch.setattr("skvae.fit._plan._MIN_STEPS_PER_EPOCH", 1)


# --- fitted attributes ---------------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 2, 3, 13, 20, 25])
@may_collapse
def test_number_of_latents(n_features):
    rows = np.random.RandomState(0).standard_normal((12, n_features))
    assert fit(rows).n_components_ == min(10, max(1, n_features // 2))
    assert fit(rows, n_components=3).n_components_ == 3


@pytest.mark.parametrize(
    "params", [{"early_stopping": False}, {"balance": "learned_variance"}]
)
def test_types_of_attributes(params):
    vae = fit(**params)
    assert isinstance(vae.n_components_, int)
    assert isinstance(vae.n_iter_, int)
    assert vae.n_features_in_ == N_FEATURES
    assert not hasattr(vae, "feature_names_in_")
    for name in ("beta_", "theta_", "variance_", "rate_", "distortion_", "elbo_"):
        assert type(getattr(vae, name)) is float, name
    assert vae.active_units_.dtype == bool
    assert vae.active_units_.shape == (vae.n_components_,)


def test_names_of_features():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    vae = fit(frame)
    assert_array_equal(vae.feature_names_in_, ["a", "b", "c"])
    assert_array_equal(
        vae.set_params(n_components=2).fit(frame).get_feature_names_out(),
        ["balancedvae0", "balancedvae1"],
    )


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("balance", list(POLICIES))
def test_history(balance, early_stopping):
    vae = fit(balance=balance, early_stopping=early_stopping, max_iter=3, beta=0.5)
    history = vae.history_
    assert set(history) == (HISTORY | VALIDATION if early_stopping else HISTORY)
    for name, entries in history.items():
        assert entries.shape == (vae.n_iter_,), name
        assert entries.dtype == np.float64, name
        assert np.isfinite(entries).all(), name
    assert_array_equal(history["elbo"], -(history["rate"] + history["distortion"]))
    if early_stopping:
        assert_array_equal(
            history["validation_elbo"],
            -(history["validation_rate"] + history["validation_distortion"]),
        )
    assert_array_equal(history["theta"], history["beta"] * history["variance"])
    assert vae.elbo_ == -(vae.rate_ + vae.distortion_)


@pytest.mark.parametrize("beta", [0.0, 0.3, 4.0])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@may_collapse
def test_objective_of_constant_beta(beta, likelihood):
    data = X if likelihood == "gaussian" else BINARY
    history = fit(data, beta=beta, balance="constant", likelihood=likelihood).history_
    assert_allclose(
        history["objective"], history["distortion"] + beta * history["rate"], rtol=1e-5
    )
    assert_array_equal(history["beta"], np.float32(beta))


def test_objective_of_a_changing_beta():
    # One step an epoch, so that the epoch's entries are those of the step; beta is
    # the one that the step leaves behind.
    settings = {**SMALL, "max_iter": 8, "batch_size": N_ROWS}
    vae = BalancedVAE(**settings, beta=3.0, balance=Linear(warmup=1.0))
    for _ in range(8):
        vae.partial_fit(X)
    history = vae.history_
    before = np.append(0.0, history["beta"][:-1])
    assert_allclose(
        history["objective"],
        history["distortion"] + before * history["rate"],
        rtol=1e-5,
    )


@pytest.mark.parametrize(("start", "warmup"), [(0.0, 0.25), (0.1, 0.5), (2.0, 1.0)])
def test_history_of_a_linear_beta(start, warmup):
    vae = fit(beta=0.8, balance=Linear(start, warmup), max_iter=8)
    done = np.arange(1, 9) / 8
    expected = start + (0.8 - start) * np.minimum(1.0, done / warmup)
    assert_allclose(vae.history_["beta"], expected, rtol=1e-6)
    assert vae.beta_ == pytest.approx(0.8, rel=1e-6)


# Trap 1 of other packages: a beta that is read nowhere.
@pytest.mark.parametrize("balance", list(POLICIES))
@may_collapse
def test_beta_changes_the_encoder(balance):
    free, bound = (fit(beta=beta, balance=balance) for beta in (0.0, 1.0))
    assert np.abs(free.transform(X) - bound.transform(X)).max() > 1e-3


@may_collapse
def test_beta_lowers_the_rate_and_raises_the_error():
    params = {"balance": "constant", "hidden_layer_sizes": (), "early_stopping": False}
    params |= {"max_iter": 12, "learning_rate_init": 0.05}
    models = [fit(beta=beta, **params) for beta in (0.1, 0.5, 2.0, 10.0)]
    rates = [model.rate_ for model in models]
    errors = [model.variance_ for model in models]
    assert (np.diff(rates) < -0.1).all()
    assert (np.diff(errors) > 0.01).all()


def test_beta_changes_the_gradient_of_the_encoder():
    import torch

    from skvae.balance import Sizes
    from skvae.model._module import Module
    from skvae.training import Batch, Differentiator, init

    module = Module(MLP((4,)), Gaussian(), KL(), N_FEATURES, 2)
    rows = torch.tensor((X - X.mean(axis=0)) / X.std(axis=0))
    ones = torch.ones(N_FEATURES, dtype=torch.float64)
    beta, policy = torch.tensor([0.0, 1.0], dtype=torch.float64), Constant()
    sizes = Sizes(2, N_FEATURES, 2, ones[:1], ones)
    state = init(module, policy, sizes, beta, 0.0 * ones, seed=0)
    weights = state.weights
    gradients = {name: torch.empty_like(weight) for name, weight in weights.items()}
    noise = torch.zeros(1, N_ROWS, 2, dtype=torch.float64)
    weight = torch.full((N_ROWS,), 1.0 / N_ROWS, dtype=torch.float64)
    Differentiator(module, policy, state.floor, [])(
        state.balance, weights, gradients, Batch(rows, weight, noise)
    )
    for name, (free, bound) in gradients.items():
        # The rate is the encoder's alone.
        assert torch.allclose(free, bound) != name.startswith("encoder"), name


def test_normalized_beta():
    params = {"n_components": 4, "precision": "float64"}
    vae = fit(beta=0.2, balance="normalized", **params)
    assert vae.beta_ == pytest.approx(0.2 * N_FEATURES / 4, rel=1e-6)
    same = fit(beta=vae.beta_, balance="constant", **params)
    assert_allclose(same.transform(X), vae.transform(X), atol=1e-4)


@pytest.mark.parametrize("policy", [LearnedVariance, OptimalVariance, RunningAverage])
@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_types_of_a_moved_variance(policy, scope):
    vae = fit(balance=policy(scope=scope), beta=2.0)
    for value in (vae.variance_, vae.theta_):
        if scope == "shared":
            assert type(value) is float
        else:
            assert value.shape == (N_FEATURES,)
            assert value.dtype == np.float64
        assert np.all(value > 0.0)
    assert vae.beta_ == 2.0


@pytest.mark.parametrize("scope", ["shared", "feature"])
@pytest.mark.parametrize("early_stopping", [True, False])
@may_collapse
def test_floor_of_the_variance(scope, early_stopping):
    vae = fit(
        balance=OptimalVariance(scope),
        likelihood=Gaussian(floor=4.0),
        early_stopping=early_stopping,
    )
    assert_allclose(vae.variance_, 4.0)
    assert_allclose(vae.theta_, 4.0)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("balance", ["constant", "linear", "normalized"])
@may_collapse
def test_variance_that_nobody_fixed_is_calibrated(balance, early_stopping):
    vae = fit(balance=balance, beta=2.0, early_stopping=early_stopping)
    # One for each feature where held-out rows say so.
    assert np.shape(vae.variance_) == ((N_FEATURES,) if early_stopping else ())
    assert early_stopping or type(vae.variance_) is float
    assert np.all(vae.variance_ != 1.0)
    assert type(vae.theta_) is float
    # While it trained the variance was 1.
    assert vae.theta_ == pytest.approx(vae.beta_)
    assert_array_equal(vae.history_["variance"], 1.0)


@may_collapse
def test_fixed_variance():
    vae = fit(balance="constant", beta=2.0, likelihood=Gaussian(variance=0.5))
    assert vae.variance_ == 0.5
    assert vae.theta_ == 1.0
    each = np.linspace(0.25, 4.0, N_FEATURES)
    vae = fit(balance="constant", beta=2.0, likelihood=Gaussian(variance=each))
    assert_allclose(vae.variance_, each, rtol=1e-6)
    assert_allclose(vae.theta_, 2.0 * each, rtol=1e-6)
    assert vae.variance_.dtype == vae.theta_.dtype == np.float64


@pytest.mark.parametrize("likelihood", ["auto", "bernoulli", Bernoulli()])
def test_no_variance(likelihood):
    balance = "learned_variance" if likelihood == "auto" else "constant"
    vae = fit(BINARY, likelihood=likelihood, balance=balance)
    assert vae.variance_ is None
    assert vae.theta_ is None
    assert vae.beta_ == 1.0
    assert set(np.unique(vae.sample(20, random_state=0))) <= {0.0, 1.0}


def test_auto_likelihood_reads_the_table():
    assert fit(BINARY).variance_ is None
    assert fit(2.0 * BINARY).variance_ is not None
    mixed = np.column_stack([BINARY, X])
    assert fit(mixed).variance_ is not None


@pytest.mark.parametrize("early_stopping", [True, False])
@may_collapse
def test_active_units(early_stopping):
    # Two latents are needed, of six.
    vae = fit(
        n_components=6,
        network=MLP((), linear_path=False),
        learning_rate_init=0.05,
        max_iter=25,
        n_iter_no_change=50,
        batch_size=N_ROWS,
        balance="constant",
        beta=2.0,
        early_stopping=early_stopping,
    )
    seen = X[~held_out_rows(vae)] if early_stopping else X
    spread = vae.transform(seen).var(axis=0)
    assert_array_equal(vae.active_units_, spread > 0.01)
    # A linear model keeps the components of the correlation matrix above theta.
    eigenvalues = PCA().fit((X - X.mean(axis=0)) / X.std(axis=0)).explained_variance_
    assert vae.active_units_.sum() == (eigenvalues > 2.0).sum() == 2


def test_no_active_units():
    params = {"hidden_layer_sizes": (), "learning_rate_init": 0.05, "max_iter": 10}
    with pytest.warns(PosteriorCollapseWarning):
        vae = fit(beta=1e3, balance="constant", **params)
    assert_array_equal(vae.active_units_, False)
    assert vae.rate_ < 0.01


def held_out_rows(vae):
    """Mask of the rows of X that fit held out."""
    seed = check_random_state(0).randint(np.iinfo(np.int32).max)
    index, _ = canonical_rows(X, np.ones(N_ROWS))
    mask = np.zeros(N_ROWS, dtype=bool)
    mask[index[held_out(vae, N_ROWS, np.random.RandomState(seed))]] = True
    return mask


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize(
    "params",
    [{}, {"balance": "constant"}, {"balance": LearnedVariance("feature")}],
    ids=["shared", "constant", "feature"],
)
def test_elbo_is_the_score_of_the_rows_judged_on(params, early_stopping):
    vae = fit(precision="float64", early_stopping=early_stopping, **params)
    judged = X[held_out_rows(vae)] if early_stopping else X
    assert len(judged) == (18 if early_stopping else N_ROWS)
    rate, distortion = vae.rate_distortion(judged)
    assert vae.elbo_ == pytest.approx(vae.score(judged), rel=1e-10)
    assert vae.rate_ == pytest.approx(rate.mean(), rel=1e-10)
    assert vae.distortion_ == pytest.approx(distortion.mean(), rel=1e-10)


@pytest.mark.parametrize("scope", ["shared", "feature"])
@pytest.mark.parametrize("standardize", [True, False])
def test_calibrated_variance_is_the_error_of_the_reconstruction(scope, standardize):
    data = X if standardize else (X - X.mean(axis=0)) / X.std(axis=0)
    vae = fit(
        data,
        balance=LearnedVariance(scope),
        early_stopping=False,
        precision="float64",
        standardize=standardize,
    )
    # E_q of the squared error, from E_q of the negative log-density of each cell.
    nats = vae.score_cells(data)
    if standardize:
        nats = nats - np.log(data.std(axis=0))
    log_variance = np.log(2.0 * np.pi * np.asarray(vae.variance_))
    error = (2.0 * nats - log_variance) * vae.variance_
    expected = error.mean() if scope == "shared" else error.mean(axis=0)
    assert_allclose(vae.variance_, expected, rtol=1e-9)
    # More than the error at the posterior mean, as latents are uncertain.
    back = vae.inverse_transform(vae.transform(data))
    assert np.mean(vae.variance_) > (np.square(data - back) / data.var(axis=0)).mean()


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_calibrated_variance_is_the_best_one(scope):
    vae = fit(balance=LearnedVariance(scope), early_stopping=False, precision="float64")
    best, fitted = vae.score(X), vae._fitted
    for factor in (0.95, 1.05):
        vae._fitted = replace(fitted, variance=factor * fitted.variance)
        assert vae.score(X) < best


# --- how long, and with which weights it ends ----------------------------------------


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "expected"),
    # At least twenty steps an epoch, and never a batch of more rows than there are.
    [(10, "auto", 20), (10, 3, 20), (100, 2, 50), (101, 2, 51), (100, 1000, 20)],
)
def test_number_of_steps(n_steps, n_rows, batch_size, expected):
    params = {"batch_size": batch_size, "early_stopping": False}
    fit(X[:n_rows], **params, max_iter=3)
    assert n_steps == [3 * expected]


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "expected"), [(10, "auto", 1), (10, 3, 4), (100, 2, 50)]
)
def test_number_of_steps_of_partial_fit(n_steps, n_rows, batch_size, expected):
    vae = BalancedVAE(**SMALL, batch_size=batch_size, early_stopping=False)
    for n_calls in (1, 2):
        vae.partial_fit(X[:n_rows])
        assert n_steps == [n_calls * expected]


def test_learning_rate(one_step_an_epoch):
    settings = {"max_iter": 20, "n_iter_no_change": 20, "batch_size": N_ROWS}
    rates = {
        name: fit(learning_rate=name, **settings).history_["learning_rate"]
        for name in ("constant", "cosine", "cyclical", "one_cycle")
    }
    assert_allclose(rates["constant"], 0.003, rtol=1e-6)
    done = np.arange(20) / 20
    expected = 0.003 * 0.5 * (1.0 + np.cos(np.pi * done))
    assert_allclose(rates["cosine"], expected, rtol=1e-5)
    # Four cycles of five epochs, each from its bottom.
    cycle = 0.003 * np.array([0.04, 0.424, 0.808, 0.808, 0.424])
    assert_allclose(rates["cyclical"], np.tile(cycle, 4), rtol=1e-5)
    highest = rates["one_cycle"].argmax()
    assert highest == 6  # 30 % of the steps
    assert rates["one_cycle"][highest] == pytest.approx(0.003, rel=1e-6)
    assert rates["one_cycle"][0] == pytest.approx(0.003 / 25.0, rel=1e-6)
    assert (np.diff(rates["one_cycle"])[:highest] > 0.0).all()
    assert (np.diff(rates["one_cycle"])[highest:] < 0.0).all()
    assert rates["one_cycle"][-1] < 0.003 / 25.0


# A large constant learning rate overfits after a few epochs.
OVERFIT = {
    "n_components": 4,
    "hidden_layer_sizes": (32,),
    "learning_rate": "constant",
    "learning_rate_init": 0.03,
    "random_state": 0,
}


@pytest.mark.filterwarnings("error")
def test_early_stopping_keeps_the_best_weights():
    params = {**OVERFIT, "balance": "learned_variance", "batch_size": N_ROWS}
    vae = BalancedVAE(max_iter=60, n_iter_no_change=20, **params).fit(X)
    elbo = vae.history_["validation_elbo"]
    best = int(elbo.argmax())
    assert vae.n_iter_ == best + 1 + 20 < 60
    assert len(elbo) == vae.n_iter_
    # Judged with other noise, and the variance of all epochs to that of the best one.
    assert vae.elbo_ == pytest.approx(elbo[best], abs=0.2)
    assert vae.elbo_ > elbo[-1] + 0.3
    # With a constant rate, a fit that is planned to end there takes the same steps.
    same = BalancedVAE(max_iter=best + 1, tol=1e3, **params).fit(X)
    assert_array_equal(same.transform(X), vae.transform(X))
    assert same.elbo_ == vae.elbo_


def test_best_weights_are_kept_without_stopping():
    params = {**OVERFIT, "balance": "learned_variance", "tol": 1e3}
    vae = BalancedVAE(max_iter=30, n_iter_no_change=100, **params).fit(X)
    assert vae.n_iter_ == 30
    assert vae.elbo_ > vae.history_["validation_elbo"][-1] + 0.3


def test_last_weights_are_kept_without_held_out_rows():
    params = {**OVERFIT, "early_stopping": False, "tol": 1e3}
    vae = BalancedVAE(max_iter=5, n_iter_no_change=1, **params).fit(X)
    assert vae.n_iter_ == 5
    # The mean over the last epoch is that of weights on their way there.
    assert vae.history_["elbo"][-1] > vae.history_["elbo"][-2]
    assert vae.history_["elbo"][-1] < vae.elbo_ < vae.history_["elbo"][-1] + 1.0


@pytest.mark.parametrize(
    ("n_rows", "early_stopping", "held_out"),
    [(49, "auto", False), (50, "auto", True), (2, True, True), (60, False, False)],
)
def test_when_rows_are_held_out(n_rows, early_stopping, held_out):
    vae = fit(X[:n_rows], early_stopping=early_stopping)
    assert (set(vae.history_) >= VALIDATION) == held_out


def test_equal_rows_are_not_held_out_from_each_other():
    # Forty distinct rows are not enough for "auto", however often they come.
    vae = fit(np.tile(X[:40], (3, 1)))
    assert not set(vae.history_) & VALIDATION


@pytest.mark.parametrize(
    ("balance", "expected"),
    # Nothing improves by the tolerance: training ends one epoch after the first one
    # that is judged, and the start is where nothing has to be waited for.
    [("constant", 1), (Linear(warmup=0.5), 6), (Linear(warmup=0.75), 9)],
)
def test_early_stopping_waits_for_the_schedule(balance, expected):
    vae = fit(balance=balance, max_iter=10, n_iter_no_change=1, tol=1e3)
    assert vae.n_iter_ == expected
    assert vae.beta_ == 1.0
    assert vae.history_["beta"][-1] == 1.0


@may_collapse
def test_weights_of_an_unfinished_schedule_are_not_kept():
    # While beta is low the held-out elbo is best, but the model not the one asked for.
    params = {**OVERFIT, "learning_rate_init": 0.05, "hidden_layer_sizes": ()}
    vae = BalancedVAE(
        beta=8.0, balance=Linear(warmup=0.75), max_iter=16, tol=1e3, **params
    ).fit(X)
    elbo = vae.history_["validation_elbo"]
    assert vae.n_iter_ == 16
    # Twelve epochs are three quarters of sixteen; the twelfth is the first judged.
    assert elbo[:11].max() > elbo[11:].max() + 0.5
    assert vae.elbo_ == pytest.approx(elbo[11:].max(), abs=0.1)
    assert vae.beta_ == 8.0


def test_callback_that_stops_before_the_schedule_ends(monkeypatch):
    report = Report.__call__

    def report_and_stop(self, epoch, record, kept_values):
        report(self, epoch, record, kept_values)
        return epoch == 2

    monkeypatch.setattr(Report, "__call__", report_and_stop)
    params = {**OVERFIT, "max_iter": 10, "tol": 1e3}
    vae = BalancedVAE(balance=Linear(warmup=0.8), **params).fit(X)
    assert vae.n_iter_ == 3
    # What was trained so far, not the start values.
    assert vae.beta_ == 0.375
    last = vae.history_["validation_elbo"][-1]
    assert vae.elbo_ == pytest.approx(last, abs=0.3)


def test_too_short_a_fit_warns():
    with pytest.warns(
        ConvergenceWarning,
        match=r"max_iter=3 epochs, while the elbo still rose by .*Increase",
    ) as seen:
        fit(max_iter=3, tol=1e-4, network=RANDOM)
    assert len(seen) == 1
    assert re.search(r"learning_rate_init \(now 0\.003\)", str(seen[0].message))


def test_single_epoch_warns():
    # There is nothing to compare it with.
    with pytest.warns(
        ConvergenceWarning, match="max_iter=1 epochs, and one epoch tells nothing"
    ):
        fit(max_iter=1)


@pytest.mark.parametrize("early_stopping", ["auto", False])
def test_converged_fit_is_silent(early_stopping):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae = BalancedVAE(
            2,
            hidden_layer_sizes=(),
            learning_rate_init=0.05,
            max_iter=30,
            n_iter_no_change=30,
            early_stopping=early_stopping,
            random_state=0,
        ).fit(X)
    assert vae.n_iter_ == 30


# --- partial_fit and warm_start ------------------------------------------------------


def test_partial_fit_grows_the_history():
    vae = BalancedVAE(**SMALL)
    for n_calls in range(1, 6):
        before = vae.history_ if n_calls > 1 else None
        assert vae.partial_fit(X) is vae
        assert vae.n_iter_ == n_calls
        assert set(vae.history_) == HISTORY
        for name, entries in vae.history_.items():
            assert entries.shape == (n_calls,), name
            if before is not None:
                assert_array_equal(entries[:-1], before[name], err_msg=name)


def test_partial_fit_learns():
    vae = BalancedVAE(2, network=RANDOM, learning_rate_init=0.01, random_state=0)
    first = vae.partial_fit(X).score(X)
    for _ in range(150):
        vae.partial_fit(X)
    assert vae.score(X) > first + 2.0
    back = vae.inverse_transform(vae.transform(X))
    assert 1.0 - (np.square(X - back) / X.var(axis=0)).mean() > 0.3


def test_partial_fit_goes_on_where_it_stopped():
    """One estimator, or one that is copied between the calls."""
    straight, copied = BalancedVAE(**SMALL), BalancedVAE(**SMALL)
    for batch in (X[:60], X[60:120], X[120:]):
        straight.partial_fit(batch)
        fresh = clone(copied)
        vars(fresh).update(vars(copied))
        copied = fresh.partial_fit(batch)
    assert_array_equal(copied.transform(X), straight.transform(X))


def test_partial_fit_scales_by_all_chunks():
    vae = BalancedVAE(**SMALL).partial_fit(X[:60])
    center, scale = vae._fitted.view.scaling.center, vae._fitted.view.scaling.scale
    assert_allclose(center, X[:60].mean(axis=0))
    # The same rows again leave it as it is.
    vae.partial_fit(X[:60])
    assert_array_equal(vae._fitted.view.scaling.scale, scale)
    vae.partial_fit(1000.0 * X[60:])
    rows = np.concatenate([X[:60], X[:60], 1000.0 * X[60:]])
    assert_allclose(vae._fitted.view.scaling.center, rows.mean(axis=0))
    assert_allclose(vae._fitted.view.scaling.scale, rows.std(axis=0))


def test_partial_fit_keeps_the_parts_of_the_first_call():
    vae = BalancedVAE(**SMALL, n_components=2).partial_fit(X)
    vae.set_params(n_components=3, hidden_layer_sizes=(5,)).partial_fit(X)
    assert vae.n_components_ == 2
    assert vae.n_iter_ == 2


def test_precision_may_change_between_calls():
    vae = BalancedVAE(**SMALL, precision="float32").partial_fit(X)
    before = vae.transform(X)
    vae.set_params(precision="float64").partial_fit(X)
    assert vae._fitted.values.dtype == np.float64
    # One small step.
    assert 0.0 < np.abs(vae.transform(X) - before).max() < 0.2


def test_schedule_of_partial_fit():
    vae = BalancedVAE(**{**SMALL, "max_iter": 4}, balance=Linear(warmup=0.5))
    betas = [vae.partial_fit(X).beta_ for _ in range(6)]
    # Half of four calls, and then no further.
    assert betas == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    # It rises at first.
    assert (np.diff(vae.history_["learning_rate"][1:]) > 0.0).all()
    vae = BalancedVAE(**SMALL, learning_rate="constant")
    for _ in range(3):
        vae.partial_fit(X)
    assert_array_equal(vae.history_["learning_rate"], np.float32(0.003))


def test_partial_fit_after_fit_goes_on():
    vae = fit(early_stopping=False)
    before, elbo = vae.transform(X), vae.elbo_
    assert vae.partial_fit(X).n_iter_ == 3
    assert len(vae.history_["elbo"]) == 3
    # One small step from there, not a new start.
    assert 0.0 < np.abs(vae.transform(X) - before).max() < 0.2
    assert vae.elbo_ == pytest.approx(elbo, abs=0.5)


def test_fit_after_partial_fit_starts_anew():
    vae = BalancedVAE(**SMALL).partial_fit(X[:50, :4]).fit(X)
    assert vae.n_iter_ == 2
    assert_array_equal(vae.transform(X), fit().transform(X))


def test_fit_starts_anew_and_warm_start_goes_on():
    cold, warm = (fit(network=RANDOM, warm_start=goes_on) for goes_on in (False, True))
    first = cold.history_["elbo"]
    assert_array_equal(cold.fit(X).history_["elbo"], first)
    assert_array_equal(warm.history_["elbo"], first)
    Z, table = warm.transform(X), warm._fitted.view.scaling
    warm.set_params(learning_rate_init=0.02)
    for _ in range(5):
        warm.fit(X)
    assert warm.n_iter_ == 2
    assert warm.history_["elbo"].shape == (2,)
    assert warm.history_["elbo"][0] > first[-1] + 1.0
    assert np.abs(warm.transform(X) - Z).max() > 0.1
    assert_array_equal(warm._fitted.view.scaling.center, table.center)


def test_random_state():
    assert_array_equal(fit().transform(X), fit().transform(X))
    other = fit(random_state=1)
    assert np.abs(other.transform(X) - fit().transform(X)).max() > 1e-2
    state = np.random.RandomState(0)
    first = fit(random_state=state)
    assert_array_equal(first.transform(X), fit().transform(X))
    # A generator moves on.
    assert (
        np.abs(fit(random_state=state).transform(X) - first.transform(X)).max() > 1e-2
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_precision(precision):
    for network, atol in ((RANDOM, 1e-3), (None, 2e-2)):
        # Close to an optimum Adam takes as large steps along what is rounding alone.
        vae = fit(precision=precision, network=network)
        assert vae._fitted.values.dtype == precision
        double = fit(precision="float64", network=network)
        assert_allclose(vae.transform(X), double.transform(X), atol=atol)


# --- what is printed and what is left alone ------------------------------------------


LINE = re.compile(
    r"\[BalancedVAE\] epoch (\d+)/(\d+): elbo (-?[\d.e+]+) nats per row, "
    r"rate ([\d.]+), (at most \d.* s left|done after \d.* s)"
)


@pytest.mark.parametrize(
    ("verbose", "max_iter", "expected"),
    # One, then one for each tenth or twentieth, or for each epoch if there are fewer.
    [(1, 20, 10), (1, 25, 10), (True, 10, 10), (2, 40, 20), (1, 4, 4), (1, 77, 10)],
)
def test_verbose(capsys, one_step_an_epoch, verbose, max_iter, expected):
    vae = fit(verbose=verbose, max_iter=max_iter, n_iter_no_change=99)
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) == expected
    assert printed.err == ""
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    epochs = [int(match[1]) for match in matches]
    assert epochs == sorted(set(epochs))
    assert epochs[-1] == max_iter
    assert {int(match[2]) for match in matches} == {max_iter}
    assert [match[5][:4] for match in matches] == ["at m"] * (expected - 1) + ["done"]
    # In the units of X, as the history is; the last line is of the model that is kept.
    assert matches[-1][3] == f"{vae.elbo_:.4g}"
    assert matches[-1][4] == f"{vae.rate_:.3g}"
    for match in matches[:-1]:
        elbo = vae.history_["validation_elbo"][int(match[1]) - 1]
        assert float(match[3]) == pytest.approx(elbo, rel=1e-3)


def test_quiet(capfd):
    vae = fit()
    vae.partial_fit(X).score(X)
    vae.sample(2)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


# Trap 6 of other packages: a constructor, or a fit, that changes its arguments.
def test_parameters_are_left_alone():
    given = {
        "n_components": np.int64(2),
        "beta": 2,
        "balance": Linear(warmup=0.5),
        "likelihood": Gaussian(variance=np.ones(N_FEATURES)),
        "divergence": KL(),
        "hidden_layer_sizes": [4],
        "network": MLP([3]),
        "random_state": np.random.RandomState(0),
        "tol": 1e3,
        "max_iter": 2,
    }
    nested = {
        name: dict(vars(given[name]))
        for name in ("balance", "likelihood", "divergence", "network")
    }
    vae = BalancedVAE(**given)
    assert set(vars(vae)) == set(vae.get_params(deep=False))
    for _ in range(2):
        for name, value in given.items():
            assert getattr(vae, name) is value, name
        for name, settings in nested.items():
            assert list(vars(given[name]).items()) == list(settings.items())
        assert given["hidden_layer_sizes"] == [4]
        vae.fit(X)
        vae.partial_fit(X).score(X)


# Traps 4 and 10: packages that seed, filter warnings and write files while they fit.
@may_collapse
def test_nothing_global_is_touched(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    rows = X.copy()

    def state():
        kind, key, place, *rest = np.random.get_state()
        return {
            "numpy": (kind, key.tobytes(), place, *rest),
            "torch": torch.get_rng_state().numpy().tobytes(),
            "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "dtype": torch.get_default_dtype(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "grad": torch.is_grad_enabled(),
            "anomaly": torch.is_anomaly_enabled(),
            "errors of numpy": np.geterr(),
            "filters": list(warnings.filters),
            "files": sorted(tmp_path.rglob("*")),
            "rows": rows.tobytes(),
        }

    before = state()

    def assert_untouched(what):
        after = state()
        changed = [name for name in before if before[name] != after[name]]
        assert not changed, f"{what} changed {changed}"

    vae = BalancedVAE(**SMALL)
    assert_untouched("the constructor")
    for balance in POLICIES:
        vae.set_params(balance=balance).fit(rows)
        assert_untouched(f"fit with balance={balance!r}")
    vae.partial_fit(rows)
    assert_untouched("partial_fit")
    Z = vae.transform(rows)
    vae.inverse_transform(Z)
    vae.score(rows)
    vae.log_likelihood(rows, 3)
    assert_untouched("a method of rows")
    vae.sample(3, random_state=0)
    assert_untouched("sample")
    with pytest.raises(ValueError, match="infinity"):
        vae.fit(np.full((3, 3), np.inf))
    assert_untouched("a fit that failed")


# Trap 9: decoders that end in a sigmoid, and cannot say what a standardized row is.
def test_standardized_rows_can_be_reconstructed():
    rows = (X - X.mean(axis=0)) / X.std(axis=0)
    params = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.03, "tol": 1e3}
    for standardize in (True, False):
        vae = BalancedVAE(
            4, max_iter=15, random_state=0, standardize=standardize, **params
        ).fit(rows)
        back = vae.inverse_transform(vae.transform(rows))
        assert back.min() < -1.5
        assert back.max() > 1.5
        assert 1.0 - np.square(rows - back).mean() > 0.6


def test_schedule_counts_calls_of_partial_fit_whatever_their_size():
    vae = BalancedVAE(
        balance=Linear(),
        max_iter=10,
        batch_size=20,
        hidden_layer_sizes=(),
        n_components=2,
    )
    betas = []
    for n_rows in (150, 20, 150):
        betas.append(vae.partial_fit(X[:n_rows]).beta_)
    # The warm-up takes a quarter of ten calls.
    assert betas == pytest.approx([0.4, 0.8, 1.0])


def test_history_of_partial_fit_after_held_out_rows_is_padded():
    vae = fit(early_stopping=True, max_iter=3, tol=1e3)
    vae.partial_fit(X)
    lengths = {name: len(entries) for name, entries in vae.history_.items()}
    assert set(lengths.values()) == {4}
    assert np.isnan(vae.history_["validation_elbo"]).tolist() == [False] * 3 + [True]
    assert np.isfinite(vae.history_["elbo"]).all()


def test_weight_decay_leaves_the_decoder_variance_alone():
    """It would pull the log-variance to 0, the variance of the column."""
    settings = {
        "hidden_layer_sizes": (),
        "n_components": 2,
        "early_stopping": False,
        "alpha": 1.0,
        "random_state": 0,
        "max_iter": 40,
        "learning_rate_init": 0.05,
    }
    learned, optimal = (
        BalancedVAE(balance=balance, **settings).fit(X)
        for balance in ("learned_variance", "optimal_variance")
    )
    assert learned.theta_ == pytest.approx(optimal.theta_, rel=0.03)


@pytest.mark.parametrize("balance", ["optimal_variance", "running_average"])
def test_uneven_weights_in_small_batches_do_not_shrink_the_variance(balance):
    """A batch's weights sum to 1 only in the mean; its mean error needs its own sum."""
    weight = np.where(np.arange(N_ROWS) % 20 == 0, 200.0, 1.0)
    settings = {
        "balance": balance,
        "hidden_layer_sizes": (),
        "n_components": 2,
        "early_stopping": False,
        "random_state": 0,
        "max_iter": 20,
        "tol": 1e3,
    }
    small, whole = (
        BalancedVAE(batch_size=batch_size, **settings).fit(X, sample_weight=weight)
        for batch_size in (20, N_ROWS)
    )
    assert small.theta_ > 0.5 * whole.theta_


def test_parameters_of_a_part_that_is_a_name():
    vae = BalancedVAE().set_params(balance="linear", balance__warmup=0.25)
    assert vae.balance.warmup == 0.25
    for params in ParameterGrid({"balance": ["linear"], "balance__warmup": [0.1, 0.5]}):
        warmup = clone(vae).set_params(**params).balance.warmup
        assert warmup == params["balance__warmup"]
    with pytest.raises(ValueError, match=r"='auto' has no parameters\. Name one of"):
        BalancedVAE().set_params(balance__warmup=0.25)
    vae = BalancedVAE().set_params(learning_rate="cyclical", learning_rate__n_cycles=2)
    assert vae.learning_rate.n_cycles == 2
    with pytest.raises(
        ValueError, match=r"learning_rate=<.*> has no parameters\. Name"
    ):
        BalancedVAE(learning_rate=math.sqrt).set_params(learning_rate__n_cycles=2)
