"""Held-out log-likelihood of every balance policy against a grid of fixed betas.

The measurements of `pages/regret.md`, which describes them.
"""

import numpy as np
from scipy.stats import norm
from sklearn.decomposition import PCA, FactorAnalysis

from benchmarks.common.benchmark import Benchmark, product, widths
from benchmarks.common.clocks import timed
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


def params_of(settings, k, seed):
    """Parameters of `BalancedVAE` that all models have."""
    return {
        "n_components": k,
        "hidden_layer_sizes": widths(settings["hidden"]),
        "max_iter": settings["max_iter"],
        "random_state": seed,
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
    """Records of independent normals, PCA and factor analysis."""
    normals = norm(train.mean(axis=0), train.std(axis=0))
    scores = {"null": normals.logpdf(test).sum(axis=1).mean()}
    factors = FactorAnalysis(n_components, max_iter=5000)
    for name, model in {"PCA": PCA(n_components), "FactorAnalysis": factors}.items():
        scores[name] = model.fit(train).score(test)
    return [
        {"model": name, "log_likelihood": float(nats)} for name, nats in scores.items()
    ]


def grid(train, valid, test, params, settings):
    """The constant betas and the losses that people copy, in one run."""
    sizes = {"n_features": train.shape[1], "n_components": params["n_components"]}
    books = [beta_from_loss(**sizes, **loss) for loss in TEXTBOOK.values()]
    low, high, n_betas = (settings[name] for name in ("low", "high", "n_betas"))
    betas = [*np.geomspace(low, high, n_betas).round(5).tolist(), *books]
    names = [*[GRID] * n_betas, *TEXTBOOK]
    found, seconds = timed(
        lambda: beta_path(train, betas=betas, balance="constant", **params)
    )
    seconds /= len(betas)
    return [
        record(model, name, valid, test, seconds, settings)
        for name, model in zip(names, found.models, strict=True)
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
    params = params_of(settings, k, seed)
    if model == LINEAR:
        records = linear_models(train, test, k)
    elif model == GRID:
        records = grid(train, valid, test, params, settings)
    else:
        if model == WIDER:
            del params["hidden_layer_sizes"]
        else:
            params["balance"] = model
        vae, seconds = timed(lambda: BalancedVAE(**params).fit(train))
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
        chosen = {"best beta": best, "searched beta": searched}
        records += [{**each, "model": model} for model, each in chosen.items()]
        constant = next(each for each in records if each["model"] == "constant")
        for each in records:
            # None: not timed beside the others.
            seconds = each.get("fit_seconds") or np.nan
            line = {
                "table": name,
                "where": (name, k),
                "regret": best["log_likelihood"] - each["log_likelihood"],
                "time": seconds / constant["fit_seconds"],
            }
            lines.append({**each, **line})
    return lines


def summary(lines):
    """Means over seeds, each as ``found[quantity][table, k][model]``.

    The percentage is of the range from the null model to the best of all VAEs.
    """
    compared = [line for line in lines if line["model"] in COMPARED]
    score = means(lines, "log_likelihood", "where", "model")
    regret = means(compared, "regret", "where", "model")
    percent, rank = {}, {}
    for where, row in regret.items():
        best = score[where]["best beta"] - min(0, *row.values())
        unit = (best - score[where]["null"]) / 100
        percent[where] = {name: nats / unit for name, nats in row.items()}
        # In the order of the tables, which decides between equal ones.
        rank[where] = ranks({name: -row[name] for name in COMPARED}, "ordinal")
    return {
        "score": score,
        "regret": regret,
        "percent": percent,
        "rank": rank,
        "active": means(compared, "active", "where", "model"),
        "time": means(compared, "time", "where", "model", statistic=np.median),
    }


def default_table(runs, found):
    """One line for each table and size: densities, grid and default."""
    rows = []
    for where, group in groups(runs, "table", "k").items():
        of = {value: found[value][where][DEFAULT] for value in ("regret", "percent")}
        rows.append({**group[0], **found["score"][where], **of})
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
    rows = []
    for name in COMPARED:
        of = {
            value: [row[name] for row in by_table.values()]
            for value, by_table in found.items()
        }
        rows.append(
            {
                "policy": f"`{name}`" if name in POLICIES else name,
                "mean": np.mean(of["regret"]),
                "median": np.median(of["regret"]),
                "worst": max(of["regret"]),
                "percent": max(of["percent"]),
                "rank": np.mean(of["rank"]),
                "active": np.mean(of["active"]),
                "time": np.median(of["time"]),
            }
        )
    columns = (
        "policy {policy} | mean regret {mean:+.2f} | median {median:+.2f} | "
        "worst {worst:+.2f} | worst, % of range {percent:+.1f} | "
        "mean rank {rank:.1f} | active latents {active:.0%} | time {time:.1f}"
    )
    return table(columns, sorted(rows, key=lambda row: row["rank"]))


def regret_table(lines):
    """Regret of each policy on each table, the mean over sizes."""
    regrets = means(lines, "regret", "table", "model")
    cells = [f"{name.replace('_', ' ')} {{{name}:+.2f}}" for name in COMPARED]
    rows = [{**row, "table": name} for name, row in regrets.items()]
    return table(" | ".join(["table {table}", *cells]), rows)


def verdict(found):
    """The goals of the default, and what its own hidden layers change."""
    score = found["score"].items()
    regret = {where: row[DEFAULT] for where, row in found["regret"].items()}
    percent = {where: row[DEFAULT] for where, row in found["percent"].items()}
    worst, mean = max(percent, key=percent.get), np.mean(list(regret.values()))
    short = [row["searched beta"] - row[DEFAULT] for _, row in score]
    below = [
        f"{name} (k = {k}, {model}, {row[model] - row[DEFAULT]:.2f})"
        for (name, k), row in score
        for model in ("PCA", "FactorAnalysis")
        if row[model] > row[DEFAULT]
    ]
    gain = {where: row[WIDER] - row[DEFAULT] for where, row in score}
    gains = list(gain.values())
    ends = [
        f"{gain[name, k]:+.2f} ({name}, k = {k})"
        for name, k in (min(gain, key=gain.get), max(gain, key=gain.get))
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
    lines = lines_of(results["runs"])
    found = summary(lines)
    return {
        "goals": "\n".join(verdict(found)),
        "default": default_table(results["runs"], found),
        "policies": policy_table(found),
        "regrets": regret_table(lines),
    }


BENCHMARK = Benchmark(
    "regret", "regret", SETTINGS, QUICK, keys, measure, slots, n_jobs=2
)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
