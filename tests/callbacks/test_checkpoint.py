"""A training that is kept in a file, and gone on with by the same call."""

import errno
import pickle
import re
import signal
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE, BalancedVAECV, OutlierVAE, beta_path
from skvae.balance import Linear, RunningAverage
from skvae.callbacks import Checkpoint, _file
from skvae.fit import _identity, _stream
from skvae.networks import ConvNet

RNG = np.random.RandomState(0)
X = RNG.normal(size=(70, 2)) @ RNG.normal(size=(2, 4)) + np.arange(4.0)
X += 0.3 * RNG.normal(size=X.shape)

FRAME = pd.DataFrame(X, columns=list("abcd"))
FRAME["level"] = np.array(["x", "y", "z"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 1)]
FRAME.loc[::7, "b"] = np.nan

PICTURES = RNG.normal(size=(60, 16))


def small(cls=BalancedVAE, **params):
    settings = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 5}
    return cls(**{**settings, "random_state": 0, **params})


def fitted(vae, rows=X, *callbacks, **params):
    if callbacks:
        vae.set_callbacks(*callbacks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vae.fit(rows, **params)


def checksum(vae):
    """The same for models that are the same bit for bit."""
    return vae.__getstate__()["_file_format"]["checksum"]


def n_epochs_in(path):
    return int(_file.read(path)[1]["counts"][1])


class Observer:
    """A callback that notes the epochs, and acts after some of them."""

    def __init__(self, after=None, act=lambda: None):
        self.after, self.act, self.epochs = after, act, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            self.epochs.append(context.task_id)
            if len(self.epochs) == self.after:
                return self.act()
        return False


class Cut(Exception):
    pass


def cut():
    raise Cut


def cut_off(vae, path, after, rows=X, every=1, **params):
    """Fit that does not survive an epoch, and leaves its file."""
    with pytest.raises(Cut):
        fitted(vae, rows, Checkpoint(path, every), Observer(after, cut), **params)
    assert not hasattr(vae, "n_iter_")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


# --- The same result ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (lambda: small(), X),
        (lambda: small(early_stopping=False, batch_size=16), X),
        # Stops early, perhaps in the very epoch that it is cut off after.
        (lambda: small(max_iter=12, n_iter_no_change=3, tol=1e3), X),
        (lambda: small(precision="float64", balance=Linear(warmup=0.5)), X),
        (lambda: small(balance="geco", standardize="quantile"), X),
        (lambda: small(divergence="total_correlation", prior="mixture"), X),
        (lambda: small(), FRAME),
        (lambda: small(balance="constant", likelihood="student_t"), X),
        (
            lambda: small(
                network=ConvNet((1, 4, 4), channels=(2,)), balance="learned_variance"
            ),
            PICTURES,
        ),
        (lambda: small(OutlierVAE, contamination=0.1), FRAME),
    ],
    ids=lambda each: "" if callable(each) else str(each.shape),
)
def test_cut_off_and_started_again_it_ends_bit_for_bit_the_same(make, rows, path):
    expected, after = fitted(make(), rows), 3
    cut_off(make(), path, after, rows)
    assert n_epochs_in(path) == after
    seen = Observer()
    vae = fitted(make(), rows, Checkpoint(path), seen)
    assert checksum(vae) == checksum(expected)
    # Tasks have the numbers of their epochs.
    assert seen.epochs == list(range(after, len(expected.history_["rate"])))


def test_it_may_be_cut_off_after_any_epoch_and_again(path):
    expected = fitted(small())
    for after in range(1, 6):
        cut_off(small(), path, 1)
        assert n_epochs_in(path) == after
    assert checksum(fitted(small(), X, Checkpoint(path))) == checksum(expected)


def test_table_in_blocks_is_compared_as_a_whole(path, monkeypatch):
    # Few of its rows are in memory, and stand for all.
    monkeypatch.setattr(_stream, "_ROWS", 20)
    blocks = [X[:30], X[30:60], X[60:]]
    expected = fitted(small(), blocks)
    cut_off(small(), path, 2, blocks)
    for d in range(0, len(X), 10):
        others = [each.copy() for each in blocks]
        others[d // 30][d % 30] += 1e-9
        with pytest.raises(ValueError, match="X or sample_weight had other contents"):
            fitted(small(), others, Checkpoint(path))
    with pytest.raises(ValueError, match="was 70 rows and is 60 rows"):
        fitted(small(), blocks[:2], Checkpoint(path))
    assert checksum(fitted(small(), blocks, Checkpoint(path))) == checksum(expected)


def test_rows_in_another_order_or_as_weights_are_the_same_table(path):
    weight = np.ones(len(X))
    weight[3] = 2.0
    cut_off(small(), path, 2, sample_weight=weight)
    order = np.append(RNG.permutation(len(X)), 3)
    vae = fitted(small(), X[order], Checkpoint(path))
    assert checksum(vae) == checksum(fitted(small(), X, sample_weight=weight))


@pytest.mark.parametrize("of", [lambda: None, lambda: np.random.RandomState(3)])
def test_seed_that_was_drawn_is_brought_back(of, path):
    np.random.seed(0)
    expected = fitted(small(random_state=of()))
    np.random.seed(0)
    cut_off(small(random_state=of()), path, 2)
    np.random.seed(1)
    vae = fitted(small(random_state=of()), X, Checkpoint(path))
    assert checksum(vae) == checksum(expected)


def test_warm_start_goes_on_from_the_same_model(path):
    first = fitted(small(warm_start=True))
    expected = fitted(clone(first).fit(X), 2.0 * X)
    vae = fitted(clone(first))
    before = dict(vars(vae))
    with pytest.raises(Cut):
        fitted(vae, 2.0 * X, Checkpoint(path), Observer(2, cut))
    del vae._skl_callbacks
    assert vars(vae) == before
    assert checksum(fitted(vae, 2.0 * X, Checkpoint(path))) == checksum(expected)
    with pytest.raises(ValueError, match="to start from was that of a fit and is"):
        fitted(small(warm_start=True), 2.0 * X, Checkpoint(path))


class OfTwo(BalancedVAE):
    def __init__(self, beta=1.0):
        super().__init__(2, beta=beta, hidden_layer_sizes=(4,), max_iter=5)
        self.random_state = 0


def test_class_of_its_own_may_have_fewer_parameters(path):
    expected = fitted(OfTwo())
    cut_off(OfTwo(), path, 2)
    with pytest.raises(ValueError, match=r"beta was 1\.0 and is 2\.0"):
        fitted(OfTwo(2.0), X, Checkpoint(path))
    vae = fitted(OfTwo(), X, Checkpoint(path))
    assert_array_equal(vae.transform(X), expected.transform(X))


def test_settings_that_print_may_differ(path, capsys):
    cut_off(small(), path, 2)
    vae = fitted(small(verbose=3), X, Checkpoint(path))
    assert vae.n_iter_ == 5
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0][-3:] for line in lines] == ["3/5", "4/5", "5/5"]


# --- The file -------------------------------------------------------------------------


def test_file_is_written_every_so_many_epochs(path):
    cut_off(small(), path, 3, every=2)
    assert n_epochs_in(path) == 2
    seen = Observer()
    fitted(small(), X, Checkpoint(path, every=2), seen)
    assert seen.epochs == [2, 3, 4]
    # Five is no multiple of two, but the fit has ended.
    assert n_epochs_in(path) == 5


def test_fit_that_has_ended_returns_at_once(path):
    vae = fitted(small(), X, Checkpoint(path))
    content, seen = path.read_bytes(), Observer()
    again = fitted(small(), X, Checkpoint(path), seen)
    assert seen.epochs == []
    assert checksum(again) == checksum(vae)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_fit_that_a_callback_has_stopped_has_ended(path):
    stopped = fitted(small(), X, Checkpoint(path), Observer(2, lambda: True))
    assert stopped.n_iter_ == 2
    again = fitted(small(), X, Checkpoint(path), Observer())
    assert checksum(again) == checksum(stopped)


def test_interrupted_fit_goes_on(path):
    expected = fitted(small())
    interrupt = Observer(3, lambda: signal.raise_signal(signal.SIGINT))
    vae = small().set_callbacks(Checkpoint(path, every=100), interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted by the user after 3 of"):
        vae.fit(X)
    assert vae.n_iter_ == n_epochs_in(path) == 3
    vae = fitted(small(), X, Checkpoint(path))
    assert checksum(vae) == checksum(expected)


def test_full_disk_is_an_error_and_the_file_before_is_kept(path, monkeypatch):
    expected = fitted(small())
    cut_off(small(), path, 2)
    content = path.read_bytes()

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("skvae.callbacks._file.os.fsync", full)
        vae = small()
        match = (
            r"(?s)checkpoint of epoch 3 could not be written to .*fit\.checkpoint: No "
            r"space left on device\. The one before it, if there is one, is kept\. Make"
        )
        with pytest.raises(OSError, match=match) as caught:
            fitted(vae, X, Checkpoint(path))
        assert caught.value.errno == errno.ENOSPC
        assert not hasattr(vae, "n_iter_")
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert checksum(fitted(small(), X, Checkpoint(path))) == checksum(expected)


# --- Refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "rows", "message"),
    [
        ({"beta": 2.0}, X, "beta was 1.0 and is 2.0"),
        ({"max_iter": 6}, X, "max_iter was 5 and is 6"),
        ({"random_state": 1}, X, "random_state was 0 and is 1"),
        ({"random_state": None}, X, "random_state was 0 and is 'NoneType'"),
        (
            {"balance": RunningAverage("feature"), "alpha": 0.1},
            X,
            "balance was 'auto' and is RunningAverage(scope='feature'); alpha was 0.0 "
            "and is 0.1",
        ),
        ({}, X[1:], "X or sample_weight was 70 rows and is 69 rows"),
        ({}, X + np.eye(*X.shape), "X or sample_weight had other contents"),
        ({}, FRAME[["a", "c", "d"]].assign(e=1.0), "columns of X had other contents"),
        ({}, X[:, :3], "columns of X was 4 columns and is 3 columns"),
    ],
    ids=lambda each: None if isinstance(each, np.ndarray | pd.DataFrame) else str(each),
)
def test_other_fits_are_refused(params, rows, message, path):
    cut_off(small(), path, 2)
    content, vae = path.read_bytes(), small(**params)
    before = set(vars(vae))
    match = f"fit.checkpoint is of another fit: .*{re.escape(message)}"
    with pytest.raises(ValueError, match=match) as caught:
        fitted(vae, rows, Checkpoint(path))
    assert "Fit as it was to go on, pass another path, or delete" in str(caught.value)
    assert path.read_bytes() == content
    assert set(vars(vae)) - before <= {"_skl_callbacks"}


def test_other_weights_and_versions_are_refused(path, monkeypatch):
    cut_off(small(), path, 2)
    weight = np.linspace(1.0, 2.0, len(X))
    with pytest.raises(ValueError, match="fit: X or sample_weight had other contents"):
        fitted(small(), X, Checkpoint(path), sample_weight=weight)
    monkeypatch.setattr(_identity, "version", lambda name: "9.9")
    match = r"version of torch was '[\d.]+.*' and is '9\.9'; version of numpy was"
    with pytest.raises(ValueError, match=match):
        fitted(small(), X, Checkpoint(path))


@pytest.mark.parametrize("n_left", [0, 1, 100, -1])
def test_damaged_file_is_refused(n_left, path):
    cut_off(small(), path, 2)
    content = path.read_bytes()[:n_left]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"fit\.checkpoint is damaged, or is no check"):
        fitted(small(), X, Checkpoint(path))
    assert path.read_bytes() == content


def test_place_of_the_file_is_checked_before_training(tmp_path):
    seen = Observer()
    match = r"needs the folder .*nowhere, which does not exist\. Create it"
    with pytest.raises(FileNotFoundError, match=match):
        fitted(small(), X, seen, Checkpoint(tmp_path / "nowhere" / "file"))
    with pytest.raises(IsADirectoryError, match=r"needs the name of a file, and .* is"):
        fitted(small(), X, seen, Checkpoint(tmp_path))
    assert seen.epochs == []


@pytest.mark.parametrize("every", [0, 1.5, "often", None])
def test_every_is_a_number_of_epochs(every):
    match = "'every' parameter of Checkpoint must be an int in the range"
    with pytest.raises(ValueError, match=match):
        Checkpoint("fit.checkpoint", every)


def test_path_is_a_name():
    with pytest.raises(ValueError, match="'path' parameter of Checkpoint must be an"):
        Checkpoint(3)


# --- Other estimators -----------------------------------------------------------------

MANY = (
    r"keeps the training of one BalancedVAE or OutlierVAE, and was called in a fit of"
)


def test_many_trainings_are_refused(path):
    callback = Checkpoint(path)
    with pytest.raises(ValueError, match=f"{MANY} BalancedVAE that trains sev"):
        beta_path(X, betas=[0.5, 1.0], max_iter=2, callbacks=[callback])
    vae = small(BalancedVAECV, betas=[0.5, 1.0], cv=2).set_callbacks(callback)
    with pytest.raises(ValueError, match="BalancedVAECV and beta_path train many"):
        vae.fit(X)
    assert not path.exists()


def test_callback_belongs_on_the_estimator_itself(path):
    pytest.importorskip("sklearn.callback", reason="new in scikit-learn 1.9")
    pipe = make_pipeline(StandardScaler(), small()).set_callbacks(Checkpoint(path))
    with pytest.raises(ValueError, match=f"{MANY} Pipeline .* itself"):
        pipe.fit(X)
    pipe = make_pipeline(StandardScaler(), small())
    pipe[-1].set_callbacks(Checkpoint(path))
    fitted(pipe)
    assert n_epochs_in(path) == 5


def test_second_fit_of_a_search_is_refused(path):
    vae = small(max_iter=1).set_callbacks(Checkpoint(path))
    search = GridSearchCV(vae, {"beta": [0.5, 2.0]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="is of another fit: X or sample_weight had"):
        fitted(search)


def test_callback_is_copied_with_its_estimator(path):
    callback = Checkpoint(path, every=2)
    vae = fitted(small(), X, callback)
    assert clone(vae)._skl_callbacks == [callback]
    again = pickle.loads(pickle.dumps(vae))
    assert repr(again._skl_callbacks) == f"[Checkpoint({str(path)!r}, every=2)]"
