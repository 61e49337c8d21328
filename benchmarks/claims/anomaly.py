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


def skvae_scores(train, test, seed):
    """Both scores of one model."""
    vae = BalancedVAE(random_state=seed).fit(train)
    return {OURS: -vae.score_samples(test), LIKELIHOOD: -vae.log_likelihood(test)}


def forest_scores(train, test, seed):
    forest = IsolationForest(random_state=seed).fit(train)
    return {"IsolationForest": -forest.score_samples(test)}


def pca_scores(train, test, seed):
    n_features = train.shape[1]
    pca = PCA(min(10, max(1, n_features // 2)), random_state=seed).fit(train)
    error = test - pca.inverse_transform(pca.transform(test))
    return {"PCA error": np.square(error).sum(axis=1)}


def pyod_scores(label, path, train, test, seed):
    """Scores of a detector of PyOD, found by its path in the package."""
    module, name = path.split(".")
    detector = getattr(importlib.import_module(f"pyod.models.{module}"), name)
    params = {} if name == "ECOD" else {"random_state": seed, "verbose": 0}
    return {label: detector(**params).fit(train).decision_function(test)}


PYOD = {
    "ECOD": "ecod.ECOD",
    "PyOD VAE": "vae.VAE",
    "PyOD AutoEncoder": "auto_encoder.AutoEncoder",
}
MODELS = {
    OURS: skvae_scores,
    "IsolationForest": forest_scores,
    "PCA error": pca_scores,
    **{label: partial(pyod_scores, label, path) for label, path in PYOD.items()},
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
    scores = {}
    for name, score in MODELS[model](train, test, seed).items():
        scores[name] = {m: float(of(label, score)) for m, of in MEASURES.items()}
    return {"scores": scores}


def by_table(runs):
    """Scores as ``found[measure][table][model]``, means over seeds."""
    lines = [
        {**run, "model": model, "measure": measure, "score": score}
        for run in runs
        for model, scores in run["scores"].items()
        for measure, score in scores.items()
    ]
    return means(lines, "score", "measure", "table", "model")


def mean_ranks(scores):
    """Mean rank of each model, each score of skvae in the absence of the other."""

    def without(name):
        found = [
            ranks({model: score for model, score in row.items() if model != name})
            for tables in scores.values()
            for row in tables.values()
        ]
        return {model: np.mean([r[model] for r in found]) for model in found[0]}

    return {LIKELIHOOD: without(OURS)[LIKELIHOOD], **without(LIKELIHOOD)}


def score_table(scores, rank):
    names = sorted(rank, key=lambda name: (name == LIKELIHOOD, rank[name]))
    rows = [{"name": LABELS.get(n, n), "rank": rank[n]} for n in names]
    columns = "detector {name}"
    for where in scores["AUROC"]:
        for measure, short in zip(MEASURES, ("AUROC", "AP"), strict=True):
            column = f"{where}, {short}"
            columns += f" | {column} {{{column}:.3f}}"
            for name, row in zip(names, rows, strict=True):
                row[column] = scores[measure][where][name]
    return table(f"{columns} | mean rank {{rank:.2f}}", rows)


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
        scores = by_table(group)
        rank = mean_ranks(scores)
        goals.append(verdict(rank, protocol))
        tables[protocol] = score_table(scores, rank)
    n_models = str(len(groups(runs, "model")))
    found = {"n_models": n_models, "goals": "\n".join(goals), "times": times(runs)}
    return {**found, **tables}


BENCHMARK = Benchmark("anomaly", "anomaly", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
