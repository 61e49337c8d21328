"""Real tables, and how they are split."""

import os
from pathlib import Path

import numpy as np
from scipy.linalg import qr
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SKVAE_DATA", ROOT.parent / "shared" / "data"))

# Rows that are scored; a mean over more would not change what it says.
MAX_SCORED_ROWS = 1000


def _parquet(name, columns="."):
    import pandas as pd

    frame = pd.read_parquet(DATA / f"{name}.parquet")
    return frame.select_dtypes("number").filter(regex=columns)


def _anomaly(name):
    return np.load(DATA / "anomaly" / f"{name}.npz")["X"]


def _crime():
    frame = _parquet("communities_crime")
    return frame.loc[:, frame.notna().all()]


TABLES = {
    "wine": lambda: load_wine().data,
    "diabetes": lambda: load_diabetes(scaled=False).data,
    "breast cancer": lambda: load_breast_cancer().data,
    "digits": lambda: load_digits().data,
    "cardiotocography": lambda: _anomaly("cardio"),
    "communities and crime": _crime,
    "page blocks": lambda: _anomaly("pageblocks"),
    "gas sensors": lambda: _parquet("gas_sensor_drift", r"^s\d"),
    "pen digits": lambda: _anomaly("pendigits"),
    "california housing": lambda: _parquet("california_housing"),
}


def load(name):
    """Numeric columns of a table, none of them a linear function of the others.

    The density of such a column is infinite, which says nothing of a model.
    """
    X = np.asarray(TABLES[name](), dtype=np.float64)
    X = X[:20_000, X.std(axis=0) > 0]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    _, triangle, order = qr(Z, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    return X[:, np.sort(order[diagonal > 1e-6 * diagonal[0]])]


def split(X, seed, max_rows=None):
    """Rows to fit on (as many as there may be), to choose on and to score.

    In units of the first.
    """
    order = np.random.default_rng(seed).permutation(len(X))
    first, second = int(0.6 * len(X)), int(0.8 * len(X))
    train, valid, test = np.split(X[order], [first, second])
    train = train[:max_rows]
    varies = train.std(axis=0) > 0
    center, scale = train[:, varies].mean(axis=0), train[:, varies].std(axis=0)
    train, valid, test = (
        (part[:, varies] - center) / scale for part in (train, valid, test)
    )
    # A value further outside the rows fitted on than they are wide is an error of
    # recording, and would alone decide a mean of squares.
    low, high = train.min(axis=0), train.max(axis=0)
    width = high - low
    valid, test = (
        part[((part > low - width) & (part < high + width)).all(axis=1)]
        for part in (valid, test)
    )
    return train, valid[:MAX_SCORED_ROWS], test[:MAX_SCORED_ROWS]
