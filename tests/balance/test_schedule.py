"""What all schedules of beta promise, whatever their curve."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from skvae import BalancedVAE
from skvae.balance import (
    Constant,
    Cosine,
    Cyclical,
    LearnedVariance,
    Linear,
    Normalized,
    OptimalVariance,
    RunningAverage,
    Schedule,
    Sigmoid,
)
from skvae.networks import MLP

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


SCHEDULES = [Linear, Sigmoid, Cosine, Cyclical]
RISING = [Linear, Sigmoid, Cosine]
every_schedule = pytest.mark.parametrize("cls", SCHEDULES)


@pytest.mark.parametrize("cls", RISING)
@pytest.mark.parametrize("warmup", [0.3, 1.0])
def test_rises_and_then_is_constant(cls, warmup, beta_at):
    policy = cls(warmup=warmup)
    shares = [step / 100 for step in range(101)]
    betas = [beta_at(policy, share)[1] for share in shares]
    n_rising = round(100 * warmup)
    assert all(a < b for a, b in itertools.pairwise(betas[: n_rising + 1]))
    assert betas[n_rising:] == [4.0] * (101 - n_rising)
    assert policy.settled_at == warmup


# Tables of a cycle's steps had no entry for steps left over by the division.
@every_schedule
def test_any_number_of_steps(cls, beta_at):
    for n_steps in (*range(1, 24), 97, 1009):
        shares = [step / n_steps for step in range(n_steps + 1)]
        betas = [beta_at(cls(warmup=1.0), share)[1] for share in shares]
        assert all(0.0 <= beta <= 4.0 for beta in betas), n_steps
        assert betas[0] < 0.03, n_steps
        assert betas[-1] == 4.0, n_steps


@every_schedule
def test_whole_curve_is_scaled_by_beta(cls, beta_at):
    for warmup in (0.1, 0.3, 0.7, 1.0):
        for share in (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0):
            one, four = beta_at(cls(warmup=warmup), share * warmup)
            assert four == pytest.approx(4.0 * one, rel=1e-14), (warmup, share)


@every_schedule
def test_settles_exactly_where_it_says(cls, beta_at):
    policy = cls(warmup=0.7)
    at = policy.settled_at
    assert 0.0 < at <= 0.7
    assert [beta_at(policy, at + (1.0 - at) * k / 50)[1] for k in range(51)] == [
        4.0
    ] * 51
    assert beta_at(policy, at - 1e-6)[1] < 4.0


@every_schedule
def test_beta_of_the_policy_inside_is_brought_in(cls, make_sizes, make_terms, beta_at):
    # Five features and three latents.
    policy = cls(warmup=0.5, policy=Normalized())
    plain = cls(warmup=0.5)
    for share in (0.0, 0.2, 0.4, 0.9):
        expected = [beta * 5 / 3 for beta in beta_at(plain, share)]
        assert beta_at(policy, share) == pytest.approx(expected, rel=1e-14)
    assert isinstance(policy, Schedule)


@every_schedule
def test_objective_is_at_the_beta_in_force(cls, make_sizes, make_terms):
    policy = cls(warmup=0.5, policy=LearnedVariance())
    terms = make_terms([3.0, 5.0], [2.0, 1.0])
    beta = torch.tensor([1.0, 4.0], dtype=torch.float64)
    state = policy.init_state(beta, make_sizes(2))
    for share in (0.1, 0.3):
        state = policy.update(state, terms, share)
        expected = terms.distortion + state.beta * terms.rate
        torch.testing.assert_close(policy.objective(terms, state), expected)
        assert torch.equal(state.inner.beta, beta)


def test_linear_around_a_beta_that_moves_starts_at_its_own(beta_at):
    inner = Linear(warmup=0.5)
    # Halfway through the outer warm-up the inner beta is full.
    policy = Linear(start=0.5, warmup=1.0, policy=inner)
    assert beta_at(policy, 0.0) == [0.5, 0.5]
    assert beta_at(policy, 0.25) == pytest.approx([0.5, 0.75 * 0.5 + 0.25 * 2.0])
    assert beta_at(policy, 0.5) == pytest.approx([0.75, 0.5 * 0.5 + 0.5 * 4.0])
    assert beta_at(policy, 1.0) == [1.0, 4.0]


@pytest.mark.parametrize(
    ("policy", "settled_at"),
    [
        (Linear(warmup=0.4, policy=OptimalVariance()), 0.4),
        (Linear(warmup=0.4, policy=Cosine(warmup=0.6)), 0.6),
        (Linear(warmup=0.8, policy=Cosine(warmup=0.6)), 0.8),
        (Sigmoid(warmup=0.2, policy=Cyclical()), 0.875),
        (Cyclical(policy=Constant()), 0.875),
    ],
    ids=repr,
)
def test_settled_when_all_are(policy, settled_at):
    assert policy.settled_at == settled_at


@every_schedule
def test_variance_of_the_policy_inside_is_in_force(cls, tiny_model):
    alone, _, state = tiny_model.step(OptimalVariance(scope="feature"), 0.0)
    policy = cls(policy=OptimalVariance(scope="feature"))
    objective, _, wrapped = tiny_model.step(policy, 0.0)
    assert policy.scope == "feature"
    assert policy.variance_policy is policy
    assert torch.equal(wrapped.variance, state.variance)
    assert torch.equal(objective, alone)


# --- in an estimator -----------------------------------------------------------------

X = load_wine().data


def small(**params):
    # The tolerance says that few epochs are meant to be enough.
    settings = {
        "hidden_layer_sizes": (8,),
        "random_state": 0,
        "max_iter": 8,
        "tol": 1e3,
    }
    return BalancedVAE(3, **{**settings, **params})


WRAPPED = [
    Linear(start=0.1, warmup=0.5),
    Sigmoid(warmup=0.75, policy=LearnedVariance("feature")),
    Cosine(warmup=0.6, policy=Normalized()),
    Cyclical(n_cycles=2, policy=RunningAverage(decay=0.9)),
]
every_wrapped = pytest.mark.parametrize("policy", WRAPPED, ids=repr)


@may_collapse
@every_wrapped
def test_history(policy, beta_at):
    vae = small(beta=4.0, balance=policy, early_stopping=False).fit(X)
    scale = X.shape[1] / 3 if isinstance(policy.policy, Normalized) else 1.0
    plain = clone(policy).set_params(policy=None)
    expected = [scale * beta_at(plain, (epoch + 1) / 8)[1] for epoch in range(8)]
    np.testing.assert_allclose(vae.history_["beta"], expected, rtol=1e-6)
    assert vae.beta_ == pytest.approx(4.0 * scale, rel=1e-6)
    # With the mean over the last epoch of the variance that training used.
    theta = vae.beta_ * vae.history_["variance"][-1]
    assert np.mean(vae.theta_) == pytest.approx(theta, rel=0.02)


@may_collapse
@every_wrapped
def test_partial_fit_in_two_halves_is_one_run(policy):
    vae = small(
        beta=4.0,
        balance=policy,
        early_stopping=False,
        learning_rate="constant",
        # As many steps as `partial_fit` takes, which has no least number of them.
        batch_size=8,
    )
    straight = clone(vae).fit(X)
    halves = clone(vae)
    for _ in range(4):
        halves.partial_fit(X)
    halves = pickle.loads(pickle.dumps(halves))
    for _ in range(4):
        halves.partial_fit(X)
    np.testing.assert_array_equal(halves.transform(X), straight.transform(X))
    assert halves.beta_ == straight.beta_
    for name, entries in straight.history_.items():
        np.testing.assert_array_equal(halves.history_[name], entries, err_msg=name)


@may_collapse
@pytest.mark.parametrize("inner", [None, LearnedVariance()], ids=repr)
def test_best_epoch_is_in_the_last_plateau(inner):
    vae = small(
        beta=4.0,
        balance=Cyclical(policy=inner),
        network=MLP((8,), linear_path=False),
        early_stopping=True,
        tol=1e-4,
        learning_rate="constant",
        learning_rate_init=0.01,
        max_iter=40,
        n_iter_no_change=4,
        batch_size=len(X),
    ).fit(X)
    elbo = vae.history_["validation_elbo"]
    # The model explains most soon after a fall of beta, and is not taken there.
    assert elbo.argmax() == pytest.approx(30, abs=2)
    assert elbo[:34].max() > elbo[34:].max() + 0.5
    assert vae.beta_ == 4.0
    # The 35th epoch is the first that ends at full weight for good.
    kept = np.abs(vae.history_["validation_rate"] - vae.rate_).argmin()
    assert kept == 34 + elbo[34:].argmax()
    # Early stopping had waited for it too.
    assert 34 + 4 <= vae.n_iter_ <= 40
    assert (vae.history_["beta"][34:] == 4.0).all()


def test_setting_of_the_policy_inside_is_searched():
    search = GridSearchCV(
        small(balance=Linear(policy=LearnedVariance())),
        {"balance__policy__scope": ["shared", "feature"], "balance__warmup": [0.5]},
        cv=2,
        error_score="raise",
    ).fit(X)
    policy = search.best_estimator_.balance
    assert policy.policy.scope == search.best_params_["balance__policy__scope"]
    shared, feature = search.cv_results_["mean_test_score"]
    assert shared != feature
    n_variances = X.shape[1] if policy.policy.scope == "feature" else 1
    assert np.size(search.best_estimator_.variance_) == n_variances


def test_binary_table_keeps_the_schedule():
    # "auto" takes a likelihood without a variance to learn; the warm-up stays.
    binary = (np.median(X, axis=0) < X).astype(float)
    policy = Cosine(policy=Linear(warmup=1.0, policy=LearnedVariance()))
    vae = small(balance=policy, beta=2.0, early_stopping=False).fit(binary)
    same = small(
        balance=Cosine(policy=Linear(warmup=1.0)), beta=2.0, early_stopping=False
    ).fit(binary)
    assert vae.variance_ is None
    np.testing.assert_array_equal(vae.history_["beta"], same.history_["beta"])
    assert vae.history_["beta"][3] == 1.0
    np.testing.assert_array_equal(vae.transform(binary), same.transform(binary))
    assert isinstance(policy.policy.policy, LearnedVariance)


def test_curve_is_the_subclass_own():
    with pytest.raises(NotImplementedError):
        Schedule().curve(torch.tensor(0.5))
