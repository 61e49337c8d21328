"""Rows that stay in a large table."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from skvae import BalancedVAE
from skvae.data import _rows_in_table, _view
from skvae.data._columns import Columns
from skvae.data._rows import Rows
from skvae.data._rows_in_table import RowsInTable
from skvae.data._view import TableView
from skvae.likelihoods import Gaussian

N_ROWS = 300


@pytest.fixture(params=[False, True], ids=["complete", "with gaps"])
def table(request):
    X = np.random.default_rng(0).standard_normal((N_ROWS, 4)).astype("float32")
    X[:, 1] *= 100.0
    X[:, 2] = 5.0
    if request.param:
        X[::7, 0] = np.nan
    return X


@pytest.fixture
def small_parts(monkeypatch):
    """Let small tables be large ones, of several blocks."""
    monkeypatch.setattr(_view, "_LARGE", 0)
    monkeypatch.setattr(_rows_in_table, "_CELLS", 100)


def rows_of(X):
    index, weight = np.arange(len(X))[::-1], 1.0 + np.arange(len(X))
    likelihood, columns = Gaussian().fit(X), np.ones(X.shape[1], dtype=bool)
    arguments = X, index, weight
    view = TableView.from_rows(
        Columns.of_numbers(X.shape[1]),
        likelihood,
        *arguments,
        continuous=columns,
        standardize=True,
    )
    return view.rows(
        *arguments,
        has_gaps=bool(np.isnan(X).any()),
        like=torch.zeros(()),
        random=np.random.RandomState(0),
    )


def assert_same(rows, other):
    for one, two in zip(rows, other, strict=True):
        assert one is two if one is None or two is None else torch.equal(one, two)


@pytest.mark.parametrize(
    "some", [slice(None), slice(3, 200), torch.tensor([7, 0, 250, 7])], ids=str
)
def test_parts_are_those_of_rows_in_memory(table, monkeypatch, some, small_parts):
    rows, jacobian = rows_of(table)
    monkeypatch.undo()
    expected, expected_jacobian = rows_of(table)
    assert isinstance(rows, RowsInTable)
    assert isinstance(expected, Rows)
    assert jacobian == expected_jacobian
    assert (rows.n_rows, rows.n_features) == table.shape
    assert rows.like.dtype == expected.like.dtype
    assert_same(rows.part(some), expected.part(some))
    assert_same(rows.take(some).part(slice(None)), expected.take(some))
    window, expected = rows.window(10), expected.window(10)
    assert_same(window.part(some), expected.part(some))
    assert rows.sample is rows


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_model_is_that_of_rows_in_memory(
    table, monkeypatch, early_stopping, prior, small_parts
):
    vae = BalancedVAE(
        2,
        hidden_layer_sizes=(8,),
        max_iter=3,
        tol=1e3,
        prior=prior,
        early_stopping=early_stopping,
        random_state=0,
    )
    Z = vae.fit(table).transform(table)
    elbo, history = vae.elbo_, vae.history_["elbo"]
    monkeypatch.undo()
    np.testing.assert_array_equal(vae.fit(table).transform(table), Z)
    assert vae.elbo_ == elbo
    np.testing.assert_array_equal(vae.history_["elbo"], history)


def test_drawn_cells_are_kept(small_parts):
    X = np.random.default_rng(0).integers(0, 9, (N_ROWS, 3)).astype("float64")
    vae = BalancedVAE(2, max_iter=2, tol=1e3, standardize="quantile", random_state=0)
    assert np.isfinite(vae.fit(X, sample_weight=np.ones(N_ROWS)).elbo_)


# Memory of a fit beyond X, as a fraction of X.
PEAK = """
import json, sys, threading, time, warnings
import numpy as np, torch
from skvae import BalancedVAE

warnings.simplefilter("ignore")
torch.set_num_threads(1)
vae = BalancedVAE(2, hidden_layer_sizes=(8,), max_iter=1, batch_size=4096)
shape, likelihood = json.loads(sys.argv[1])
vae.set_params(likelihood=likelihood, random_state=0)
X = np.random.default_rng(0).standard_normal(shape, dtype="float32")
vae.fit(X[:1000])


def resident():
    with open("/proc/self/status") as status:
        return next(1024 * int(l.split()[1]) for l in status if "RssAnon" in l)


before, peak, is_over = resident(), 0, False


def watch():
    global peak
    while not is_over:
        peak = max(peak, resident())
        time.sleep(0.005)


thread = threading.Thread(target=watch)
thread.start()
vae.fit(X)
is_over = True
thread.join()
print((peak - before) / X.nbytes)
"""


MIXED = [
    ("gaussian", list(range(0, 90, 2))),
    ("student_t", list(range(1, 90, 2))),
    ("laplace", list(range(90, 100))),
]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("shape", "likelihood"),
    [((1_000_000, 30), "gaussian"), ((200_000, 100), MIXED)],
    ids=["gaussian", "mixed"],
)
def test_fit_does_not_need_the_memory_of_a_copy(shape, likelihood):
    # Memory that is free again is given back, whatever lies behind it.
    done = subprocess.run(
        [sys.executable, "-c", PEAK, json.dumps([shape, likelihood])],
        capture_output=True,
        check=True,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)},
    )
    # A copy of the held-out rows alone would be 0.1.
    assert float(done.stdout) < 0.53
