"""Anomaly scores at the defaults against what people use: `pages/anomaly.md`."""

import importlib
from functools import partial

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import reference
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
    n_components = min(10, max(1, train.shape[1] // 2))
    pca = PCA(n_components, random_state=seed).fit(train)
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
    """Means over seeds, a line for each measure on a table, a column for each score."""
    lines = pd.DataFrame(
        {"column": f"{table}, {SHORT[measure]}", "name": name, "score": score}
        for table, scores in zip(runs["table"], runs["scores"], strict=True)
        for name, found in scores.items()
        for measure, score in found.items()
    )
    return lines.groupby(["column", "name"], sort=False)["score"].mean().unstack()


def mean_ranks(scores):
    """Mean rank of each model, each score of skvae in the absence of the other."""
    rank, other = (
        scores.drop(columns=name).rank(axis=1, ascending=False).mean()
        for name in (LIKELIHOOD, OURS)
    )
    rank = rank.sort_values(kind="stable")
    rank[LIKELIHOOD] = other[LIKELIHOOD]
    return rank


def score_table(scores, rank):
    rows = scores[rank.index].T.assign(rank=rank)
    rows["name"] = [LABELS.get(name, name) for name in rows.index]
    listed = " | ".join(f"{column} {{{column}:.3f}}" for column in scores.index)
    return table(f"detector {{name}} | {listed} | mean rank {{rank:.2f}}", rows)


def verdict(rank, protocol):
    others = rank.drop([*LABELS])
    text = (
        f"{protocol.capitalize()}: mean rank of `-score_samples` {rank[OURS]:.2f}, "
        f"best of the others {others.min():.2f} ({others.idxmin()}); goal: the best"
    )
    return goal(text, rank[OURS] <= others.min())


def answer(ranks):
    """The mean ranks of both protocols, in a sentence."""
    parts = []
    for protocol, rows in (
        ("clean", "normal rows alone"),
        ("unsupervised", "all rows"),
    ):
        rank, others = ranks[protocol], ranks[protocol].drop([*LABELS])
        parts.append(
            f"fitted to {rows}, `-score_samples` has a mean rank of {rank[OURS]:.1f} "
            f"among {len(others) + 1} detectors, and the best of the others "
            f"{others.min():.1f} ({others.idxmin()})"
        )
    return f"F{'; '.join(parts)[1:]}."


def times(runs):
    """Time of each detector relative to that of skvae, the median over runs."""
    cases, seconds = runs[["protocol", "table", "seed"]], runs["seconds"]
    time = seconds / reference(seconds, runs["model"] == OURS, cases)
    time = time.groupby(runs["model"], sort=False).median()
    return ", ".join(f"{name} {t:.2f}" for name, t in time.drop(OURS).items())


def slots(results):
    runs = pd.DataFrame(results["runs"])
    goals, tables, ranks = [], {}, {}
    for protocol, group in runs.groupby("protocol", sort=False):
        scores = by_column(group)
        rank = ranks[protocol] = mean_ranks(scores)
        goals.append(verdict(rank, protocol))
        tables[protocol] = score_table(scores, rank)
    n_models = str(runs["model"].nunique())
    found = {"n_models": n_models, "goals": "\n".join(goals), "times": times(runs)}
    return {**found, **tables, "answer": answer(ranks)}


BENCHMARK = Benchmark("anomaly", "anomaly", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
