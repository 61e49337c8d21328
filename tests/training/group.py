"""Jobs of a process in a group of two: python -m tests.training.group JOB STORE OUTPUT.

The environment names the process, as torchrun does.
"""

import os
import pickle
import sys
import tempfile
import warnings
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from torch import distributed

from skvae import BalancedVAE, OutlierVAE, beta_path
from skvae.callbacks import Checkpoint
from skvae.fit._progress import Report
from skvae.networks import MLP
from skvae.training._ranks import Ranks
from skvae.training._run import Run

X = load_wine().data
GAPS = np.where(np.arange(X.size).reshape(X.shape) % 7, X, np.nan)
COUNTS = np.column_stack([X[:, :3], X[:, 5] > 2, np.round(X[:, 1])])
LAST = np.arange(len(X)) == len(X) - 1
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "tol": 1e3, "random_state": 0}
SMALL |= {"precision": "float64", "device": "cpu", "n_components": 3}

#: Settings and tables: policies and divergences that are no sums over rows, too.
CASES = {
    "default": ({}, X),
    "batches": ({"batch_size": 51, "early_stopping": False}, X),
    "float32": ({"precision": "float32"}, X),
    "missing": ({"batch_size": 51}, GAPS),
    "mixed": ({"batch_size": 51}, COUNTS),
    "weights": ({"balance": "learned_variance"}, X),
    "tails": ({"balance": "constant", "likelihood": "student_t"}, X),
    "set point": ({"balance": "geco"}, X),
    "floor": ({"balance": "free_bits", "batch_size": 51}, X),
    "between rows": ({"divergence": "mmd", "batch_size": 51}, X),
    "several draws": (
        {"divergence": "importance_weighted", "balance": "constant"},
        X,
    ),
    "full": ({"hidden_layer_sizes": (8,), "network": MLP((8,), posterior="full")}, X),
    "dropout": ({"network": MLP((8,), dropout=0.2), "batch_size": 51}, X),
    "chunks": ({"batch_size": 51}, [X[:90], X[90:]]),
}


def small(cls=BalancedVAE, **params):
    return cls(**{**SMALL, **params})


def fitted(name):
    """All that a fit leaves, as arrays."""
    params, table = CASES[name]
    vae = small(**params).fit(table)
    return {
        "values": vae._fitted.values,
        "variance": vae._fitted.variance,
        "beta": vae.beta_,
        "n_iter": vae.n_iter_,
        "score": vae.score_samples(X if isinstance(table, list) else table),
        **vae.history_,
    }


def path():
    settings = {name: value for name, value in SMALL.items() if name != "beta"}
    return beta_path(X, betas=[0.3, 3.0], cv=2, **settings).elbo


def error_of(vae, table=X, weight=None):
    """Error of a fit with its message, and what the fit has left."""
    try:
        vae.fit(table, sample_weight=weight)
    except BaseException as error:
        left = [name for name in vars(vae) if name[-1] == "_"]
        return f"{type(error).__name__}: {error}", left
    raise AssertionError("fit raised no error")


@contextmanager
def after(owner, name, do):
    """Let a method also do something, given the object, and return what that says."""
    method = getattr(owner, name)

    def also(self, *args, **kwargs):
        result = method(self, *args, **kwargs)
        return do(self, result) or result

    setattr(owner, name, also)
    try:
        yield
    finally:
        setattr(owner, name, method)


def fit_all(rank):
    """Results of all fits that end."""
    found = {name: fitted(name) for name in CASES}
    found["path"] = path()
    rows = set()
    with after(Ranks, "own", lambda ranks, own: rows.add(own.shape[-2])):
        small(batch_size=51, early_stopping=False).fit(X)
    found["rows"] = rows
    with after(Report, "__call__", lambda report, _: rank and report.n_done == 2):
        found["stopped"] = small().fit(X).n_iter_
    return found


def fail_all(rank):
    """Errors of fits that cannot be."""
    errors = {
        "other table": error_of(small(), X ** (1 + rank)),
        "other units": error_of(small(), X * 1000.0**rank),
        "other levels": error_of(small(), pd.DataFrame({"a": ["b", "cd"[rank]] * 30})),
        "other counts": error_of(small(likelihood="poisson"), COUNTS[:, 4:] + rank),
        "other seed": error_of(small(random_state=rank)),
        "other draws": error_of(small(random_state=np.random.RandomState(rank))),
        "other weights": error_of(
            small(likelihood="poisson"), COUNTS[:, 4:], 1 + rank * LAST
        ),
        "other prior": error_of(small(prior=["normal", "mixture"][rank])),
        "other threshold": error_of(small(OutlierVAE, contamination=0.1 + 0.1 * rank)),
        "small batch": error_of(small(batch_size=1)),
    }

    def fit_beside(report, _):
        with ThreadPool(1) as beside:
            errors["two threads"] = beside.apply(error_of, [small()])

    with after(Report, "close", fit_beside):
        small().fit(X)

    def drift(run, _):
        run.stepper.parameters.values.add_(1e-12 * rank)

    folder = Path(tempfile.mkdtemp())
    mine, missing = (str(folder / name) for name in ("mine", "missing"))
    small().set_callbacks(Checkpoint(mine)).fit(X)
    resumed = small().set_callbacks(Checkpoint([mine, missing][rank]))
    errors["other epoch"] = error_of(resumed)
    with after(Run, "epoch", drift):
        errors["apart"] = error_of(small())
    return errors


def fail_one(rank):
    """Errors of both processes where one of them has an error, and lives on."""
    bad = np.where((X[3, 3] == X) & (rank == 0), np.inf, X)

    def fail(error):
        def act(report, _):
            if rank == 0 and report.n_done == 2:
                raise error

        return act

    errors = {"data": error_of(small(), bad)}
    for name, error in {
        "callback": RuntimeError("of a callback"),
        "interruption": KeyboardInterrupt("of the user"),
    }.items():
        with after(Report, "__call__", fail(error)):
            errors[name] = error_of(small())

    def fit_within(report, _):
        if rank == 0 and report.estimator.max_iter == 4:
            small(max_iter=1).fit(X)

    with after(Report, "__call__", fit_within):
        errors["fit within"] = error_of(small())
    with after(Report, "close", fail(RuntimeError("after the training"))):
        errors["end"] = error_of(small(max_iter=2))
    return errors


def fit_in_two_parts(path):
    """Weights of a fit that is cut off in all processes, and gone on with.

    They keep it in the same file.
    """

    def fail(report, _):
        if report.n_done == 2:
            raise RuntimeError("cut off")

    def resumable():
        return small().set_callbacks(Checkpoint(path))

    with after(Report, "__call__", fail):
        error_of(resumable())
    with after(Report, "__call__", lambda report, _: epochs.append(report.n_done)):
        epochs = []
        vae = resumable().fit(X)
    assert epochs == [3, 4]
    return vae._fitted.values


def fit_long():
    """Fit for longer than anybody waits."""

    def tell(report, _):
        if report.n_done == 3:
            print("epoch 3", flush=True)

    with after(Report, "__call__", tell):
        small(max_iter=10**6, early_stopping=False).fit(X)


def main(job, rank, folder):
    if job == "long":
        return fit_long()
    found = {"errors": fail_all(rank) | fail_one(rank)}
    found["in two parts"] = fit_in_two_parts(folder / "shared")
    # The group of the user is still in order.
    return {**found, **fit_all(rank)}


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    job, store, output = sys.argv[1:]
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    distributed.init_process_group(
        "gloo",
        store=distributed.FileStore(store, size),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=20 if job == "long" else 300),
    )
    Path(output).write_bytes(pickle.dumps(main(job, rank, Path(store).parent)))
    distributed.destroy_process_group()
