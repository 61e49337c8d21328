"""Held-out rows, epochs, steps and batches of `fit` and `partial_fit`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae import BalancedVAE
from skvae.divergences import KL, TotalCorrelation
from skvae.fit._plan import ONE_PASS, WHOLE
from skvae.learning_rates import Constant, Cosine


def whole(n_rows, **params):
    return WHOLE.plan(BalancedVAE(**params), n_rows, KL())


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_steps"),
    [
        # All rows at once, and still many steps.
        (1, 1, 20),
        (100, 100, 20),
        # A 64th of the rows, from 128 to 1024 of them.
        (1000, 128, 20),
        (10_000, 156, 65),
        (40_000, 625, 64),
        (1_000_000, 1024, 977),
    ],
)
def test_batches_and_steps_follow_the_number_of_rows(n_rows, batch_size, n_steps):
    plan = whole(n_rows)
    assert plan.batch_size == batch_size
    assert plan.steps_per_epoch == n_steps


def test_settings_of_the_estimator():
    plan = whole(
        1000,
        max_iter=7,
        batch_size=100,
        learning_rate="cosine",
        learning_rate_init=0.5,
        alpha=0.25,
        n_iter_no_change=3,
        tol=0.125,
    )
    assert plan.n_epochs == plan.n_planned_epochs == 7
    assert plan.batch_size == 100
    assert isinstance(plan.schedule, Cosine)
    assert plan.learning_rate == 0.5
    assert plan.weight_decay == 0.25
    assert plan.patience == 3
    assert plan.tolerance == 0.125


def test_batch_is_no_larger_than_the_table():
    assert whole(30, batch_size=1000).batch_size == 30


@pytest.mark.parametrize(("n_rows", "n_draws"), [(20, 8), (64, 8), (100, 4), (128, 4)])
def test_single_batch_has_several_draws(n_rows, n_draws):
    assert whole(n_rows).n_draws == n_draws
    assert whole(n_rows, batch_size=n_rows - 1).n_draws == 1


def test_batch_that_is_too_small_for_the_divergence():
    divergence = TotalCorrelation()
    vae = BalancedVAE(divergence=divergence, batch_size=1)
    with pytest.raises(ValueError, match=r"compares the rows of a batch.* has 1 "):
        WHOLE.plan(vae, 100, divergence)


def test_one_pass_is_an_epoch_at_a_constant_rate():
    vae = BalancedVAE(max_iter=9, batch_size=30)
    plan = ONE_PASS.plan(vae, 100, KL())
    assert plan.n_epochs == 1
    # Schedules of policies are fractions of as many calls.
    assert plan.n_planned_epochs == 9
    assert plan.steps_per_epoch == 4
    assert isinstance(plan.schedule, Constant)
    assert plan.patience is None


@pytest.mark.parametrize(
    ("early_stopping", "n_rows", "n_held_out"),
    [
        ("auto", 49, 0),
        ("auto", 50, 5),
        (True, 49, 5),
        (True, 2, 1),
        (False, 1000, 0),
        (True, 1001, 101),
    ],
)
def test_rows_that_are_held_out(early_stopping, n_rows, n_held_out):
    vae = BalancedVAE(early_stopping=early_stopping)
    mask = WHOLE.held_out(vae, n_rows, 0)
    assert mask.shape == (n_rows,)
    assert mask.sum() == n_held_out
    assert_array_equal(WHOLE.held_out(vae, n_rows, 0), mask)
    assert not ONE_PASS.held_out(vae, n_rows, 0).any()


def test_share_and_seed_of_the_rows_that_are_held_out():
    vae = BalancedVAE(early_stopping=True, validation_fraction=0.4)
    first, second = (WHOLE.held_out(vae, 100, seed) for seed in (0, 1))
    assert first.sum() == second.sum() == 40
    assert (first != second).any()


def test_random_state_of_numpy_stays_as_it_is():
    np.random.seed(0)
    expected = np.random.uniform()
    np.random.seed(0)
    WHOLE.held_out(BalancedVAE(early_stopping=True), 100, 7)
    assert np.random.uniform() == expected


def test_single_row_cannot_be_held_out():
    with pytest.raises(ValueError, match="needs at least 2 distinct rows"):
        WHOLE.held_out(BalancedVAE(early_stopping=True), 1, 0)
