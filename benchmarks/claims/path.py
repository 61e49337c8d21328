"""A path of betas with folds, against a grid search and against plain PyTorch.

    python -m benchmarks.claims.path
    python -m benchmarks.claims.path --quick

The same work three times: each beta is trained on each training fold and scored on the
test fold. `beta_path` and `GridSearchCV(n_jobs=2)` over `BalancedVAE` give the same
scores but for rounding, which is recorded. The plain loop is a textbook VAE of the same
layers, with Adam, the same batch size, and for each model as many optimiser steps as on
the path. It neither holds out rows nor calibrates, nor does it merge or weigh rows, and
so does less.

All run in turn on the same two cores: the path with a process for each of two folds,
the search with a process for each of two fits, the loop with one torch thread, with
which networks of this size are fastest. With `balance="constant"` there is one model
for each beta, and no candidates that the loop would not have.
"""

import argparse
import itertools
import json
import math
import os
import platform
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler
from torch import nn

from skvae import BalancedVAE, __version__, beta_path
from skvae.metrics import rate_distortion_scoring

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "path.json"
DATA = Path(os.environ.get("SKVAE_DATA", ROOT.parent / "shared" / "data"))

HIDDEN, N_COMPONENTS, N_JOBS = (64, 64), 5, 2
# Rows that are taken of a table, for the time that the plain loop takes.
MAX_ROWS = 5000
# Steps and batches of `BalancedVAE(batch_size="auto")`.
MIN_STEPS = 20


def _california():
    import pandas as pd

    frame = pd.read_parquet(DATA / "california_housing.parquet")
    X = frame.select_dtypes("number").to_numpy(np.float64)
    return X[np.random.default_rng(0).permutation(len(X))[:MAX_ROWS]]


TABLES = {
    "breast cancer": lambda: load_breast_cancer().data,
    "california housing": _california,
}


def layers(*widths):
    """Linear layers with an activation in between."""
    parts = []
    for n_in, n_out in itertools.pairwise(widths):
        parts += [nn.Linear(n_in, n_out), nn.SiLU()]
    return nn.Sequential(*parts[:-1])


class TextbookVAE(nn.Module):
    """Two hidden layers on either side, as in most tutorials."""

    def __init__(self, n_features):
        super().__init__()
        self.encoder = layers(n_features, *HIDDEN, 2 * N_COMPONENTS)
        self.decoder = layers(N_COMPONENTS, *reversed(HIDDEN), n_features)

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = 0.5 * (self.decoder(z) - x).square().sum(dim=1).mean()
        kl = mean.square() + log_variance.exp() - log_variance - 1.0
        return error, 0.5 * kl.sum(dim=1).mean()


def batches_of(n_rows, batch_size, n_steps):
    """Shuffled batches, as a data loader that drops the last one gives them."""
    while True:
        for batch in torch.randperm(n_rows).split(batch_size)[: n_rows // batch_size]:
            if n_steps == 0:
                return
            n_steps -= 1
            yield batch


def textbook(X, betas, folds, n_epochs):
    """Train and score one model after another, for so many of the path's epochs."""
    torch.manual_seed(0)
    scores = []
    for (train, test), of_fold in zip(folds, n_epochs.T, strict=True):
        scaler = StandardScaler().fit(X[train])
        rows, new = (
            torch.tensor(scaler.transform(X[part]), dtype=torch.float32)
            for part in (train, test)
        )
        batch_size = int(np.clip(0.9 * len(rows) // 64, 128, 1024))
        n_steps = max(MIN_STEPS, math.ceil(0.9 * len(rows) / batch_size))
        for beta, n_passes in zip(betas, of_fold, strict=True):
            model = TextbookVAE(X.shape[1])
            optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
            for batch in batches_of(len(rows), batch_size, n_steps * n_passes):
                error, rate = model(rows[batch])
                optimiser.zero_grad()
                (error + beta * rate).backward()
                optimiser.step()
            with torch.no_grad():
                scores.append(-float(sum(model(new))))
    return scores


def seconds_of(function):
    """What a function returns, and how long it takes."""
    start = time.perf_counter()
    found = function()
    return found, time.perf_counter() - start


def compare(X, n_betas, n_folds, max_iter):
    """Seconds of the three on one table."""
    settings = {
        "n_components": N_COMPONENTS,
        "hidden_layer_sizes": HIDDEN,
        "balance": "constant",
        "max_iter": max_iter,
        "random_state": 0,
    }
    folds = list(KFold(n_folds, shuffle=True, random_state=0).split(X))
    path, seconds = seconds_of(
        lambda: beta_path(X, betas=n_betas, cv=folds, n_jobs=N_JOBS, **settings)
    )
    search = GridSearchCV(
        BalancedVAE(**settings),
        {"beta": path.betas},
        cv=folds,
        n_jobs=N_JOBS,
        scoring=rate_distortion_scoring(),
        refit=False,
    )
    _, of_search = seconds_of(lambda: search.fit(X))
    difference = search.cv_results_["mean_test_elbo"] - path.elbo.mean(axis=1)
    n_epochs = np.array([[model.n_iter_ for model in row] for row in path.models])
    _, of_loop = seconds_of(lambda: textbook(X, path.betas, folds, n_epochs))
    return {
        "n_rows": len(X),
        "n_features": X.shape[1],
        "n_betas": n_betas,
        "n_folds": n_folds,
        "max_iter": max_iter,
        "mean_epochs": float(n_epochs.mean()),
        "path_seconds": seconds,
        "search_seconds": of_search,
        "loop_seconds": of_loop,
        "search_ratio": of_search / seconds,
        "loop_ratio": of_loop / seconds,
        # Models are trained in float32, and rounding differs with the number of them.
        "median_difference_of_elbo": float(np.median(np.abs(difference))),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    args = parser.parse_args()
    if not DATA.is_dir() and "california housing" in args.tables and not args.quick:
        parser.error(f"no data sets at {DATA}; set SKVAE_DATA to their folder")
    warnings.simplefilter("ignore")
    # Workers have been started, and torch imported, before anything is timed.
    torch.set_num_threads(1)
    small = load_breast_cancer().data[:300]
    compare(small, n_betas=2, n_folds=2, max_iter=1)

    tables = ["breast cancer"] if args.quick else args.tables
    size = (4, 2, 10) if args.quick else (20, 5, 100)
    found = {}
    print("| table | path, s | search / path | loop / path |")
    print("| --- | ---: | ---: | ---: |")
    for name in tables:
        row = found[name] = compare(TABLES[name](), *size)
        print(
            f"| {name} | {row['path_seconds']:.1f} | {row['search_ratio']:.1f} | "
            f"{row['loop_ratio']:.1f} |",
            flush=True,
        )
    results = {
        "tables": found,
        "is_quick": args.quick,
        "environment": {
            "skvae": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "date": date.today().isoformat(),
        },
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
