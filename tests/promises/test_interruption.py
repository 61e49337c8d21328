"""A fit that is interrupted: whole before the first epoch's end, or whole after it."""

import copy
import gc
import os
import pickle
import signal
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_array_equal, assert_equal
from sklearn.exceptions import ConvergenceWarning

from skvae import BalancedVAE, BalancedVAECV, beta_path
from skvae.fit._progress import Report
from skvae.training._optimizer import Adam

X = np.random.RandomState(0).normal(size=(60, 4)) @ np.ones((4, 4)) + np.arange(4.0)
MATCH = r"interrupted by the user after {} of max_iter=4 epochs"


def small(**params):
    settings = {"hidden_layer_sizes": (3,), "max_iter": 4, "batch_size": 30}
    return BalancedVAE(1, **{**settings, "tol": 1e3, "random_state": 0, **params})


def uninterrupted(vae):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vae.fit(X)


@pytest.fixture(autouse=True)
def configuration():
    """Close contexts that an interruption within their own code leaves open."""
    before = sklearn.get_config()
    yield
    sklearn.set_config(**before)
    torch.set_grad_enabled(True)


@pytest.fixture
def interrupt_after(monkeypatch):
    """Function that sends SIGINT in the step after so many, as Ctrl-C does."""

    def set_up(n_steps):
        step, done = Adam.step, [0]

        def step_or_interrupt(self, *args):
            done[0] += 1
            if done[0] == n_steps + 1:
                signal.raise_signal(signal.SIGINT)
            step(self, *args)

        monkeypatch.setattr(Adam, "step", step_or_interrupt)

    return set_up


def assert_whole(vae):
    """A model like any other: all that follows from its weights agrees with them."""
    assert {len(entries) for entries in vae.history_.values()} == {vae.n_iter_}
    assert np.isfinite(vae.score_samples(X)).all()
    assert vae.elbo_ == -(vae.rate_ + vae.distortion_)
    assert_array_equal(pickle.loads(pickle.dumps(vae)).transform(X), vae.transform(X))
    assert np.isfinite(copy.deepcopy(vae).partial_fit(X).score(X))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupted_fit_has_the_best_weights_so_far(early_stopping, interrupt_after):
    vae = small(early_stopping=early_stopping, learning_rate="constant")
    expected = uninterrupted(copy.copy(vae).set_params(max_iter=2))
    interrupt_after(2 * 20 + 7)
    with pytest.warns(ConvergenceWarning, match=MATCH.format(2)):
        vae.fit(X)
    assert vae.n_iter_ == 2
    assert_array_equal(vae._fitted.values, expected._fitted.values)
    assert_array_equal(vae.score_samples(X), expected.score_samples(X))
    assert_equal(vae.history_, expected.history_)
    assert_whole(vae)
    # It is gone on from as the other is.
    assert_array_equal(
        vae.partial_fit(X)._fitted.values, expected.partial_fit(X)._fitted.values
    )


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("is_fitted", [False, True])
def test_without_a_whole_epoch_the_estimator_is_as_it_was(
    method, is_fitted, interrupt_after
):
    vae = small(warm_start=True)
    if is_fitted:
        vae.partial_fit(X)
    before = dict(vars(vae))
    interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        getattr(vae, method)(X)
    assert vars(vae) == before


def test_path_and_search_end_where_they_are_interrupted(interrupt_after):
    # Models that were trained for a shorter time than others cannot be compared.
    interrupt_after(2 * 20)
    with pytest.raises(KeyboardInterrupt):
        beta_path(X, betas=[0.5, 1.0], hidden_layer_sizes=(3,), max_iter=4)
    vae = BalancedVAECV([0.5, 1.0], hidden_layer_sizes=(3,), max_iter=4, cv=2)
    before = dict(vars(vae))
    interrupt_after(2 * 20)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    assert vars(vae) == before


def test_interruption_in_a_report_counts_the_epoch(monkeypatch):
    def interrupt(self, epoch, record, best):
        raise KeyboardInterrupt

    monkeypatch.setattr(Report, "__call__", interrupt)
    with pytest.warns(ConvergenceWarning, match=MATCH.format(1)):
        vae = small().fit(X)
    assert_whole(vae)


class AtEvent:
    """Interruption at the n-th call or return of a function, wherever that is."""

    def __init__(self, n):
        self.n = n

    def __call__(self, frame, event, argument):
        self.n -= 1
        if self.n == 0:
            raise KeyboardInterrupt


def n_events(vae):
    counter = AtEvent(0)
    sys.setprofile(counter)
    try:
        vae.fit(X)
    finally:
        sys.setprofile(None)
    return -counter.n


# Python ignores what is raised while an object is deleted.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_wherever_it_is_interrupted_nothing_is_half_done(early_stopping):
    vae = small(max_iter=3, warm_start=True, early_stopping=early_stopping)
    before = dict(vars(uninterrupted(vae)))
    total, n_kept, n_restored = n_events(copy.copy(vae)), 0, 0
    # The last events are those of the end of the fit; all steps are alike.
    where = {*np.linspace(1, total, 61, dtype=int), *range(total - 40, total)}
    for n in sorted(where):
        sys.setprofile(AtEvent(n))
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                vae.fit(X)
        except KeyboardInterrupt:
            assert vars(vae) == before, n
            n_restored += 1
        else:
            if any("interrupted" in str(each.message) for each in caught):
                n_kept += 1
            assert vae._fitted is not before["_fitted"]
            assert vae.elbo_ == -(vae.rate_ + vae.distortion_), n
            lengths = {len(entries) for entries in vae.history_.values()}
            assert lengths == {vae.n_iter_}, n
            assert np.isfinite(vae.score(X)), n
            vae.__dict__ = dict(before)
        finally:
            sys.setprofile(None)
    assert n_kept > 10
    assert n_restored > 10


def resident():
    """Bytes of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_fits_do_not_grow_the_memory():
    vae, rows = small(max_iter=1), X.copy()
    rows[::7, 2] = np.nan

    def fit_and_use(n_fits):
        for i in range(n_fits):
            uninterrupted(vae.set_params(random_state=i)).sample(3)
            vae.impute(rows)
        gc.collect()

    fit_and_use(30)
    tracemalloc.start()
    fit_and_use(10)
    objects, memory = tracemalloc.get_traced_memory()[0], resident()
    fit_and_use(200)
    grown = tracemalloc.get_traced_memory()[0] - objects, resident() - memory
    tracemalloc.stop()
    # Two kilobytes for each fit, where a model has ten, and fragments beyond Python.
    assert grown[0] < 200 * 2**11
    assert grown[1] < 16 * 2**20
