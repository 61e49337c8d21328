"""Held-out log-likelihood of every balance policy, against a grid of fixed betas.

    python -m benchmarks.claims.regret
    python -m benchmarks.claims.regret --page

Each table is split 60/20/20. Everything is fitted on the first part, the estimator with
its defaults, which hold out a tenth of it, but for hidden layers of 64 (`--hidden`),
which take a quarter of the time. A grid of twelve constant betas is searched
on the second part, as a user would, and, with hindsight, on the third. All models are
scored by their importance-weighted log-likelihood on the third part, in nats per row.

Once for each table and seed, the default is compared with a mixture of normals on the
table without its grids: with each number of latents, with the number that its own
held-out rows choose, and with a mixture for a prior. Last comes the default with the
hidden layers that it has, where that is another network.

Results are kept as they come in `benchmarks/results/regret.json`, so that a run that
was cut off goes on where it stopped; `--fresh` forgets them.
"""

import argparse
import json
import platform
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.decomposition import PCA, FactorAnalysis

from benchmarks.claims.mixtures import (
    best_mixture,
    dequantise,
    fit_prior,
    log_likelihood,
    repeated,
)
from benchmarks.common.tables import DATA, TABLES, load, split
from benchmarks.pages.mixtures_page import (
    mixtures_section,
    mixtures_verdict,
    wider_verdict,
)
from benchmarks.pages.regret_page import means, merged, write_page
from skvae import BalancedVAE, __version__
from skvae._runs import fit_betas
from skvae.balance import POLICIES, beta_from_loss

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "regret.json"
PAGE = ROOT / "docs" / "guide" / "regret.md"

BETAS = [float(beta) for beta in np.geomspace(1e-3, 10.0, 12).round(5)]
SEEDS = [0, 1, 2]
N_COMPONENTS = [2, 5]
# What a default with a free number of latents chooses from.
FREE_COMPONENTS = [2, 5, 10, 20]
N_IMPORTANCE_SAMPLES = 100
# Rows that are fitted on, for the time that all of this takes.
MAX_FITTED_ROWS = 5000

# Run with the grid; the other policies come after it.
FIRST = ["constant", "running_average"]

TEXTBOOK = {
    "sum of squares + KL": {"error_reduction": "sum"},
    "mean squared error + KL": {},
    "mean squared error + 0.1 KL": {"weight": 0.1},
}


def record(model, kind, beta, valid, test, seconds):
    """What is kept of a fitted estimator, scored in the precision it trained in."""
    valid, test = valid.astype(np.float32), test.astype(np.float32)
    return {
        "kind": kind,
        "beta": beta,
        "log_likelihood": float(
            model.log_likelihood(test, N_IMPORTANCE_SAMPLES).mean()
        ),
        "validation": float(model.score(valid)),
        "active": float(model.active_units_.mean()),
        "seconds": seconds,
    }


def anchors(train, test, n_components):
    """Log-likelihood of simple densities."""
    models = {
        "PCA": PCA(n_components).fit(train),
        "FactorAnalysis": FactorAnalysis(n_components, max_iter=5000).fit(train),
    }
    found = {name: float(model.score(test)) for name, model in models.items()}
    variance = train.var(axis=0)
    nats = (
        np.log(2 * np.pi * variance) + np.square(test - train.mean(axis=0)) / variance
    )
    return {"null": float(-0.5 * nats.sum(axis=1).mean()), **found}


def fitted(balances, vae, train, valid, test):
    """What is kept of some policies at their defaults."""
    models = []
    for balance in balances:
        start = time.perf_counter()
        model = clone(vae).set_params(balance=balance).fit(train)
        seconds = time.perf_counter() - start
        models.append(record(model, balance, None, valid, test, seconds))
    return models


def cell(name, n_components, seed, hidden_layer_sizes):
    """The default, constant betas and linear models of one table, size and seed."""
    train, valid, test = split(load(name), seed, MAX_FITTED_ROWS)
    n_features = train.shape[1]
    vae = BalancedVAE(
        n_components, hidden_layer_sizes=hidden_layer_sizes, random_state=seed
    )
    models = fitted(FIRST, vae, train, valid, test)
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
        "n_rows": len(train),
        "n_features": n_features,
        "anchors": anchors(train, test, n_components),
        "models": models,
    }


def policies(name, n_components, seed, hidden_layer_sizes):
    """The other policies of one table, size and seed."""
    vae = BalancedVAE(
        n_components, hidden_layer_sizes=hidden_layer_sizes, random_state=seed
    )
    others = [balance for balance in POLICIES if balance not in FIRST]
    return {"models": fitted(others, vae, *split(load(name), seed, MAX_FITTED_ROWS))}


def without_grid(name, n_components, seed, hidden_layer_sizes):
    """The default and a mixture of normals on a table without its grids."""
    parts = split(load(name), seed, MAX_FITTED_ROWS)
    on_grid = mixture_score(*parts)
    parts, n_gridded = dequantise(parts, seed)
    train, valid, test = parts
    models, sizes = [], []
    for size in sorted({min(k, train.shape[1] - 1) for k in FREE_COMPONENTS}):
        vae = BalancedVAE(
            size, hidden_layer_sizes=hidden_layer_sizes, random_state=seed
        )
        start = time.perf_counter()
        models.append(vae.fit(train))
        kept = record(vae, size, None, valid, test, time.perf_counter() - start)
        kept["held out"] = float(vae.elbo_)
        sizes.append({**kept, "anchors": anchors(train, test, size)})
    chosen = max(models, key=lambda vae: vae.elbo_)
    prior = fit_prior(chosen, train, seed)
    nats = log_likelihood(chosen, test, prior, N_IMPORTANCE_SAMPLES)
    return {
        "n_gridded": n_gridded,
        "repeated": repeated(train),
        "GaussianMixture on the grid": on_grid,
        "GaussianMixture": mixture_score(*parts) if n_gridded else on_grid,
        "sizes": sizes,
        "chosen": chosen.n_components,
        "mixture prior": float(nats.mean()),
        "n_mixture_prior": prior.n_components,
    }


def mixture_score(train, valid, test):
    return float(best_mixture(train).score(test))


def default_network(name, n_components, seed, hidden_layer_sizes):
    """The default with the hidden layers that it has."""
    train, valid, test = split(load(name), seed, MAX_FITTED_ROWS)
    start = time.perf_counter()
    vae = BalancedVAE(n_components, random_state=seed).fit(train)
    seconds = time.perf_counter() - start
    return record(vae, "default", None, valid, test, seconds)


# What is run for each entry of a list of results.
SECTIONS = {
    "cells": cell,
    "policies": policies,
    "without_grid": without_grid,
    "default_network": default_network,
}


def run(section, name, n_components, seed, hidden_layer_sizes):
    """An entry of a list of results, with what it is of."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    found = SECTIONS[section](name, n_components, seed, hidden_layer_sizes)
    return section, {
        "table": name,
        "n_components": n_components,
        "seed": seed,
        "wall": time.perf_counter() - start,
        **found,
    }


def keys_of(tables):
    """What is to be run, what the most depends on first."""
    order = [("cells", 0), ("without_grid", 0), ("cells", 1), ("cells", 2)]
    order += [("policies", 0), ("without_grid", 1), ("without_grid", 2)]
    order += [("policies", 1), ("policies", 2)]
    order += [("default_network", seed) for seed in SEEDS]
    for section, seed in order:
        for name in tables:
            for k in [None] if section == "without_grid" else N_COMPONENTS:
                yield section, name, k, seed


def save(results):
    """Keep what there is."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def publish(results):
    """Write the page, tables and sizes in their order whatever was ready first."""
    tables = list(TABLES)
    for section in SECTIONS:
        results[section].sort(
            key=lambda entry: (
                tables.index(entry["table"]),
                entry["n_components"] or 0,
                entry["seed"],
            )
        )
    found = means(merged(results))
    entries = results["without_grid"]
    verdicts = [mixtures_verdict(entries)]
    if results["default_network"]:
        verdicts.append(wider_verdict(found, results))
    sections = mixtures_section(results["cells"], entries, FREE_COMPONENTS)
    write_page(results, found, PAGE, verdicts, sections)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64, 64])
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the page only")
    args = parser.parse_args()

    results = {section: [] for section in SECTIONS}
    if RESULTS.exists() and not args.fresh:
        results |= json.loads(RESULTS.read_text())
    done = {
        (section, entry["table"], entry["n_components"], entry["seed"])
        for section in SECTIONS
        for entry in results[section]
    }
    keys = [key for key in keys_of(args.tables) if key not in done]
    if not args.page:
        if not DATA.is_dir():
            parser.error(f"no data sets at {DATA}; set SKVAE_DATA to their folder")
        results["settings"] = {
            "hidden": "-".join(map(str, args.hidden)),
            "n_samples": N_IMPORTANCE_SAMPLES,
            "low": BETAS[0],
            "high": BETAS[-1],
            "max_rows": MAX_FITTED_ROWS,
        }
        results["environment"] = {
            "skvae": __version__,
            "python": platform.python_version(),
            "date": date.today().isoformat(),
        }
        jobs = Parallel(n_jobs=args.n_jobs, return_as="generator_unordered")
        for section, found in jobs(
            delayed(run)(*key, tuple(args.hidden)) for key in keys
        ):
            results[section].append(found)
            save(results)
            print(
                *(found[k] for k in ("table", "n_components", "seed", "wall")),
                flush=True,
            )
        save(results)
    publish(results)


if __name__ == "__main__":
    main()
