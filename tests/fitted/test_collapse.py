"""Warnings of collapsed models: before a fit where theory is sure, and after it."""

import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

from skvae import BalancedVAE
from skvae.balance import (
    POLICIES,
    BalancePolicy,
    Capacity,
    Constant,
    Cosine,
    FreeBits,
    LearnedVariance,
    Linear,
    Normalized,
    RunningAverage,
    Schedule,
    Wrapper,
    beta_from_loss,
)
from skvae.divergences import MMD
from skvae.exceptions import PosteriorCollapseWarning
from skvae.fitted._collapse import collapsed, subsample
from skvae.fitted._predicted_collapse import linear_bound
from skvae.likelihoods import Gaussian
from skvae.linear._model import LinearModel

WINE = load_wine().data
CANCER = load_breast_cancer().data

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 4, "tol": 1e3, "random_state": 0}
LINEAR = {**SMALL, "hidden_layer_sizes": (), "learning_rate_init": 0.03}

BEFORE, AFTER = "The latents will collapse", "collapsed to the prior"


def warned(X, **params):
    """Messages of a fit, and the fitted model."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vae = BalancedVAE(**{**SMALL, **params}).fit(X)
    assert all(w.category is PosteriorCollapseWarning for w in caught)
    return [str(w.message) for w in caught], vae


def eigenvalues(X):
    return np.linalg.eigvalsh(np.corrcoef(X.T))[::-1]


# --- the classical mistake ------------------------------------------------------------


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_digits])
def test_mean_squared_error_with_a_summed_divergence(load):
    X = load().data
    X = X[:, X.std(axis=0) > 0]
    beta = beta_from_loss(n_features=X.shape[1], n_components=5)
    params = {"n_components": 5, "max_iter": 10, "early_stopping": False}
    params["likelihood"] = "gaussian"
    messages, vae = warned(X, beta=beta, balance="constant", **params)
    assert len(messages) == 2
    assert messages[0].startswith(BEFORE)
    assert f"theta (beta times the decoder's variance) is {beta:.4g}," in messages[0]
    values = eigenvalues(X)
    assert f"as the model sees them, is {values[0]:.4g}," in messages[0]
    keeps = (
        f"A beta below {values[0]:.3g} keeps one latent, below {values[4]:.3g} all 5."
    )
    assert keeps in messages[0]
    assert messages[0].endswith(
        "A mean squared error with a summed KL stands for this theta, half the number "
        "of features; see skvae.balance.beta_from_loss."
    )
    assert messages[1].startswith("The model has collapsed to the prior: its rate is ")
    assert not vae.active_units_.any()


def test_messages_say_what_to_change():
    remedy = (
        r"Lower beta \(now 50\)\. Or use balance='running_average' with beta=1, which "
        r"finds the variance that suits the data\."
    )
    messages, _ = warned(CANCER, n_components=3, beta=50.0, balance="constant")
    assert re.search(rf"{remedy}$", messages[0])
    more = r" skvae\.metrics\.latent_report shows each latent\.$"
    assert re.search(remedy + more, messages[1])


def test_what_is_said_to_keep_latents_keeps_them():
    """The numbers of the message, tried out on a linear model."""
    params = {"n_components": 4, "balance": "constant", "early_stopping": False}
    params = {**LINEAR, **params, "max_iter": 20}
    messages, _ = warned(WINE, beta=13.0, **params)
    one, most = map(
        float, re.search(r"below (\S+) keeps .*below (\S+) all", messages[0]).groups()
    )
    for beta, n_active in [(0.95 * one, 1), (0.95 * most, 4)]:
        found, vae = warned(WINE, beta=beta, **params)
        assert not any(message.startswith(BEFORE) for message in found)
        assert vae.active_units_.sum() == n_active
    assert warned(WINE, beta=1.01 * one, **params)[0][0].startswith(BEFORE)


def test_warning_can_be_filtered_and_leaves_nothing_behind():
    vae = BalancedVAE(3, beta=50.0, balance="constant", **SMALL)
    with pytest.raises(PosteriorCollapseWarning, match=BEFORE):
        vae.fit(CANCER)
    assert not hasattr(vae, "beta_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        assert vae.fit(CANCER).rate_ < 0.1
    assert issubclass(PosteriorCollapseWarning, UserWarning)


# --- silence --------------------------------------------------------------------------


def parquet(name, columns="."):
    def load(folder):
        pd = pytest.importorskip("pandas")
        frame = pd.read_parquet(folder / f"{name}.parquet")
        frame = frame.select_dtypes("number").filter(regex=columns)
        return frame.loc[:, frame.notna().all()].to_numpy(dtype=float)

    return load


def anomaly(name):
    def load(folder):
        with np.load(folder / "anomaly" / f"{name}.npz") as data:
            return data["X"]

    return load


OWN = {
    "wine": load_wine,
    "diabetes": load_diabetes,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
}
SHARED = {
    "cardiotocography": anomaly("cardio"),
    "page blocks": anomaly("pageblocks"),
    "pen digits": anomaly("pendigits"),
    "california housing": parquet("california_housing"),
    "communities and crime": parquet("communities_crime"),
    "gas sensors": parquet("gas_sensor_drift", r"^s\d"),
}


def assert_healthy(X):
    X = X[:1000]
    messages, vae = warned(X[:, X.std(axis=0) > 0])
    assert messages == []
    assert vae.active_units_.mean() > 0.5


@pytest.mark.parametrize("name", OWN)
def test_default_fit_of_a_real_table_is_silent(name):
    assert_healthy(OWN[name]().data)


@pytest.mark.parametrize("name", SHARED)
def test_default_fit_of_a_larger_real_table_is_silent(name, shared_data):
    assert_healthy(SHARED[name](shared_data))


@pytest.mark.parametrize("balance", [name for name in POLICIES if name != "normalized"])
def test_policies_that_keep_latents_are_silent(balance):
    """Warm-ups start without a weight, controllers and variances find one."""
    beta = {"constant": 0.5, "linear": 0.5, "sigmoid": 0.5, "cosine": 0.5}
    beta = {**beta, "cyclical": 0.5}.get(balance, 1.0)
    assert warned(WINE, n_components=4, balance=balance, beta=beta)[0] == []


def test_controller_that_starts_collapsed_is_silent():
    params = {**LINEAR, "max_iter": 30, "n_components": 3, "early_stopping": False}
    messages, vae = warned(WINE, beta=6.0, balance="dynamic", **params)
    assert messages == []
    assert vae.rate_ > 1.0


def test_latents_beyond_the_rank_of_the_rows_do_not_count():
    flat = WINE[:, :2] @ np.random.RandomState(0).standard_normal((2, 8))
    messages, vae = warned(flat, n_components=6, early_stopping=False)
    assert messages == []
    assert vae.n_components_ == 6


@pytest.mark.parametrize("rows", [np.full((60, 3), 2.0), WINE[:1]])
def test_equal_rows_have_nothing_to_say(rows):
    assert warned(rows, n_components=2)[0] == []
    assert warned(rows, n_components=2, balance="constant", beta=1e3)[0] == []


def test_partial_fit_is_on_its_way():
    vae = BalancedVAE(3, beta=50.0, balance="constant", **SMALL)
    assert vae.partial_fit(WINE).beta_ == 50.0


# --- before a fit ---------------------------------------------------------------------


class Elsewhere(BalancePolicy):
    def objective(self, terms, state):
        return terms.distortion + terms.rate


class Halved(Wrapper):
    def objective(self, terms, state):
        return super().objective(terms, state._replace(beta=0.5 * state.beta))


class Step(Schedule):
    warmup = 0.5

    def curve(self, share):
        return 0.0


@pytest.fixture
def bound_of(monkeypatch):
    """What is known before a fit; nothing is trained."""

    class Known(Exception):
        pass

    def bound_of(policy, beta, X=WINE, n_components=4, **params):
        found = []

        def stop(parts, beta, sizes):
            found.append(linear_bound(parts.policy, beta, sizes))
            raise Known

        monkeypatch.setattr("skvae._vae.warn_before_fit", stop)
        vae = BalancedVAE(n_components, beta=beta, balance=policy, **params)
        with pytest.raises(Known):
            vae.set_params(early_stopping=False).fit(X)
        return found[0]

    return bound_of


@pytest.mark.parametrize("policy", [Constant(), Linear(), Cosine(), Step()], ids=repr)
@pytest.mark.parametrize(("beta", "collapses"), [(4.6, False), (4.8, True)])
def test_constant_weights_are_compared_with_the_largest_eigenvalue(
    bound_of, policy, beta, collapses
):
    bound = bound_of(policy, beta)
    values = eigenvalues(WINE)
    assert bound.theta == beta
    assert bound.largest == pytest.approx(values[0]) == bound.beta_for_one
    assert bound.beta_for_all == pytest.approx(values[3])
    assert bound.collapses is collapses


def test_normalized_weight_is_that_in_force(bound_of):
    bound = bound_of(Normalized(), 2.0)
    assert bound.theta == 2.0 * 13 / 4
    assert bound.beta_for_one == pytest.approx(eigenvalues(WINE)[0] * 4 / 13)


def test_theta_has_the_variance_that_was_fixed(bound_of):
    values = eigenvalues(WINE)
    bound = bound_of(Constant(), 10.0, likelihood=Gaussian(variance=0.5))
    assert bound.theta == 5.0
    assert bound.largest == pytest.approx(values[0])
    assert bound.beta_for_one == pytest.approx(2.0 * values[0])
    assert bound.collapses
    # One for each feature: in units of them.
    each = np.linspace(0.5, 2.0, 13)
    bound = bound_of(Constant(), 10.0, likelihood=Gaussian(variance=each))
    scale = np.sqrt(each)
    largest = np.linalg.eigvalsh(np.corrcoef(WINE.T) / np.outer(scale, scale))[-1]
    assert (bound.theta, bound.largest) == (10.0, pytest.approx(largest))


@pytest.mark.parametrize("n_active", [1, 2, 4])
def test_moved_variance_against_the_closed_form(bound_of, n_active):
    """The beta that keeps all of M latents is the last at which all are active."""
    policy = LearnedVariance(scope="shared")
    bound = bound_of(policy, 1e3, n_components=n_active)
    rows = (WINE - WINE.mean(axis=0)) / WINE.std(axis=0)
    model = LinearModel.from_rows(rows, np.ones(len(rows)), n_active)

    def active(beta):
        theta = beta * model.variance_at(beta)
        return (model.eigenvalues > theta * (1.0 + 1e-9)).sum()

    assert active(0.999 * bound.beta_for_all) == n_active
    assert active(1.001 * bound.beta_for_all) == n_active - 1
    assert active(0.999 * bound.beta_for_one) == 1
    assert active(1.001 * bound.beta_for_one) == 0
    assert not bound_of(policy, 0.999 * bound.beta_for_one).collapses
    assert bound_of(policy, 1.001 * bound.beta_for_one).collapses


@pytest.mark.parametrize("scope", ["auto", "feature"])
def test_variance_of_each_feature_has_one_value_without_latents(bound_of, scope):
    policy = RunningAverage(scope=scope)
    one = bound_of(policy, 8.0)
    assert one == bound_of(LearnedVariance(scope="shared"), 8.0)
    # Not standardised they differ, and there is no closed form.
    raw = bound_of(RunningAverage(scope="feature"), 8.0, standardize=False)
    assert raw is None
    shared = bound_of(LearnedVariance(scope="shared"), 8.0, standardize=False)
    assert shared.largest == pytest.approx(
        np.linalg.eigvalsh(np.cov(WINE.T, bias=True))[-1]
    )


@pytest.mark.parametrize(
    ("policy", "params"),
    [
        (Capacity(target=1.0), {}),
        (Linear(policy=Capacity(target=1.0)), {}),
        (FreeBits(), {}),
        ("control", {}),
        ("dynamic", {}),
        ("geco", {}),
        (Elsewhere(), {}),
        (Halved(), {}),
        (Constant(), {"X": np.full((60, 13), 2.0)}),
        (Constant(), {"X": (np.median(WINE, axis=0) < WINE).astype(float)}),
    ],
    ids=repr,
)
def test_without_a_closed_form_nothing_is_said(bound_of, policy, params):
    assert bound_of(policy, 1e3, **params) is None


def test_other_divergences_have_no_closed_form():
    messages, _ = warned(
        WINE, n_components=3, balance="constant", beta=20.0, divergence=MMD()
    )
    assert not any(message.startswith(BEFORE) for message in messages)


def test_safe_weights_cost_no_eigenvalues():
    class Sizes:
        data_variance = variance = None

        def linear_model(self):
            raise AssertionError

    assert linear_bound(RunningAverage(), 1.0, Sizes()) is None


def test_number_of_latents_that_the_columns_can_use():
    random = np.random.RandomState(0)
    flat = random.standard_normal((60, 2)) @ random.standard_normal((2, 6))
    params = {"n_components": 5, "balance": "constant", "early_stopping": False}
    messages, _ = warned(flat, beta=10.0, **params)
    assert re.search(
        r"keeps one latent, below \S+ the 2 that the columns can use\. ", messages[0]
    )
    line = np.outer(random.standard_normal(60), [1.0, 2.0, 3.0])
    messages, _ = warned(line, beta=10.0, **{**params, "n_components": 2})
    assert re.search(r"A beta below 3 keeps one latent\. Lower", messages[0])


# --- after a fit ----------------------------------------------------------------------


def test_most_latents():
    """Two of five are kept by a linear model at this weight."""
    params = {**LINEAR, "max_iter": 20, "early_stopping": False, "balance": "constant"}
    values = eigenvalues(WINE)
    beta = 0.5 * (values[1] + values[2])
    messages, vae = warned(WINE, n_components=5, beta=beta, **params)
    assert messages == [
        "Most latents have collapsed to the prior, 3 of 5: their rate is below 0.01 "
        f"nats on 99% of the rows. Lower beta (now {beta:.4g}). Or use "
        "balance='running_average' with beta=1, which finds the variance that suits "
        "the data. skvae.metrics.latent_report shows each latent."
    ]
    assert vae.active_units_.sum() == 2
    # Of four, half are left.
    assert warned(WINE, n_components=4, beta=beta, **params)[0] == []


def test_few_rows_may_have_nothing_to_say():
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    messages, vae = warned(grid, n_components=1)
    assert vae.rate_ < 0.01
    assert messages == []
    messages, vae = warned(np.tile(grid, (5, 1)), n_components=1)
    assert vae.rate_ < 0.01
    assert len(messages) == 1


def test_rows_of_weight_zero_do_not_count():
    rows = np.concatenate([WINE, np.tile(WINE[0], (60, 1))])
    equal = np.arange(len(rows)) >= len(WINE)
    vae = BalancedVAE(3, beta=50.0, balance="constant", **SMALL)
    # All that is left are equal rows.
    assert vae.fit(rows, sample_weight=equal).rate_ < 0.01
    messages, _ = warned(rows, n_components=3, beta=50.0, balance="constant")
    assert AFTER in messages[1]


REMEDIES = {
    "geco": r"Lower the target of balance, which is a distortion, or train longer\.",
    "control": r"Raise the target of balance, start at a lower beta \(now 1e\+06\), or "
    r"train longer\.",
    "free_bits": r"Lower beta \(now 1e\+06\), or raise the floor of balance\.",
    "running_average": r"Lower beta \(now 1e\+06\): the variance finds the balance by "
    r"itself at beta=1\.",
    "linear": r"Lower beta \(now 1e\+06\)\. Or use balance='running_average' ",
}


@pytest.mark.parametrize("balance", REMEDIES)
def test_remedy_is_that_of_the_policy(balance):
    policy = FreeBits(floor=1e-6) if balance == "free_bits" else balance
    params = {**LINEAR, "max_iter": 15, "early_stopping": False}
    messages, _ = warned(WINE, n_components=3, beta=1e6, balance=policy, **params)
    assert re.search(rf"{AFTER}.* {REMEDIES[balance]}", messages[-1])


def test_column_that_has_nothing_to_share():
    messages, vae = warned(WINE[:, :1], n_components=1)
    assert vae.rate_ < 0.01
    assert len(messages) == 1
    assert (
        "New rows seem to share little of what the columns have in common: use fewer "
        "n_components, or more rows." in messages[0]
    )


def test_collapsed_latents_by_rows():
    kl = np.zeros((200, 3))
    kl[:2, 1] = 5.0
    kl[:3, 2] = 5.0
    weight = np.full(200, 1.0 / 200)
    assert_array_equal(collapsed(kl, weight), [True, True, False])
    assert_array_equal(collapsed(kl + 0.01, weight), [False, False, False])
    weight = np.where(np.arange(200) < 3, 1e-4, 1.0)
    assert_array_equal(collapsed(kl, weight / weight.sum()), [True, True, True])


def test_subsample_is_all_rows_or_some():
    assert_array_equal(subsample(5, 5, seed=0), np.arange(5))
    some = subsample(100, 10, seed=0)
    assert len(set(some)) == 10
    assert (np.diff(some) > 0).all()
    assert_array_equal(some, subsample(100, 10, seed=0))
    assert set(some) != set(subsample(100, 10, seed=1))
