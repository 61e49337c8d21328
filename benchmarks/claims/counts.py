"""Held-out log-likelihood of counts: families of counts against a Gaussian on log1p.

    python -m benchmarks.claims.counts

A probability of a count and a density of its logarithm do not compare as they are. With
its Jacobian, 1 / (1 + x) for each cell, a density of log(1 + x) becomes one of x. That
is a probability only where it hardly changes over a cell of width one; at zeros it may
exceed 1, and it has no upper limit where a value repeats. So there are two lines for
the Gaussian:

- "density": of log(1 + x), with the Jacobian, taken for a probability as it is;
- "dequantised": of log(1 + x + u), u uniform in [0, 1), with its Jacobian, in training
  and in scoring. Its mean over u is a lower bound on the log-probability of the cell
  [x, x + 1), so it compares with the log-probability of a count.

Other columns of a table are the same for all and count for all.
"""

import numpy as np

from benchmarks.common.benchmark import Benchmark
from benchmarks.common.frames import FRAMES, bike_days, parts
from benchmarks.common.tables import DATA
from benchmarks.pages.counts_page import counts_page
from skvae import BalancedVAE

SETTINGS = {
    "n_seeds": 3,
    "n_genes": 100,
    "max_rows": 2000,
    "max_iter": 100,
    "n_samples": 100,
}
QUICK = {"n_seeds": 1, "n_genes": 20, "max_rows": 300, "max_iter": 5}
MODELS = [
    "negative_binomial",
    "zero_inflated_negative_binomial",
    "poisson",
    "gaussian, dequantised",
    "gaussian, density",
]


def worm_neurons(n_genes):
    """Counts of the genes that have the most of them, in each cell."""
    import pandas as pd

    X = np.load(DATA / "scrna_worm_neuron_counts.npz")["X"]
    chosen = np.argsort(-X.sum(axis=0, dtype=np.int64), kind="stable")[:n_genes]
    return pd.DataFrame(X[:, np.sort(chosen)].astype(float)).add_prefix("gene")


# The counts of a table, or None where all columns are.
TABLES = {
    "worm neurons": (lambda settings: worm_neurons(settings["n_genes"]), None),
    "bikes by day": (lambda settings: bike_days().add_prefix("hour"), None),
    "bikes by hour": (
        # The third count is the sum of the other two.
        lambda settings: FRAMES["bike hours"]().drop(columns="cnt"),
        ["casual", "registered"],
    ),
}


def keys(settings):
    for seed in range(settings["n_seeds"]):
        for table in TABLES:
            for model in MODELS:
                yield {"table": table, "model": model, "seed": seed}


def likelihood_of(frame, counts, model):
    """A likelihood for the counts, and for the others what they hold."""
    others = frame.drop(columns=counts)
    numbers = list(others.select_dtypes("number"))
    codes = [name for name in others if name not in numbers]
    named = [(model.split(",")[0], counts), ("gaussian", numbers)]
    return [pair for pair in [*named, ("categorical", codes)] if pair[1]]


def measure(settings, table, model, seed):
    """Log-likelihood of rows that were not fitted on, in nats per row."""
    load, counts = TABLES[table]
    frame = load(settings)
    counts = list(frame) if counts is None else counts
    frame = frame.astype(dict.fromkeys(counts, float))
    most = settings["max_rows"]
    train, test = parts(frame, seed, (0.7, most), (0.3, most // 2))
    log_jacobian = 0.0
    if model.startswith("gaussian"):
        random = np.random.default_rng(seed)
        for part in (train, test):
            x = part[counts].to_numpy()
            if model.endswith("dequantised"):
                x = x + random.uniform(size=x.shape)
            part[counts] = np.log1p(x)
        # Of log(1 + x): minus its own value. A missing cell has none.
        log_jacobian = -np.nansum(test[counts].to_numpy(), axis=1)
    vae = BalancedVAE(
        likelihood=likelihood_of(frame, counts, model),
        max_iter=settings["max_iter"],
        random_state=seed,
    ).fit(train)
    nats = vae.log_likelihood(test, settings["n_samples"]) + log_jacobian
    elbo = vae.score_samples(test) + log_jacobian
    return {
        "log_likelihood": float(nats.mean()),
        "elbo": float(elbo.mean()),
        "active": float(vae.active_units_.mean()),
        "n_rows": len(train),
        "n_counts": len(counts),
        "n_columns": frame.shape[1],
        "n_epochs": int(vae.n_iter_),
    }


BENCHMARK = Benchmark("counts", SETTINGS, QUICK, keys, measure, counts_page)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
