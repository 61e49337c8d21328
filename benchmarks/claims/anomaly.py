"""Scores of odd rows against what people use: `pages/anomaly.md`.

The settings of `OutlierVAE` were chosen on the first six tables.
"""

import importlib
import warnings
from functools import partial

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.markdown import goal, table
from benchmarks.common.statistics import reference
from benchmarks.common.tables import anomaly
from skvae import BalancedVAE, OutlierVAE

PROTOCOLS = ["unsupervised", "clean"]
CHOSEN_ON = ["annthyroid", "cardio", "fault", "ionosphere", "mammography", "pageblocks"]
OTHERS = ["pendigits", "satellite", "vowels", "wbc", "wilt"]
SETTINGS = {
    "n_seeds": 3,
    "max_rows": None,
    "n_mixtures": 10,
    "tables": [*CHOSEN_ON, *OTHERS],
}
QUICK = {"n_seeds": 1, "max_rows": 300, "n_mixtures": 2, "tables": ["cardio", "wbc"]}
OURS = "OutlierVAE"
MEASURES = {"AUROC": roc_auc_score, "average precision": average_precision_score}
SHORT = {"AUROC": "AUROC", "average precision": "AP"}


def outlier_scores(train, test, seed, settings):
    """Scores do not depend on the threshold; with a number it needs no folds."""
    return -OutlierVAE(0.1, random_state=seed).fit(train).score_samples(test)


def vae_scores(train, test, seed, settings):
    return -BalancedVAE(random_state=seed).fit(train).score_samples(test)


def forest_scores(train, test, seed, settings):
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def neighbour_scores(train, test, seed, settings):
    return -LocalOutlierFactor(novelty=True).fit(train).score_samples(test)


def mixture_scores(train, test, seed, settings):
    """Full covariances; the number of components is the best by BIC."""
    mixtures = (
        GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(train)
        for k in range(1, settings["n_mixtures"] + 1)
        if k <= len(train) // 10
    )
    return -min(mixtures, key=lambda m: m.bic(train)).score_samples(test)


def pca_scores(train, test, seed, settings):
    n_components = min(10, max(1, train.shape[1] // 2))
    pca = PCA(n_components, random_state=seed).fit(train)
    error = test - pca.inverse_transform(pca.transform(test))
    return np.square(error).sum(axis=1)


def pyod_scores(path, train, test, seed, settings, **params):
    """Scores of a detector of PyOD, found by its path in the package."""
    module, name = path.split(".")
    detector = getattr(importlib.import_module(f"pyod.models.{module}"), name)
    if name == "DeepSVDD":
        params["n_features"] = train.shape[1]
    if name != "ECOD":
        params["random_state"] = seed
    return detector(**params).fit(train).decision_function(test)


MODELS = {
    OURS: outlier_scores,
    "BalancedVAE": vae_scores,
    "IsolationForest": forest_scores,
    "LocalOutlierFactor": neighbour_scores,
    "GaussianMixture": mixture_scores,
    "PCA error": pca_scores,
    "ECOD": partial(pyod_scores, "ecod.ECOD"),
    "VAE of PyOD": partial(pyod_scores, "vae.VAE", verbose=0),
    "AutoEncoder of PyOD": partial(pyod_scores, "auto_encoder.AutoEncoder", verbose=0),
    "DeepSVDD": partial(pyod_scores, "deep_svdd.DeepSVDD", verbose=0),
    "DIF": partial(pyod_scores, "dif.DIF"),
}


def keys(settings):
    return product(
        seed=range(settings["n_seeds"]),
        protocol=PROTOCOLS,
        table=settings["tables"],
        model=MODELS,
    )


def halves(table, protocol, seed, max_rows):
    """Standardized rows to fit on and to score, and labels of the latter."""
    X, y = anomaly(table)
    train, test, is_odd, label = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=seed
    )
    if protocol == "clean":
        train = train[is_odd == 0]
    train = train[:max_rows]
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), label


def measure(settings, protocol, table, model, seed):
    """AUROC and average precision of a model."""
    train, test, label = halves(table, protocol, seed, settings["max_rows"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = MODELS[model](train, test, seed, settings)
    return {"scores": {m: float(of(label, score)) for m, of in MEASURES.items()}}


def by_table(runs, measure):
    """Means over seeds, a line for each table and a column for each detector."""
    runs = runs.assign(score=[scores[measure] for scores in runs["scores"]])
    means = runs.groupby(["table", "model"], sort=False)["score"].mean()
    return means.unstack()[list(MODELS)]


def summary(runs):
    """Mean ranks of the detectors by each measure, on groups of tables."""
    rows = pd.DataFrame({"name": list(MODELS)}, index=list(MODELS))
    groups = {"first": CHOSEN_ON, "others": OTHERS, "all": [*CHOSEN_ON, *OTHERS]}
    for measure, short in SHORT.items():
        scores = by_table(runs, measure)
        ranks = scores.rank(axis=1, ascending=False)
        for group, names in groups.items():
            rows[f"{short} {group}"] = ranks.reindex(names).mean()
        rows[f"mean {short}"] = scores.mean()
    return rows


def summary_table(rows):
    ranks = " | ".join(
        f"rank by {short}, {label} {{{short} {group}:.2f}}"
        for short in SHORT.values()
        for group, label in {"first": "first six", "others": "others"}.items()
    )
    every = " | ".join(
        f"rank by {short}, all {{{short} all:.2f}} | mean {short} {{mean {short}:.3f}}"
        for short in SHORT.values()
    )
    rows = rows.sort_values("AP all", kind="stable")
    return table(f"detector {{name}} | {every} | {ranks}", rows)


def verdict(rows, protocol):
    """A line for each measure: whether the mean rank over all tables is the best."""
    lines = []
    for measure, short in SHORT.items():
        rank = rows[f"{short} all"]
        others = rank.drop([OURS, "BalancedVAE"])
        text = (
            f"{protocol.capitalize()}, {measure}: mean rank of `OutlierVAE` "
            f"{rank[OURS]:.2f}, best of the others {others.min():.2f} "
            f"({others.idxmin()}; target: the best)"
        )
        lines.append(goal(text, rank[OURS] <= others.min()))
    return lines


def answer(found):
    """Mean ranks of both protocols by average precision, in a sentence."""
    parts = []
    for protocol, text in {"unsupervised": "all rows", "clean": "normal rows"}.items():
        rank = found[protocol]["AP all"]
        others = rank.drop([OURS, "BalancedVAE"])
        parts.append(
            f"fitted to {text}, `OutlierVAE` has a mean rank of {rank[OURS]:.1f} among "
            f"{len(rank)} detectors by average precision, and the best of other "
            f"packages {others.min():.1f} ({others.idxmin()})"
        )
    return f"F{'; '.join(parts)[1:]}."


def each_table(runs, measure):
    """A line for each table, a column for each detector."""
    listed = " | ".join(f"{name} {{{name}:.3f}}" for name in MODELS)
    return table(f"table {{table}} | {listed}", by_table(runs, measure).reset_index())


def times(runs):
    """Time of each detector relative to `OutlierVAE`, the median over runs."""
    cases, seconds = runs[["protocol", "table", "seed"]], runs["seconds"]
    time = seconds / reference(seconds, runs["model"] == OURS, cases)
    time = time.groupby(runs["model"], sort=False).median()
    return ", ".join(f"{name} {t:.2f}" for name, t in time.drop(OURS).items())


def slots(results):
    runs = pd.DataFrame(results["runs"])
    summaries, goals, found = (
        {},
        [],
        {"n_models": str(len(MODELS)), "times": times(runs)},
    )
    for protocol, group in runs.groupby("protocol", sort=False):
        rows = summaries[protocol] = summary(group)
        goals += verdict(rows, protocol)
        found[protocol] = summary_table(rows)
        for measure, short in SHORT.items():
            found[f"{protocol}_{short.lower()}"] = each_table(group, measure)
    return {**found, "answer": answer(summaries), "goals": "\n".join(goals)}


BENCHMARK = Benchmark("anomaly", "anomaly", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
