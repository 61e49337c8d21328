"""`partial_fit` on streams: as good as `fit` on all rows at once."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skvae import BalancedVAE
from skvae.balance import OptimalVariance
from skvae.exceptions import ColumnWarning
from skvae.fitted import _kept_rows
from skvae.networks import MLP

# Of `fit` for an epoch.
pytestmark = pytest.mark.filterwarnings("ignore:Training ended after max_iter=1")

SETTINGS = {"hidden_layer_sizes": (16,), "random_state": 0}


def rows_of(n_rows, seed=0):
    random = np.random.default_rng(seed)
    codes, loadings = random.normal(size=(n_rows, 2)), np.arange(10.0).reshape(2, 5)
    return np.tanh(codes @ loadings / 5.0) + 0.3 * random.normal(size=(n_rows, 5))


def passes(chunks, n_passes=1, **params):
    vae = BalancedVAE(2, **{**SETTINGS, "max_iter": n_passes * len(chunks), **params})
    for _ in range(n_passes):
        for chunk in chunks:
            vae.partial_fit(chunk)
    return vae


@pytest.mark.parametrize("n_passes", [1, 3])
def test_a_stream_is_as_good_as_a_fit_of_as_many_passes(n_passes):
    X, new = rows_of(2000), rows_of(1000, seed=1)
    whole = BalancedVAE(2, max_iter=n_passes, tol=1e3, **SETTINGS).fit(X)
    stream = passes(np.split(X, 10), n_passes)
    assert stream.score(new) > whole.score(new) - 0.3


# Rows in a unit a hundred times larger hold nearly all of the variance, which falls
# with each chunk to come: 0.15 to 1.03 nats were measured of a stream as short as this.
@pytest.mark.parametrize(("factor", "loss"), [(0.01, 0.3), (100.0, 0.7)])
def test_a_first_chunk_in_another_scale(factor, loss):
    """It freezes nothing: a frozen scale cost hundreds of nats and more."""
    X, new = rows_of(2000), rows_of(1000, seed=1)
    X[:200] *= factor
    losses = []
    for seed in range(5):
        settings = {**SETTINGS, "random_state": seed}
        whole = BalancedVAE(2, max_iter=1, tol=1e3, **settings).fit(X)
        stream = passes(np.split(X, 10), random_state=seed)
        losses.append(whole.score(new) - stream.score(new))
    assert np.mean(losses) < loss


def test_a_small_stream_is_as_good_as_a_fit():
    """A chunk is one step, and an epoch of `fit` at least twenty."""
    X, new = rows_of(320), rows_of(1000, seed=1)
    whole = BalancedVAE(2, max_iter=1, tol=1e3, **SETTINGS).fit(X)
    assert passes(np.split(X, 16)).score(new) > whole.score(new) - 0.3


def test_what_the_latest_chunks_lack_is_not_forgotten():
    """Rows of two kinds, one after the other: of the first kind no more come."""
    X, new = rows_of(2400), rows_of(1000, seed=1)
    for rows in (X[:1200], new):
        rows[:, :2] = -rows[:, 1::-1] + 1.0
    whole = BalancedVAE(2, max_iter=5, tol=1e3, **SETTINGS).fit(X)
    chunks = [*np.split(X[:1200], 6), *np.split(X[1200:], 6)]
    stream = BalancedVAE(2, max_iter=60, **SETTINGS)
    for kind in (chunks[:6], chunks[6:]):
        for _ in range(5):
            for chunk in kind:
                stream.partial_fit(chunk)
    assert stream.score(new) > whole.score(new) - 0.3


def test_a_start_that_would_fail_refuses_no_chunk():
    """Where nothing is held out any more, the policy can go on but not start."""
    X = rows_of(400)
    policy = OptimalVariance(source="validation")
    vae = BalancedVAE(2, balance=policy, early_stopping=True, max_iter=3, **SETTINGS)
    vae.partial_fit(X[:100]).set_params(early_stopping=False)
    vae.partial_fit(X)
    assert not vae._fitted.kept.is_held_out.any()
    assert vae.n_iter_ == 2
    assert np.isfinite(vae.elbo_)
    with pytest.raises(ValueError, match="none are held out here"):
        clone(vae).partial_fit(X)


def test_a_cell_that_no_start_could_hold_refuses_no_chunk():
    X = rows_of(400)
    vae = BalancedVAE(2, standardize=False, max_iter=3, **SETTINGS)
    vae.partial_fit(X[:200])
    X[203, 2] = 1e14
    vae.partial_fit(X[200:])
    assert np.isfinite(vae.elbo_)
    with pytest.raises(ValueError, match=r"ranges from .* to 1e\+14"):
        clone(vae).partial_fit(X[200:])


def test_a_scale_that_changes_late():
    X, new = rows_of(2000), rows_of(1000, seed=1)
    X[:1600] *= 0.01
    whole = BalancedVAE(2, max_iter=1, tol=1e3, **SETTINGS).fit(X)
    assert passes(np.split(X, 10)).score(new) > whole.score(new) - 0.3


def test_networks_without_a_linear_start_get_the_new_scale_too():
    X = rows_of(1000)
    X[:100] *= 0.01
    vae = passes(np.split(X, 10), network=MLP((8,), linear_path=False))
    found = vae._fitted.view.scaling.scale / X.std(axis=0)
    assert (found > 0.5).all()
    assert (found < 2.0).all()


@pytest.mark.parametrize("first", [0, 1])
def test_figures_are_of_all_chunks(first):
    """Whichever of two kinds of rows came last."""
    X = rows_of(1200)
    kinds = [X[:600], X[600:] + 4.0]
    chunks = [*np.split(kinds[first], 4), *np.split(kinds[1 - first], 4)]
    vae = passes(chunks)
    parts = [vae.score(kind) for kind in kinds]
    assert vae.elbo_ == pytest.approx(np.mean(parts), abs=0.4)
    assert vae._fitted.kept.weight.sum() == pytest.approx(1200)


def test_rows_that_are_held_out_stay_so_in_later_passes():
    chunks = np.split(rows_of(600), 6)
    once, thrice = passes(chunks, random_state=3), passes(chunks, 3, random_state=3)
    held_out = once._fitted.kept.is_held_out
    assert 40 < held_out.sum() < 80
    assert_array_equal(thrice._fitted.kept.is_held_out, held_out)
    # In whatever chunks they come again.
    vae = passes(chunks, random_state=3)
    shuffled = np.random.RandomState(0).permutation(np.concatenate(chunks))
    for chunk in np.split(shuffled, 10):
        vae.partial_fit(chunk)
    assert_array_equal(vae._fitted.kept.is_held_out, held_out)


@pytest.mark.parametrize("n_rows", [2, 3, 10])
def test_rows_of_small_chunks_are_held_out_whatever_their_rank(n_rows):
    X = np.random.RandomState(0).normal(5.0, 1.0, (360, 1))
    vae = passes([X[:60], *np.split(X[60:], 300 // n_rows)], random_state=0)
    kept = vae._fitted.kept
    assert 0.05 < kept.is_held_out.mean() < 0.16
    assert kept.X[~kept.is_held_out].mean() == pytest.approx(X.mean(), abs=0.1)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(_kept_rows, "_ROWS", 100)
    chunks = np.split(rows_of(1000), 5)
    vae = passes(chunks)
    assert len(vae._fitted.kept.X) == 125
    assert np.isfinite(vae.elbo_)
    # Weights are whole rows, one after the other.
    assert vae._fitted.kept.weight.sum() == pytest.approx(1000, rel=0.15)


def test_the_best_weights_are_kept_on_held_out_rows():
    """A call that makes the model worse changes no code, and training goes on."""
    X = rows_of(1000)
    vae = passes(np.split(X, 4))
    before, weights = vae.elbo_, vae._fitted.training_state.values
    vae.set_params(learning_rate="constant", learning_rate_init=1.0)
    vae.partial_fit(X[:250])
    assert vae.elbo_ > before - 0.05
    assert (vae._fitted.training_state.values != weights).any()
    assert np.isfinite(vae.beta_)
    assert len(vae.history_["rate"]) == 5


def test_streams_go_on_from_files():
    chunks = np.split(rows_of(800), 4)
    straight, stored = passes(chunks), passes(chunks[:2], max_iter=4)
    stored = pickle.loads(pickle.dumps(stored))
    for chunk in chunks[2:]:
        stored.partial_fit(chunk)
    assert_array_equal(stored.transform(chunks[0]), straight.transform(chunks[0]))
    assert stored.elbo_ == straight.elbo_


def test_a_chunk_that_is_refused_changes_nothing():
    X = rows_of(400)
    vae = passes(np.split(X, 2))
    before = copy.copy(vars(vae))
    bad = X.copy()
    bad[7, 3] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        vae.partial_fit(bad)
    assert vars(vae) == before


def frame_of(kinds, n_rows=60, seed=0, declared=None):
    frame = pd.DataFrame(rows_of(n_rows, seed)[:, :3], columns=list("abc"))
    frame["kind"] = np.resize(kinds, n_rows)
    if declared is not None:
        frame["kind"] = frame["kind"].astype(pd.CategoricalDtype(declared))
    return frame


def test_declared_levels_are_known_from_the_first_chunk():
    """A level that comes in the second chunk is learned, as by `fit`."""
    declared = ["u", "v", "w"]
    first = frame_of(["u", "v"], declared=declared)
    later = frame_of(["u", "w"], seed=1, declared=declared)
    # Some of the few rows that are held out hold the level.
    vae = passes([first, later], 3, random_state=2)
    new = frame_of(["w"], 50, seed=2, declared=declared)
    cells = np.asarray(vae.score_cells(new))[:, 3]
    # A level that half of the later rows hold is not as rare as one never seen.
    assert cells.mean() < 3.0


def test_a_new_level_says_how_to_declare_it():
    vae = BalancedVAE(2, max_iter=3, **SETTINGS).partial_fit(frame_of(["u", "v"]))
    later = frame_of(["u", "island"], seed=1)
    with pytest.warns(
        ColumnWarning, match=r"'island'.*pandas\.CategoricalDtype\(\[\.\.\.\]\)"
    ):
        vae.partial_fit(later)
    strict = BalancedVAE(2, max_iter=3, handle_unknown="error", **SETTINGS)
    strict.partial_fit(frame_of(["u", "v"]))
    with pytest.raises(ValueError, match=r"'island'.*pandas\.CategoricalDtype"):
        strict.partial_fit(later)


def test_levels_of_rows_of_weight_0_are_not_learned():
    """As in `fit`."""
    frame = frame_of(["u", "v", "w"])
    weight = (frame["kind"] != "w").to_numpy().astype(float)
    settings = {**SETTINGS, "max_iter": 2, "tol": 1e3}
    for method in ("fit", "partial_fit"):
        vae = getattr(BalancedVAE(2, **settings), method)(frame, sample_weight=weight)
        assert list(vae._fitted.view.columns.levels(3)) == ["u", "v"]
