"""What is heard of a fit while it runs, alone and inside a search."""

import io
import pickle
import re
import types

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE
from skvae._sklearn_compat import without_callbacks
from skvae.fit import _progress
from skvae.networks import MLP

X = load_wine().data

# Early stopping needs a tolerance that no elbo beats.
STOPS = {"n_iter_no_change": 2, "tol": 1e6}


def small(**params):
    settings = {"hidden_layer_sizes": (4,), "balance": "constant", "max_iter": 3}
    return BalancedVAE(2, **{**settings, "tol": 1e3, "random_state": 0, **params})


def search(**params):
    grid = {"beta": [0.5, 2.0]}
    return GridSearchCV(small(**params), grid, cv=2)


@pytest.fixture
def callbacks():
    pytest.importorskip("rich")
    reason = "scikit-learn has callbacks since 1.9"
    return pytest.importorskip("sklearn.callback", reason=reason)


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves on by its step whenever it is read."""

    class Clock:
        now, step = 0.0, 0.0

        def perf_counter(self):
            self.now += self.step
            return self.now

    clock = Clock()
    monkeypatch.setattr(_progress, "time", clock)
    return clock


# --- Lines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.0, "59 min 59 s"),
        (3599.7, "1 h 0 min"),
        (100_000.0, "27 h 46 min"),
    ],
)
def test_duration(seconds, expected):
    assert _progress.duration(seconds) == expected


def test_time_left(clock, capsys):
    clock.step = 100.0
    small(max_iter=4, verbose=1, early_stopping=False).fit(X)
    left = re.findall(r"at most (.*) left", capsys.readouterr().out)
    assert len(left) == 3
    # The first epoch was over at the second or third look at the clock: three more
    # take at least three times as long.
    assert re.fullmatch(r"\d+ min \d+ s", left[0])
    assert int(left[0].split()[0]) >= 5


@pytest.mark.parametrize(("step", "expected"), [(0.0, 10), (61.0, 40)])
def test_long_fits_are_never_silent_for_long(clock, capsys, step, expected):
    clock.step = step
    small(max_iter=40, verbose=1, early_stopping=False).fit(X)
    assert len(capsys.readouterr().out.splitlines()) == expected


def test_last_line_says_that_training_stopped_early(capsys):
    # A random start is beaten once, by whatever comes first.
    network = MLP((4,), linear_path=False)
    vae = small(max_iter=100, verbose=1, network=network, **STOPS).fit(X)
    assert vae.n_iter_ < 10
    (line,) = capsys.readouterr().out.splitlines()
    assert f"epoch {vae.n_iter_}/100: elbo {vae.elbo_:.4g} nats per row" in line
    assert re.search(r"stopped early after \d.* s$", line)


def test_lines_are_plain_and_flushed(monkeypatch):
    class Log(io.StringIO):
        unflushed = 0

        def write(self, text):
            self.unflushed += len(text)
            return super().write(text)

        def flush(self):
            self.unflushed = 0

    log = Log()
    monkeypatch.setattr("sys.stdout", log)
    small(verbose=1).fit(X)
    assert log.unflushed == 0
    assert log.getvalue().count("\n") == 3
    # A carriage return or an escape would be rubbish in a log.
    assert not re.search(r"[\r\x1b]", log.getvalue())


def test_search_is_quiet_when_off(capfd, caplog):
    search().fit(X)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    assert caplog.records == []


def test_quiet_under_a_notebook_kernel(capfd, monkeypatch):
    # What rich and others look for to tell a notebook from a terminal.
    kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setattr("builtins.get_ipython", lambda: kernel, raising=False)
    small().fit(X)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


# --- Callbacks -----------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "n_models"), [(0, 0), (1, 5)])
def test_progress_bar_in_a_search(callbacks, capsys, depth, n_models):
    plain = search().fit(X)
    capsys.readouterr()
    bar = callbacks.ProgressBar(max_propagation_depth=depth)
    shown = search().set_callbacks(bar).fit(X)
    printed = capsys.readouterr().out
    assert "GridSearchCV" in printed
    # Two betas in two folds and the refit.
    bars = [line for line in printed.splitlines() if "BalancedVAE - fit" in line]
    assert len(bars) == n_models
    assert all("100%" in line for line in bars)
    for name in ("mean_test_score", "std_test_score"):
        assert_array_equal(plain.cv_results_[name], shown.cv_results_[name])
    assert_array_equal(plain.transform(X), shown.transform(X))


def test_progress_bar_two_levels_deep(callbacks, capsys):
    pipeline = make_pipeline(StandardScaler(), small())
    nested = GridSearchCV(pipeline, {"balancedvae__beta": [0.5, 2.0]}, cv=2)
    nested.set_callbacks(callbacks.ProgressBar(max_propagation_depth=None)).fit(X)
    printed = capsys.readouterr().out
    for name in ("GridSearchCV", "Pipeline", "BalancedVAE"):
        assert name in printed


def test_progress_bar_is_full_after_early_stopping(callbacks, capsys):
    bar = callbacks.ProgressBar()
    network = MLP((4,), linear_path=False)
    vae = small(max_iter=100, network=network, **STOPS).set_callbacks(bar).fit(X)
    assert vae.n_iter_ < 10
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "fit" in row]
    assert "100%" in line


@pytest.mark.slow
def test_progress_bar_with_workers(callbacks, capfd, one_thread):
    bar = callbacks.ProgressBar()
    alone = search().fit(X)
    beside = search().set_params(n_jobs=2).set_callbacks(bar).fit(X)
    assert capfd.readouterr().out.count("BalancedVAE - fit") == 5
    for name in ("mean_test_score", "rank_test_score"):
        assert_array_equal(alone.cv_results_[name], beside.cv_results_[name])


class Stop:
    """Stops every training inside another estimator after some epochs."""

    max_propagation_depth = None

    def __init__(self, after):
        self.after, self.n_iter = after, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.n_iter.append(context.task_id + 1)
        return context.task_id + 1 == self.after


def test_true_stops_the_trainings_of_a_search(callbacks):
    stop = Stop(after=2)
    found = search(max_iter=50).set_callbacks(stop).fit(X)
    assert found.best_estimator_.n_iter_ == 2
    assert stop.n_iter == [1, 2] * 5
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


# --- Models for callbacks ------------------------------------------------------------


class Keeper:
    """A callback that keeps the model of each epoch, and a pickle of it."""

    def __init__(self):
        self.models, self.pickles = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.models.append(fitted_estimator)
            self.pickles.append(pickle.dumps(without_callbacks(fitted_estimator)))


@pytest.mark.filterwarnings("ignore:Training ended after max_iter=1")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_model_of_a_callback_is_that_of_a_fit_as_long(callbacks, early_stopping):
    vae = small(early_stopping=early_stopping, learning_rate="constant", max_iter=3)
    keeper = Keeper()
    clone(vae).set_callbacks(keeper).fit(X)
    assert len(keeper.models) == 3
    for n_epochs, kept in enumerate(keeper.models, 1):
        shorter = clone(vae).set_params(max_iter=n_epochs).fit(X)
        again = pickle.loads(keeper.pickles[n_epochs - 1])
        for model in (kept, again):
            assert model.n_iter_ == n_epochs
            assert (model.elbo_, model.beta_) == (shorter.elbo_, shorter.beta_)
            assert_array_equal(model.score_samples(X), shorter.score_samples(X))
            assert_equal(model.history_, shorter.history_)
        # Both go on from its weights, and leave them to the model of the callback.
        shorter.partial_fit(X)
        again.partial_fit(X)
        assert_array_equal(again._fitted.values, shorter._fitted.values)
        assert again.history_["elbo"].shape == (n_epochs + 1,)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_model_of_a_callback_is_warm(callbacks, early_stopping):
    vae = small(early_stopping=early_stopping, warm_start=True, alpha=0.1)
    keeper = Keeper()
    vae.set_callbacks(keeper).fit(X)
    kept = pickle.loads(keeper.pickles[0])
    before = kept._fitted.values.copy()
    kept.set_params(learning_rate_init=1e-15, random_state=1).fit(X)
    assert_allclose(kept._fitted.values, before, atol=1e-12)
