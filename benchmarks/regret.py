"""Held-out log-likelihood of every balance policy, against a grid of fixed betas.

    python benchmarks/regret.py          # run what is missing, then write the results
    python benchmarks/regret.py --page   # write the page of the documentation

Each table is split 60/20/20. Everything is fitted on the first part, the estimator with
its defaults, which hold out a tenth of it, but for hidden layers of 64 (`--hidden`),
which take a quarter of the time. A grid of twelve constant betas is searched
on the second part, as a user would, and, with hindsight, on the third. All models are
scored by their importance-weighted log-likelihood on the third part, in nats per row.

Results are kept as they come in `benchmarks/results/regret.json`, so that a run that
was cut off goes on where it stopped; `--fresh` forgets them.
"""

import argparse
import json
import os
import platform
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from regret_page import write_page
from scipy.linalg import qr
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture

from skvae import BalancedVAE, __version__
from skvae._path import fit_betas
from skvae.balance import POLICIES, beta_from_loss

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "regret.json"
DATA = Path(os.environ.get("SKVAE_DATA", ROOT.parent / "shared" / "data"))

BETAS = [float(beta) for beta in np.geomspace(1e-3, 10.0, 12).round(5)]
SEEDS = [0, 1, 2]
N_COMPONENTS = [2, 5]
N_IMPORTANCE_SAMPLES = 100
# Rows that are scored; a mean over more would not change what it says.
MAX_SCORED_ROWS = 1000
MIXTURES = [1, 2, 3, 5, 8, 12, 16, 20]

TEXTBOOK = {
    "sum of squares + KL": {"error_reduction": "sum"},
    "mean squared error + KL": {},
    "mean squared error + 0.1 KL": {"weight": 0.1},
}


def _parquet(name, columns="."):
    import pandas as pd

    frame = pd.read_parquet(DATA / f"{name}.parquet")
    return frame.select_dtypes("number").filter(regex=columns)


def _anomaly(name):
    return np.load(DATA / "anomaly" / f"{name}.npz")["X"]


def _crime():
    frame = _parquet("communities_crime")
    return frame.loc[:, frame.notna().all()]


TABLES = {
    "wine": lambda: load_wine().data,
    "diabetes": lambda: load_diabetes(scaled=False).data,
    "breast cancer": lambda: load_breast_cancer().data,
    "digits": lambda: load_digits().data,
    "cardiotocography": lambda: _anomaly("cardio"),
    "communities and crime": _crime,
    "page blocks": lambda: _anomaly("pageblocks"),
    "gas sensors": lambda: _parquet("gas_sensor_drift", r"^s\d"),
    "pen digits": lambda: _anomaly("pendigits"),
    "california housing": lambda: _parquet("california_housing"),
}


def load(name):
    """Numeric columns of a table, none of them a linear function of the others.

    The density of such a column is infinite, which says nothing of a model.
    """
    X = np.asarray(TABLES[name](), dtype=np.float64)
    X = X[:20_000, X.std(axis=0) > 0]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    _, triangle, order = qr(Z, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    return X[:, np.sort(order[diagonal > 1e-6 * diagonal[0]])]


def split(X, seed):
    """Rows to fit on, to choose on and to score, in units of the first."""
    order = np.random.default_rng(seed).permutation(len(X))
    first, second = int(0.6 * len(X)), int(0.8 * len(X))
    train, valid, test = np.split(X[order], [first, second])
    varies = train.std(axis=0) > 0
    center, scale = train[:, varies].mean(axis=0), train[:, varies].std(axis=0)
    train, valid, test = (
        (part[:, varies] - center) / scale for part in (train, valid, test)
    )
    # A value further outside the rows fitted on than they are wide is an error of
    # recording, and would alone decide a mean of squares.
    low, high = train.min(axis=0), train.max(axis=0)
    width = high - low
    valid, test = (
        part[((part > low - width) & (part < high + width)).all(axis=1)]
        for part in (valid, test)
    )
    return train, valid[:MAX_SCORED_ROWS], test[:MAX_SCORED_ROWS]


def record(model, kind, beta, valid, test, seconds):
    """What is kept of a fitted estimator."""
    return {
        "kind": kind,
        "beta": beta,
        "log_likelihood": float(
            model.log_likelihood(test, N_IMPORTANCE_SAMPLES).mean()
        ),
        "elbo": float(model.score(test)),
        "validation": float(model.score(valid)),
        "active": float(model.active_units_.mean()),
        "seconds": seconds,
    }


def anchors(train, test, n_components):
    """Log-likelihood of simple densities."""
    mixtures = (
        GaussianMixture(n, reg_covar=1e-4, random_state=0).fit(train)
        for n in MIXTURES
        # More have not the rows to estimate a covariance each.
        if n * 2 * train.shape[1] <= len(train) or n == 1
    )
    models = {
        "PCA": PCA(n_components).fit(train),
        "FactorAnalysis": FactorAnalysis(n_components, max_iter=5000).fit(train),
        "GaussianMixture": min(mixtures, key=lambda model: model.bic(train)),
    }
    found = {name: float(model.score(test)) for name, model in models.items()}
    variance = train.var(axis=0)
    nats = (
        np.log(2 * np.pi * variance) + np.square(test - train.mean(axis=0)) / variance
    )
    return {"null": float(-0.5 * nats.sum(axis=1).mean()), **found}


def cell(name, n_components, seed, hidden_layer_sizes):
    """All models of one table, size and seed."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    train, valid, test = split(load(name), seed)
    n_features = train.shape[1]
    vae = BalancedVAE(
        n_components, hidden_layer_sizes=hidden_layer_sizes, random_state=seed
    )
    models = []
    for balance in POLICIES:
        start = time.perf_counter()
        model = clone(vae).set_params(balance=balance).fit(train)
        seconds = time.perf_counter() - start
        models.append(record(model, balance, None, valid, test, seconds))
    books = {
        label: beta_from_loss(n_features=n_features, n_components=n_components, **loss)
        for label, loss in TEXTBOOK.items()
    }
    start = time.perf_counter()
    grid = fit_betas(
        vae.set_params(balance="constant"), train, [*BETAS, *books.values()]
    )
    seconds = (time.perf_counter() - start) / len(grid)
    labels = ["grid"] * len(BETAS) + list(books)
    for label, model in zip(labels, grid, strict=True):
        models.append(record(model, label, model.beta, valid, test, seconds))
    return {
        "table": name,
        "n_components": n_components,
        "seed": seed,
        "n_rows": len(train),
        "n_features": n_features,
        "anchors": anchors(train, test, n_components),
        "models": models,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64, 64])
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the page only")
    args = parser.parse_args()

    results = {"cells": []}
    if RESULTS.exists() and not args.fresh:
        results = json.loads(RESULTS.read_text())
    done = {(c["table"], c["n_components"], c["seed"]) for c in results["cells"]}
    keys = [
        (name, n_components, seed)
        for seed in SEEDS
        for n_components in N_COMPONENTS
        for name in args.tables
        if (name, n_components, seed) not in done
    ]
    if not args.page:
        if not DATA.is_dir():
            parser.error(f"no data sets at {DATA}; set SKVAE_DATA to their folder")
        results["settings"] = {
            "hidden": "-".join(map(str, args.hidden)),
            "n_samples": N_IMPORTANCE_SAMPLES,
            "low": BETAS[0],
            "high": BETAS[-1],
        }
        results["environment"] = {
            "skvae": __version__,
            "python": platform.python_version(),
            "date": date.today().isoformat(),
        }
        run = Parallel(n_jobs=args.n_jobs, return_as="generator_unordered")
        for found in run(delayed(cell)(*key, tuple(args.hidden)) for key in keys):
            results["cells"].append(found)
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(found["table"], found["n_components"], found["seed"], flush=True)
    write_page(results, ROOT / "docs" / "guide" / "regret.md")


if __name__ == "__main__":
    main()
