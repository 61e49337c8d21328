"""Anomaly scores: `-score_samples` at the defaults against what people use.

    python -m benchmarks.claims.anomaly

Two protocols, with the same rows to score, a random 30 % with the table's share of
anomalies:

- unsupervised: a detector is fitted to the other 70 %, anomalies among them and no
  labels; labels only judge. The goal is about this one;
- clean: it is fitted to the rows among them that are no anomalies.

Columns are centred and scaled by the rows fitted on, which PyOD's
networks and skvae do once more by themselves. Everything is at its defaults, but for
the seed, and for PCA, which has as many components as `BalancedVAE` has latents.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.common.benchmark import Benchmark
from benchmarks.common.tables import DATA
from benchmarks.pages.anomaly_page import anomaly_page
from skvae import BalancedVAE

PROTOCOLS = ["unsupervised", "clean"]
TABLES = ["cardio", "pageblocks", "pendigits"]
SETTINGS = {"n_seeds": 3, "max_rows": None}
QUICK = {"n_seeds": 1, "max_rows": 600}


def skvae_scores(train, test, seed):
    """Both scores of one model."""
    vae = BalancedVAE(random_state=seed).fit(train)
    return {
        "skvae": -vae.score_samples(test),
        "skvae, log_likelihood": -vae.log_likelihood(test),
    }


def forest_scores(train, test, seed):
    forest = IsolationForest(random_state=seed).fit(train)
    return {"IsolationForest": -forest.score_samples(test)}


def pca_scores(train, test, seed):
    n_features = train.shape[1]
    pca = PCA(min(10, max(1, n_features // 2)), random_state=seed).fit(train)
    error = test - pca.inverse_transform(pca.transform(test))
    return {"PCA error": np.square(error).sum(axis=1)}


def ecod_scores(train, test, seed):
    from pyod.models.ecod import ECOD

    return {"ECOD": ECOD().fit(train).decision_function(test)}


def pyod_vae_scores(train, test, seed):
    from pyod.models.vae import VAE

    detector = VAE(random_state=seed, verbose=0).fit(train)
    return {"PyOD VAE": detector.decision_function(test)}


def autoencoder_scores(train, test, seed):
    from pyod.models.auto_encoder import AutoEncoder

    detector = AutoEncoder(random_state=seed, verbose=0).fit(train)
    return {"PyOD AutoEncoder": detector.decision_function(test)}


MODELS = {
    "skvae": skvae_scores,
    "IsolationForest": forest_scores,
    "PCA error": pca_scores,
    "ECOD": ecod_scores,
    "PyOD VAE": pyod_vae_scores,
    "PyOD AutoEncoder": autoencoder_scores,
}


def keys(settings):
    for seed in range(settings["n_seeds"]):
        for protocol in PROTOCOLS:
            for table in TABLES:
                for model in MODELS:
                    yield {
                        "protocol": protocol,
                        "table": table,
                        "model": model,
                        "seed": seed,
                    }


def measure(settings, protocol, table, model, seed):
    """AUROC and average precision of each score of a model."""
    z = np.load(DATA / "anomaly" / f"{table}.npz")
    train, test, is_odd, label = train_test_split(
        z["X"].astype(np.float64),
        z["y"],
        test_size=0.3,
        stratify=z["y"],
        random_state=seed,
    )
    if protocol == "clean":
        train = train[is_odd == 0]
    train = train[: settings["max_rows"]]
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    return {
        "scores": {
            name: {
                "AUROC": float(roc_auc_score(label, score)),
                "average precision": float(average_precision_score(label, score)),
            }
            for name, score in MODELS[model](train, test, seed).items()
        }
    }


BENCHMARK = Benchmark("anomaly", SETTINGS, QUICK, keys, measure, anomaly_page)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
