"""Held-out rows, epochs, steps and batches of `fit` and `partial_fit`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.divergences import KL, TotalCorrelation
from skvae.fit import _plan
from skvae.learning_rates import Constant, Cosine


def whole(n_rows, **params):
    return _plan.whole(BalancedVAE(**params), n_rows, KL())


def held_out(vae, n_rows, seed=0):
    return _plan.held_out(vae, n_rows, np.random.RandomState(seed))


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
        _plan.whole(vae, 100, divergence)


@pytest.mark.parametrize("name", ["one_cycle", "constant"])
def test_rate_of_a_pass_follows_the_steps_before(name):
    vae = BalancedVAE(learning_rate=name, learning_rate_init=0.5)
    rates = [
        _plan.one_pass(vae, 256, KL(), n_steps).learning_rate
        for n_steps in (14, 74, 149, 599)
    ]
    # Two steps, and the rate is that of the one between them.
    expected = [0.1, 0.5, 1.0, 0.5] if name == "one_cycle" else [1.0] * 4
    assert_allclose(rates, 0.5 * np.array(expected))


def test_one_pass_is_an_epoch_at_a_constant_rate():
    vae = BalancedVAE(max_iter=9, batch_size=30)
    plan = _plan.one_pass(vae, 100, KL())
    assert plan.n_epochs == 1
    # Schedules of policies are fractions of as many calls.
    assert plan.n_planned_epochs == 9
    assert plan.steps_per_epoch == 4
    assert isinstance(plan.schedule, Constant)
    assert plan.patience is None


@pytest.mark.parametrize(("n_steps", "expected"), [(3, 20), (50, 50), (900, 400)])
def test_a_start_is_as_long_as_what_it_competes_with(n_steps, expected):
    """At least an epoch of `fit`, and at most twenty."""
    vae = BalancedVAE(max_iter=9, batch_size=30)
    plan = _plan.as_long(vae, 100, KL(), n_steps=n_steps)
    assert plan.steps_per_epoch == expected
    assert (plan.n_epochs, plan.n_planned_epochs) == (1, 9)
    assert isinstance(plan.schedule, Constant)


@pytest.mark.parametrize(("name", "mean"), [("one_cycle", 0.506), ("constant", 1.0)])
def test_a_start_has_the_mean_of_the_learning_rates(name, mean):
    vae = BalancedVAE(learning_rate=name, learning_rate_init=0.5)
    found = _plan.as_long(vae, 100, KL(), n_steps=50).learning_rate
    assert found == pytest.approx(0.5 * mean, rel=0.01)


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
    mask = held_out(vae, n_rows)
    assert mask.shape == (n_rows,)
    assert mask.sum() == n_held_out
    assert_array_equal(held_out(vae, n_rows), mask)


def test_share_and_seed_of_the_rows_that_are_held_out():
    vae = BalancedVAE(early_stopping=True, validation_fraction=0.4)
    first, second = (held_out(vae, 100, seed) for seed in (0, 1))
    assert first.sum() == second.sum() == 40
    assert (first != second).any()


def test_random_state_of_numpy_stays_as_it_is():
    np.random.seed(0)
    expected = np.random.uniform()
    np.random.seed(0)
    held_out(BalancedVAE(early_stopping=True), 100, 7)
    assert np.random.uniform() == expected


def test_single_row_cannot_be_held_out():
    with pytest.raises(ValueError, match="needs at least 2 distinct rows"):
        held_out(BalancedVAE(early_stopping=True), 1)


def test_rows_of_earlier_tables_count():
    assert not _plan.holds_out(BalancedVAE(), 10, n_before=39)
    assert _plan.holds_out(BalancedVAE(), 10, n_before=40)
    assert not _plan.holds_out(BalancedVAE(early_stopping=False), 10, n_before=40)
    # Of a single row nothing would be left.
    assert not _plan.holds_out(BalancedVAE(early_stopping=True), 1, n_before=40)
