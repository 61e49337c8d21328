"""Likelihoods of counts against a Gaussian on log(1 + x): `pages/counts.md`."""

import numpy as np
import pandas as pd

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.tables import FRAMES, bike_days, categories, data_file, parts
from skvae import BalancedVAE

SETTINGS = {
    "n_seeds": 3,
    "n_genes": 100,
    "max_rows": 2000,
    "max_iter": 100,
    "n_samples": 100,
}
QUICK = {"n_seeds": 1, "n_genes": 20, "max_rows": 300, "max_iter": 5}
LABELS = {
    "negative_binomial": "`negative_binomial`",
    "zero_inflated_negative_binomial": "`zero_inflated_negative_binomial`",
    "poisson": "`poisson`",
    "gaussian, dequantised": "`gaussian` on log(1 + x), dequantised",
    "gaussian, density": "`gaussian` on log(1 + x), density",
}
OURS, RIVALS = "negative_binomial", ["poisson", "gaussian, dequantised"]


def worm_neurons(n_genes):
    """Counts of the genes that have the most of them, in each cell."""
    X = np.load(data_file("scrna_worm_neuron_counts.npz"))["X"]
    chosen = np.argsort(-X.sum(axis=0, dtype=np.int64), kind="stable")[:n_genes]
    return pd.DataFrame(X[:, np.sort(chosen)].astype(float)).add_prefix("gene")


# Each table with its columns of counts; None stands for all.
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
    return product(seed=range(settings["n_seeds"]), table=TABLES, model=LABELS)


def likelihood_of(frame, counts, model):
    """The likelihood under test for the counts, the same ones for other columns."""
    others = frame.drop(columns=counts)
    numbers = list(others.select_dtypes("number"))
    pairs = [(model.split(",")[0], counts), ("gaussian", numbers)]
    pairs += [("categorical", categories(others))]
    return [pair for pair in pairs if pair[1]]


def measure(settings, table, model, seed):
    """Log-likelihood of new rows, in nats per row."""
    load, counts = TABLES[table]
    frame = load(settings)
    counts = list(frame) if counts is None else counts
    frame = frame.astype(dict.fromkeys(counts, float))
    most = settings["max_rows"]
    train, test = parts(frame, seed, most, most // 2)
    log_jacobian = 0.0
    if model.startswith("gaussian"):
        random = np.random.default_rng(seed)
        for part in (train, test):
            x = part[counts].to_numpy()
            if model.endswith("dequantised"):
                x = x + random.uniform(size=x.shape)
            part[counts] = np.log1p(x)
        # That of log(1 + x) is minus its value; missing cells have none.
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


def verdict(name, score):
    lead = score[OURS] - score[RIVALS]
    listed = " and ".join(f"{v:+.2f} to {LABELS[rival]}" for rival, v in lead.items())
    text = f"{name}: `{OURS}` relative to others, {listed} (above 0)"
    return goal(text, lead.min() > 0)


def answer(leads):
    """How far the negative binomial is from the next best, in a sentence."""
    n_best = (leads > 0).sum()
    listed = ", ".join(f"{lead:+.2f} on {name}" for name, lead in leads.items())
    return (
        f"`{OURS}` explains new counts best on {n_best} of {len(leads)} tables; its "
        f"lead over the next best, in nats per row, is {listed}."
    )


def slots(results):
    columns = (
        "likelihood of the counts {label} | log-likelihood {log_likelihood:.2f} | "
        "elbo {elbo:.2f} | active latents {active:.0%} | epochs {n_epochs:.0f}"
    )
    heading = (
        "**{table}**: {n_rows:,} rows fitted on, {n_columns} columns, {n_counts} of "
        "them counts"
    )
    goals, sections, leads = [], [], {}
    for name, runs in pd.DataFrame(results["runs"]).groupby("table", sort=False):
        rows = runs.groupby("model", sort=False).mean(numeric_only=True)
        score = rows["log_likelihood"]
        goals.append(verdict(name, score))
        leads[name] = score[OURS] - score[RIVALS].max()
        rows["label"] = rows.index.map(LABELS)
        rows = rows.sort_values("log_likelihood", ascending=False)
        sections += [heading.format(**runs.iloc[0]), table(columns, rows)]
    return {
        "answer": answer(pd.Series(leads)),
        "goals": "\n".join(goals),
        "tables": "\n\n".join(sections),
    }


BENCHMARK = Benchmark("counts", "counts", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
