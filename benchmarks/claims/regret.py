"""Every balance policy against a grid of fixed betas: `pages/regret.md`."""

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.decomposition import PCA, FactorAnalysis

from benchmarks.common.benchmark import Benchmark, product, widths
from benchmarks.common.clocks import timed
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import reference
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
    return [{"model": m, "log_likelihood": float(s)} for m, s in scores.items()]


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
    case = ["table", "k", "seed"]
    lines = pd.json_normalize(runs, "records", case)
    tried = lines[lines["model"] == GRID].groupby(case, sort=False)
    best = lines.loc[tried["log_likelihood"].idxmax()].assign(model="best beta")
    searched = lines.loc[tried["validation"].idxmax()].assign(model="searched beta")
    lines = pd.concat([lines, best, searched], ignore_index=True)
    nats, seconds, cases = lines["log_likelihood"], lines["fit_seconds"], lines[case]
    lines["regret"] = reference(nats, lines["model"] == "best beta", cases) - nats
    lines["time"] = seconds / reference(seconds, lines["model"] == "constant", cases)
    return lines


def summary(lines):
    """Frames with a line for each table and size and a column for each model.

    The percentage is of the range from the null model to the best of all VAEs.
    """
    over_seeds = dict.fromkeys(["log_likelihood", "regret", "active"], "mean")
    grouped = lines.groupby(["table", "k", "model"], sort=False)
    found = grouped.agg({**over_seeds, "time": "median"}).unstack()
    score, regret = found["log_likelihood"], found["regret"][COMPARED]
    best = score["best beta"] - regret.min(axis=1).clip(upper=0)
    return {
        "score": score,
        "regret": regret,
        "percent": 100 * regret.div(best - score["null"], axis=0),
        "rank": regret.rank(axis=1, method="first"),
        "active": found["active"][COMPARED],
        "time": found["time"][COMPARED],
    }


def default_table(runs, found):
    """One line for each table and size: densities, grid and default."""
    rows = pd.DataFrame(runs).groupby(["table", "k"], sort=False).first()
    rows = rows.join(found["score"])
    for value in ("regret", "percent"):
        rows[value] = found[value][DEFAULT]
    names = ["null", "PCA", "FactorAnalysis", "searched beta", "best beta"]
    listed = " | ".join(f"{name} {{{name}:.2f}}" for name in names)
    columns = (
        f"table {{table}} | rows {{n_rows}} | columns {{n_features}} | k {{k}} | "
        f"{listed} | default {{{DEFAULT}:.2f}} | regret {{regret:+.2f}} | "
        "% of range {percent:+.1f}"
    )
    return table(columns, rows.reset_index())


def policy_table(found):
    """One line for each policy: regret over the tables, rank, activity and time."""
    regret = found["regret"]
    rows = pd.DataFrame(
        {
            "policy": [f"`{m}`" if m in POLICIES else m for m in COMPARED],
            "mean": regret.mean(),
            "median": regret.median(),
            "worst": regret.max(),
            "percent": found["percent"].max(),
            "rank": found["rank"].mean(),
            "active": found["active"].mean(),
            "time": found["time"].median(),
        }
    )
    columns = (
        "policy {policy} | mean regret {mean:+.2f} | median {median:+.2f} | "
        "worst {worst:+.2f} | worst, % of range {percent:+.1f} | "
        "mean rank {rank:.1f} | active latents {active:.0%} | time {time:.1f}"
    )
    return table(columns, rows.sort_values("rank", kind="stable"))


def regret_table(found):
    """Regret of each policy on each table, the mean over sizes."""
    cells = [f"{name.replace('_', ' ')} {{{name}:+.2f}}" for name in COMPARED]
    rows = found["regret"].groupby("table", sort=False).mean().reset_index()
    return table(" | ".join(["table {table}", *cells]), rows)


def verdict(found):
    """The goals of the default."""
    score, regret = found["score"], found["regret"][DEFAULT]
    default, percent = score[DEFAULT], found["percent"][DEFAULT]
    worst = percent.idxmax()
    linear = score[["PCA", "FactorAnalysis"]].sub(default, axis=0)
    below = [
        f"{name} (k = {k}, {model}, {lead:.2f})"
        for (name, k), row in linear.iterrows()
        for model, lead in row[row > 0].items()
    ]
    text = f"Mean regret of the default, `{DEFAULT}`: {regret.mean():+.2f} nats per row"
    worst_text = (
        f"Worst table: {worst[0]}, k = {worst[1]}: {regret[worst]:+.2f} nats, "
        f"{percent[worst]:+.1f} % of the range from the null model to the best"
    )
    best = "Below PCA or FactorAnalysis of the same size"
    return [
        goal(f"{text} (at most 0)", regret.mean() <= 0),
        goal(f"{worst_text} (at most +1 %)", percent[worst] <= 1),
        goal(f"{best}: {', '.join(below) or 'on no table'} (on none)", not below),
    ]


def findings(found):
    """The default against a search, and what its own hidden layers change."""
    score, regret = found["score"], found["regret"][DEFAULT]
    default = score[DEFAULT]
    short, gain = score["searched beta"] - default, score[WIDER] - default
    ends = [
        f"{gain[name, k]:+.2f} ({name}, k = {k})"
        for name, k in (gain.idxmin(), gain.idxmax())
    ]
    return (
        "Against the beta that a search picks, the default has a regret of "
        f"{short.mean():+.2f} nats per row in the mean, {short.max():+.2f} at worst. "
        "With its own hidden layers of 128-128, its log-likelihood changes by "
        f"{gain.mean():+.2f} in the mean, median {gain.median():+.2f}: from {ends[0]} "
        f"to {ends[1]}. Its mean regret against the best beta of the smaller networks "
        f"is then {regret.mean() - gain.mean():+.2f}; no grid was run with 128-128."
    )


def answer(found):
    """Mean and worst regret of the default, in a sentence."""
    regret, default = found["regret"][DEFAULT], found["score"][DEFAULT]
    searched = found["score"]["searched beta"] - default
    worst = regret.idxmax()
    return (
        "Nothing is lost on average: untuned, the default is "
        f"{-regret.mean():.2f} nats per row above the best beta of a grid, picked "
        "with hindsight, and "
        f"{-searched.mean():.2f} above the beta that a search picks; at worst it is "
        f"{regret[worst]:.2f} below ({worst[0]}, {worst[1]} latents)."
        if regret.mean() <= 0
        else f"The default loses {regret.mean():.2f} nats per row on average against "
        f"the best beta of a grid, and {regret[worst]:.2f} at worst ({worst[0]}, "
        f"{worst[1]} latents)."
    )


def slots(results):
    found = summary(lines_of(results["runs"]))
    return {
        "answer": answer(found),
        "findings": findings(found),
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
