"""Anomaly scores at the defaults against what people use: `pages/anomaly.md`."""

import importlib
from functools import partial

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import groups, means, ranks
from benchmarks.common.tables import anomaly
from skvae import BalancedVAE

PROTOCOLS = ["unsupervised", "clean"]
TABLES = ["cardio", "pageblocks", "pendigits"]
SETTINGS = {"n_seeds": 3, "max_rows": None}
QUICK = {"n_seeds": 1, "max_rows": 600}
OURS, LIKELIHOOD = "skvae", "skvae, log_likelihood"
LABELS = {OURS: "skvae, `-score_samples`", LIKELIHOOD: "skvae, `-log_likelihood`"}
MEASURES = {"AUROC": roc_auc_score, "average precision": average_precision_score}
SHORT = {"AUROC": "AUROC", "average precision": "AP"}


def skvae_scores(train, test, seed):
    """Both scores of one model."""
    vae = BalancedVAE(random_state=seed).fit(train)
    return {OURS: -vae.score_samples(test), LIKELIHOOD: -vae.log_likelihood(test)}


def forest_scores(train, test, seed):
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def pca_scores(train, test, seed):
    n_features = train.shape[1]
    pca = PCA(min(10, max(1, n_features // 2)), random_state=seed).fit(train)
    error = test - pca.inverse_transform(pca.transform(test))
    return np.square(error).sum(axis=1)


def pyod_scores(path, train, test, seed):
    """Scores of a detector of PyOD, found by its path in the package."""
    module, name = path.split(".")
    detector = getattr(importlib.import_module(f"pyod.models.{module}"), name)
    params = {} if name == "ECOD" else {"random_state": seed, "verbose": 0}
    return detector(**params).fit(train).decision_function(test)


MODELS = {
    OURS: skvae_scores,
    "IsolationForest": forest_scores,
    "PCA error": pca_scores,
    "ECOD": partial(pyod_scores, "ecod.ECOD"),
    "PyOD VAE": partial(pyod_scores, "vae.VAE"),
    "PyOD AutoEncoder": partial(pyod_scores, "auto_encoder.AutoEncoder"),
}


def keys(settings):
    seeds = range(settings["n_seeds"])
    return product(seed=seeds, protocol=PROTOCOLS, table=TABLES, model=MODELS)


def measure(settings, protocol, table, model, seed):
    """AUROC and average precision of each score of a model."""
    X, y = anomaly(table)
    train, test, is_odd, label = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=seed
    )
    if protocol == "clean":
        train = train[is_odd == 0]
    train = train[: settings["max_rows"]]
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    found = MODELS[model](train, test, seed)
    scores = {}
    for name, score in (found if model == OURS else {model: found}).items():
        scores[name] = {m: float(of(label, score)) for m, of in MEASURES.items()}
    return {"scores": scores}


def by_column(runs):
    """Scores as ``found[column][model]``, means over seeds."""
    lines = [
        {"column": f"{run['table']}, {SHORT[measure]}", "model": model, "score": score}
        for run in runs
        for model, scores in run["scores"].items()
        for measure, score in scores.items()
    ]
    return means(lines, "score", "column", "model")


def mean_ranks(scores, left_out):
    """Mean rank of each model but one over tables and measures."""
    rows = [{m: s for m, s in row.items() if m != left_out} for row in scores.values()]
    found = [ranks(row) for row in rows]
    return {model: np.mean([rank[model] for rank in found]) for model in found[0]}


def score_table(scores, rank):
    names = sorted(rank, key=lambda name: (name == LIKELIHOOD, rank[name]))
    rows = [
        {
            "name": LABELS.get(name, name),
            "rank": rank[name],
            **{column: row[name] for column, row in scores.items()},
        }
        for name in names
    ]
    listed = " | ".join(f"{column} {{{column}:.3f}}" for column in scores)
    return table(f"detector {{name}} | {listed} | mean rank {{rank:.2f}}", rows)


def verdict(rank, protocol):
    others = {name: r for name, r in rank.items() if name not in LABELS}
    best = min(others, key=others.get)
    text = (
        f"{protocol.capitalize()}: mean rank of `-score_samples` {rank[OURS]:.2f}, "
        f"best of the others {others[best]:.2f} ({best}); goal: the best"
    )
    return goal(text, rank[OURS] <= others[best])


def times(runs):
    """Time of each detector relative to that of skvae, the median over runs."""
    lines = []
    for group in groups(runs, "protocol", "table", "seed").values():
        unit = next(run["seconds"] for run in group if run["model"] == OURS)
        lines += [{**run, "time": run["seconds"] / unit} for run in group]
    found = means(lines, "time", "model", statistic=np.median)
    return ", ".join(f"{name} {t:.2f}" for name, t in found.items() if name != OURS)


def slots(results):
    runs = results["runs"]
    goals, tables = [], {}
    for protocol, group in groups(runs, "protocol").items():
        scores = by_column(group)
        # Each score of skvae in the absence of the other.
        rank = mean_ranks(scores, LIKELIHOOD)
        rank[LIKELIHOOD] = mean_ranks(scores, OURS)[LIKELIHOOD]
        goals.append(verdict(rank, protocol))
        tables[protocol] = score_table(scores, rank)
    n_models = str(len(groups(runs, "model")))
    found = {"n_models": n_models, "goals": "\n".join(goals), "times": times(runs)}
    return {**found, **tables}


BENCHMARK = Benchmark("anomaly", "anomaly", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
