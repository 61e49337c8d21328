"""Held-out log-likelihood of every balance policy against a grid of fixed betas.

The measurements of `pages/regret.md`, which describes them.
"""

import time

import numpy as np
from sklearn.decomposition import PCA, FactorAnalysis

from benchmarks.common.benchmark import Benchmark, product, widths
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import groups, means, ranks
from benchmarks.common.tables import TABLES, load, split
from skvae import BalancedVAE, beta_path
from skvae.balance import beta_from_loss

DEFAULT = "running_average"
POLICIES = ["constant", DEFAULT, "normalized", "linear", "sigmoid", "cosine"]
POLICIES += ["cyclical", "capacity", "free_bits", "geco", "control", "dynamic"]
POLICIES += ["learned_variance", "optimal_variance"]
# Losses that people copy: points on the beta axis.
TEXTBOOK = {
    "sum of squares + KL": {"error_reduction": "sum"},
    "mean squared error + KL": {},
    "mean squared error + 0.1 KL": {"weight": 0.1},
}
LINEAR, GRID, WIDER = "linear models", "grid", "default network"
# In the order of the tables.
COMPARED = [*POLICIES[:2], *TEXTBOOK, *POLICIES[2:]]
SETTINGS = {
    "hidden": "64-64",
    "n_samples": 100,
    "low": 1e-3,
    "high": 10.0,
    "n_betas": 12,
    # To limit the time that all of this takes.
    "max_rows": 5000,
    "n_seeds": 3,
    "n_components": [2, 5],
    "tables": list(TABLES),
    "max_iter": 100,
}
QUICK = {
    "n_betas": 3,
    "max_rows": 200,
    "n_seeds": 1,
    "n_components": [2],
    "tables": ["wine"],
    "max_iter": 3,
}


def record(model, name, valid, test, seconds, settings):
    """Scores of a fitted estimator, in the precision it trained in."""
    valid, test = valid.astype(np.float32), test.astype(np.float32)
    nats = model.log_likelihood(test, settings["n_samples"])
    return {
        "model": name,
        "beta": model.beta,
        "log_likelihood": float(nats.mean()),
        "validation": float(model.score(valid)),
        "active": float(model.active_units_.mean()),
        "fit_seconds": seconds,
    }


def linear_models(train, test, n_components):
    """Log-likelihood of independent normals, PCA and factor analysis."""
    variance = train.var(axis=0)
    squares = np.square(test - train.mean(axis=0)) / variance
    null = -0.5 * (np.log(2 * np.pi * variance) + squares).sum(axis=1).mean()
    factors = FactorAnalysis(n_components, max_iter=5000)
    found = {"PCA": PCA(n_components), "FactorAnalysis": factors}
    scores = {
        name: float(model.fit(train).score(test)) for name, model in found.items()
    }
    return {"null": float(null), **scores}


def grid(train, valid, test, params, settings):
    """The constant betas and the losses that people copy, in one run."""
    sizes = {"n_features": train.shape[1], "n_components": params["n_components"]}
    books = [beta_from_loss(**sizes, **loss) for loss in TEXTBOOK.values()]
    low, high, n_betas = (settings[name] for name in ("low", "high", "n_betas"))
    betas = np.geomspace(low, high, n_betas).round(5).tolist()
    start = time.process_time()
    models = beta_path(train, betas=[*betas, *books], balance="constant", **params)
    seconds = (time.process_time() - start) / len(models.models)
    names = [GRID] * n_betas + list(TEXTBOOK)
    return [
        record(model, name, valid, test, seconds, settings)
        for name, model in zip(names, models.models, strict=True)
    ]


def keys(settings):
    return product(
        seed=range(settings["n_seeds"]),
        table=settings["tables"],
        k=settings["n_components"],
        model=[LINEAR, GRID, *POLICIES, WIDER],
    )


def measure(settings, table, k, seed, model):
    """Records of a policy, of the grid or of the linear models."""
    train, valid, test = split(load(table), seed, settings["max_rows"])
    params = {
        "n_components": k,
        "max_iter": settings["max_iter"],
        "random_state": seed,
        "hidden_layer_sizes": widths(settings["hidden"]),
    }
    if model == LINEAR:
        scores = linear_models(train, test, k).items()
        records = [{"model": name, "log_likelihood": nats} for name, nats in scores]
    elif model == GRID:
        records = grid(train, valid, test, params, settings)
    else:
        if model == WIDER:
            del params["hidden_layer_sizes"]
        else:
            params["balance"] = model
        start = time.process_time()
        vae = BalancedVAE(**params).fit(train)
        seconds = time.process_time() - start
        records = [record(vae, model, valid, test, seconds, settings)]
    return {"n_rows": len(train), "n_features": train.shape[1], "records": records}


def lines_of(runs):
    """All records with their regrets, the best and the searched beta included."""
    lines = []
    for (name, k, _), group in groups(runs, "table", "k", "seed").items():
        records = [record for run in group for record in run["records"]]
        tried = [record for record in records if record["model"] == GRID]
        best = max(tried, key=lambda record: record["log_likelihood"])
        searched = max(tried, key=lambda record: record["validation"])
        records += [{**best, "model": "best beta"}]
        records += [{**searched, "model": "searched beta"}]
        constant = next(each for each in records if each["model"] == "constant")
        for each in records:
            regret = best["log_likelihood"] - each["log_likelihood"]
            # None: not timed beside the others.
            seconds = each.get("fit_seconds") or np.nan
            time_ratio = seconds / constant["fit_seconds"]
            where = {"where": (name, k), "regret": regret, "time": time_ratio}
            lines.append({**each, **where})
    return lines


class Summary:
    """Means over seeds, each as ``found[table, k][model]``."""

    def __init__(self, runs):
        lines = lines_of(runs)
        self.score = means(lines, "log_likelihood", "where", "model")
        self.regret = means(lines, "regret", "where", "model")
        lines = [line for line in lines if line["model"] in COMPARED]
        self.active = means(lines, "active", "where", "model")
        self.time = means(lines, "time", "where", "model", statistic=np.median)

    def percent(self, where, name):
        """Regret relative to the range from the null model to the best of all VAEs."""
        regret = self.regret[where]
        lowest = min(0, *(regret[model] for model in COMPARED))
        width = self.score[where]["best beta"] - lowest - self.score[where]["null"]
        return 100 * regret[name] / width


def default_table(runs, found):
    """One line for each table and size: densities, grid and default."""
    rows = [
        {
            **run,
            **found.score[run["table"], run["k"]],
            "regret": found.regret[run["table"], run["k"]][DEFAULT],
            "percent": found.percent((run["table"], run["k"]), DEFAULT),
        }
        for run in (group[0] for group in groups(runs, "table", "k").values())
    ]
    names = ["null", "PCA", "FactorAnalysis", "searched beta", "best beta"]
    listed = " | ".join(f"{name} {{{name}:.2f}}" for name in names)
    columns = (
        f"table {{table}} | rows {{n_rows}} | columns {{n_features}} | k {{k}} | "
        f"{listed} | default {{{DEFAULT}:.2f}} | regret {{regret:+.2f}} | "
        "% of range {percent:+.1f}"
    )
    return table(columns, rows)


def policy_table(found):
    """One line for each policy: regret over the tables, rank, activity and time."""
    wheres = list(found.regret)
    order = [
        ranks({name: -found.regret[where][name] for name in COMPARED}, "ordinal")
        for where in wheres
    ]
    rows = []
    for name in COMPARED:
        regret = [found.regret[where][name] for where in wheres]
        seconds = np.median([found.time[where][name] for where in wheres])
        rows.append(
            {
                "policy": f"`{name}`" if name in POLICIES else name,
                "mean": np.mean(regret),
                "median": np.median(regret),
                "worst": max(regret),
                "percent": max(found.percent(where, name) for where in wheres),
                "rank": np.mean([rank[name] for rank in order]),
                "active": np.mean([found.active[where][name] for where in wheres]),
                "time": None if np.isnan(seconds) else seconds,
            }
        )
    columns = (
        "policy {policy} | mean regret {mean:+.2f} | median {median:+.2f} | "
        "worst {worst:+.2f} | worst, % of range {percent:+.1f} | "
        "mean rank {rank:.1f} | active latents {active:.0%} | time {time:.1f}"
    )
    return table(columns, sorted(rows, key=lambda row: row["rank"]))


def regret_table(found):
    """Regret of each policy on each table, the mean over sizes."""
    rows = {}
    for (name, _), regret in found.regret.items():
        rows.setdefault(name, []).append(regret)
    cells = [f"{name.replace('_', ' ')} {{{name}:+.2f}}" for name in COMPARED]
    lines = []
    for name, regrets in rows.items():
        line = {m: np.mean([regret[m] for regret in regrets]) for m in COMPARED}
        lines.append({"table": name, **line})
    return table(" | ".join(["table {table}", *cells]), lines)


def verdict(found):
    """The goals of the default, and what its own hidden layers change."""
    regret = {where: row[DEFAULT] for where, row in found.regret.items()}
    percent = {where: found.percent(where, DEFAULT) for where in regret}
    worst = max(percent, key=percent.get)
    mean = np.mean(list(regret.values()))
    short = [row["searched beta"] - row[DEFAULT] for row in found.score.values()]
    below = [
        f"{name} (k = {k}, {model}, {row[model] - row[DEFAULT]:.2f})"
        for (name, k), row in found.score.items()
        for model in ("PCA", "FactorAnalysis")
        if row[model] > row[DEFAULT]
    ]
    gain = {where: row[WIDER] - row[DEFAULT] for where, row in found.score.items()}
    gains = list(gain.values())
    ends = [
        f"{gain[where]:+.2f} ({where[0]}, k = {where[1]})"
        for where in (min(gain, key=gain.get), max(gain, key=gain.get))
    ]
    text = f"Mean regret of the default, `{DEFAULT}`: {mean:+.2f} nats per row"
    worst_text = (
        f"Worst table: {worst[0]}, k = {worst[1]}: {regret[worst]:+.2f} nats, "
        f"{percent[worst]:+.1f} % of the range from the null model to the best"
    )
    best = "Below PCA or FactorAnalysis of the same size"
    return [
        goal(f"{text} (at most 0)", mean <= 0),
        f"- Against the beta that a search picks: {np.mean(short):+.2f} nats per row "
        f"in the mean, {max(short):+.2f} at worst.",
        goal(f"{worst_text} (at most +1 %)", percent[worst] <= 1),
        goal(f"{best}: {', '.join(below) or 'on no table'} (on none)", not below),
        "- With its own hidden layers of 128-128, the default changes by "
        f"{np.mean(gains):+.2f} nats per row in the mean, median "
        f"{np.median(gains):+.2f}: from {ends[0]} to {ends[1]}. Against the best beta "
        "of the smaller networks its mean regret is then "
        f"{mean - np.mean(gains):+.2f}; no grid was run with 128-128.",
    ]


def slots(results):
    found = Summary(results["runs"])
    return {
        "goals": "\n".join(verdict(found)),
        "default": default_table(results["runs"], found),
        "policies": policy_table(found),
        "regrets": regret_table(found),
    }


BENCHMARK = Benchmark(
    "regret", "regret", SETTINGS, QUICK, keys, measure, slots, n_jobs=2
)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
