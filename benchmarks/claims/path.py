"""A path of betas with folds, against a grid search and against plain PyTorch.

Each trains every beta on every training fold and scores it on the test fold.
`beta_path` and `GridSearchCV` over `BalancedVAE` give the same scores but for rounding,
whose size is recorded. The plain loop trains the VAE of a tutorial with the same layers
and batch size, and for each model as many optimizer steps as on the path. It neither
holds out rows nor calibrates, and does less work. There is no page; the numbers are in
`results/path.json`.

All run in turn on the same two cores: the path and the search with two processes, the
loop with one torch thread, which is fastest for networks of this size. With
`balance="constant"` there is one model for each beta.
"""

import math
import time

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler
from torch import nn

from benchmarks.common import markdown
from benchmarks.common.benchmark import Benchmark
from benchmarks.common.peers import VAE, kl
from benchmarks.common.tables import TABLES
from skvae import BalancedVAE, beta_path
from skvae.metrics import rate_distortion_scoring

SETTINGS = {
    "tables": ["breast cancer", "california housing"],
    "n_betas": 20,
    "n_folds": 5,
    "max_iter": 100,
    # To limit the time of the plain loop.
    "max_rows": 5000,
}
QUICK = {"tables": ["breast cancer"], "n_betas": 4, "n_folds": 2, "max_iter": 10}
HIDDEN, N_COMPONENTS, N_JOBS = (64, 64), 5, 2
# Steps and batches of `BalancedVAE(batch_size="auto")`.
MIN_STEPS = 20


def batches_of(n_rows, batch_size, n_steps):
    """Batches of a shuffling data loader that drops the last one."""
    while True:
        for batch in torch.randperm(n_rows).split(batch_size)[: n_rows // batch_size]:
            if n_steps == 0:
                return
            n_steps -= 1
            yield batch


def terms(model, x):
    """Mean error and rate, the decoder variance fixed to one."""
    output = model(x)
    error = 0.5 * (output.decoded - x).square().sum(dim=1).mean()
    return error, kl(output.mean, output.log_variance).mean()


def textbook(X, betas, folds, n_epochs):
    """Train and score one model after another, for as many epochs as on the path."""
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
            model = VAE(X.shape[1], N_COMPONENTS, HIDDEN, nn.SiLU)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
            for batch in batches_of(len(rows), batch_size, n_steps * n_passes):
                error, rate = terms(model, rows[batch])
                optimizer.zero_grad()
                (error + beta * rate).backward()
                optimizer.step()
            with torch.no_grad():
                scores.append(-float(sum(terms(model, new))))
    return scores


def seconds_of(function):
    """Result of a function, and the seconds it takes."""
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
        "mean_epochs": float(n_epochs.mean()),
        "path_seconds": seconds,
        "search_seconds": of_search,
        "loop_seconds": of_loop,
        "search_ratio": of_search / seconds,
        "loop_ratio": of_loop / seconds,
        # Rounding in float32 differs with the number of models that train together.
        "median_difference_of_elbo": float(np.median(np.abs(difference))),
    }


def keys(settings):
    return [{"table": name} for name in settings["tables"]]


def measure(settings, table):
    X = np.asarray(TABLES[table](), dtype=np.float64)
    rows = np.random.default_rng(0).permutation(len(X))[: settings["max_rows"]]
    X = X[rows] if len(X) > settings["max_rows"] else X
    # Starts the workers, and imports torch in them, before anything is timed.
    compare(X[:300], n_betas=2, n_folds=2, max_iter=1)
    return compare(X, *(settings[name] for name in ("n_betas", "n_folds", "max_iter")))


def slots(results):
    columns = {
        "table": "{table}",
        "path, s": "{path_seconds:.1f}",
        "search / path": "{search_ratio:.1f}",
        "loop / path": "{loop_ratio:.1f}",
    }
    return {"table": markdown.table(columns, results["runs"])}


BENCHMARK = Benchmark("path", None, SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
