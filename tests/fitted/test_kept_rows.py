"""A bounded sample of a stream of rows."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.data._scaling import Scaling
from skvae.fitted import _kept_rows
from skvae.fitted._kept_rows import KeptRows


@pytest.fixture
def few(monkeypatch):
    """Room for 20 rows, and for 5 that are held out."""
    monkeypatch.setattr(_kept_rows, "_ROWS", 20)


def kept_of(X, weight=None, is_held_out=None):
    X = np.asarray(X, dtype=float)
    if weight is None:
        weight = np.ones(len(X))
    if is_held_out is None:
        is_held_out = np.zeros(len(X), dtype=bool)
    return KeptRows.none(X, 0).and_rows(X, weight, is_held_out)


def scaling_of(kept):
    index = np.arange(len(kept.X))
    return Scaling.from_rows(kept.X, index, kept.weight, standardize=True)


def test_equal_rows_of_two_chunks_are_one():
    kept = kept_of([[3.0], [1.0]]).and_rows(
        np.array([[2.0], [3.0]]), np.array([1.0, 4.0]), np.zeros(2, dtype=bool)
    )
    assert_array_equal(kept.X, [[1.0], [2.0], [3.0]])
    assert_array_equal(kept.weight, [1.0, 1.0, 5.0])
    assert kept.is_whole


def test_a_row_that_was_trained_on_is_not_held_out():
    rows, both = np.array([[1.0], [2.0], [3.0]]), np.ones(3)
    first = kept_of(rows, is_held_out=np.array([True, True, False]))
    then = first.and_rows(rows, both, np.array([True, False, True]))
    assert_array_equal(then.is_held_out, [True, False, False])


def test_no_more_rows_are_kept_than_there_is_room_for(few):
    X = np.arange(100.0)[:, None]
    kept = kept_of(X, is_held_out=X[:, 0] >= 90).thinned(0)
    assert kept.is_held_out.sum() == 5
    assert (~kept.is_held_out).sum() == 20
    assert not kept.is_whole
    assert_array_equal(kept.X, np.sort(kept.X, axis=0))
    # Rows of equal weight stand for as many others each.
    assert len(np.unique(kept.weight)) == 2


def test_wide_rows_are_fewer(monkeypatch):
    monkeypatch.setattr(_kept_rows, "_CELLS", 30)
    assert len(kept_of(np.arange(20.0).reshape(4, 5)).thinned(0).X) == 4
    assert len(kept_of(np.arange(100.0).reshape(10, 10)).thinned(0).X) == 3


def test_sums_over_a_stream_are_estimated_without_bias(few):
    rng = np.random.default_rng(0)
    chunks = rng.normal(3.0, 1.0, size=(8, 30, 1))
    weights = rng.integers(1, 5, size=(8, 30)).astype(float)
    totals, means = [], []
    for seed in range(400):
        kept = KeptRows.none(chunks[0], seed)
        for n_calls, (X, weight) in enumerate(zip(chunks, weights, strict=True)):
            kept = kept.and_rows(X, weight, np.zeros(30, dtype=bool)).thinned(n_calls)
        totals.append(kept.weight.sum())
        means.append(kept.weight @ kept.X[:, 0])
    for found, exact in (
        (totals, weights.sum()),
        (means, (weights * chunks[..., 0]).sum()),
    ):
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - exact) < 4.0 * error


def test_a_start_is_due_where_rows_double_or_a_column_leaves_its_scale():
    X = np.random.default_rng(0).normal(size=(100, 2))
    kept = kept_of(X)
    assert not kept.is_due(scaling_of(kept))
    started = kept.started("policy", True, scaling_of(kept))
    assert not started.is_due(scaling_of(started))
    again = started.and_rows(X, np.ones(100), np.zeros(100, dtype=bool))
    # The same rows once more tell nothing new.
    assert not again.is_due(scaling_of(again))
    more = started.and_rows(X + 1e-9, np.ones(100), np.zeros(100, dtype=bool))
    assert more.is_due(scaling_of(more))
    wide = started.and_rows(5.0 * X[:50], np.ones(50), np.zeros(50, dtype=bool))
    assert wide.is_due(scaling_of(wide))
    now = scaling_of(started)
    for shift, is_due in ((0.2, False), (0.3, True)):
        moved = replace(now, center=now.center + shift * now.scale)
        assert started.is_due(moved) is is_due


def test_once_rows_are_left_out_their_weight_counts(few):
    X = np.random.default_rng(0).normal(size=(100, 2))
    kept = kept_of(X).thinned(0)
    kept = kept.started("policy", True, scaling_of(kept))
    rows, none = X[:50] + 1e-9, np.zeros(50, dtype=bool)
    assert not kept.and_rows(rows, np.ones(50), none).is_due(scaling_of(kept))
    assert kept.and_rows(rows, np.full(50, 2.5), none).is_due(scaling_of(kept))


def test_replayed_rows_stand_for_those_that_were_trained_on():
    X = np.arange(40.0)[:, None]
    weight, none = np.where(X[:, 0] < 20, 1.0, 3.0), np.zeros(40, dtype=bool)
    kept = kept_of(X, weight, is_held_out=X[:, 0] >= 30)
    rows, fraction = kept.replayed(none, 8, 0)
    assert len(rows) == 8
    assert rows.max() < 30
    assert fraction.sum() == pytest.approx(1.0)
    again, _ = kept.replayed(none, 8, 0)
    assert_array_equal(rows, again)
    assert not np.array_equal(rows, kept.replayed(none, 8, 1)[0])
    choices = [kept.replayed(none, 8, n_calls) for n_calls in range(400)]
    means = [np.dot(fraction, rows[:, 0]) for rows, fraction in choices]
    # Weighted, 20 rows of weight 1 and 10 of weight 3.
    assert np.mean(means) == pytest.approx((9.5 * 20 + 24.5 * 30) / 50, abs=0.4)
    assert len(kept.replayed(none, 100, 0)[0]) == 30
    assert_array_equal(kept.replayed(X[:, 0] != 7, 8, 0)[0], [[7.0]])
    assert len(kept.replayed(~none, 8, 0)[0]) == 0


def test_rows_of_a_large_chunk_are_chosen_without_a_copy_of_it():
    X = np.random.default_rng(0).normal(size=(100_000, 20)).astype("float32")
    index, weight = np.arange(len(X)), np.ones(len(X))
    is_held_out = X[:, 0] > 1.0
    before = kept_of(X[:10])
    tracemalloc.start()
    kept = before.and_chunk(X, index, weight, is_held_out, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes
    assert len(kept.X) == 4096 + 1024
    assert not kept.is_whole
    assert kept.weight.sum() == pytest.approx(len(X), rel=0.02)
    held_out = kept.weight[kept.is_held_out].sum()
    assert held_out == pytest.approx(is_held_out.sum(), rel=0.05)


def test_rows_of_a_large_chunk_end_the_holding_out_of_others(few):
    X = np.arange(100.0)[:, None]
    before = kept_of(X[:2], is_held_out=np.array([True, False]))
    kept = before.and_chunk(X, np.arange(100), np.ones(100), np.zeros(100, bool), 1)
    assert not kept.is_held_out.any()


def test_models_of_fit_keep_no_rows():
    X = np.random.default_rng(0).normal(size=(60, 3))
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3}
    vae = BalancedVAE(1, random_state=0, **settings).fit(X)
    assert vae._fitted.kept is None
    kept = vae.partial_fit(X[:20])._fitted.kept
    assert_allclose(kept.X, X[np.argsort(X[:20, 0])])
    assert kept.origin is None
