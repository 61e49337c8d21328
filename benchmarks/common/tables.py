"""Real tables, as arrays and as frames, and how they are split."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import qr
from sklearn import datasets

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SKVAE_DATA", ROOT.parent / "shared" / "data"))

# Rows that are scored; more would not change their mean noticeably.
MAX_SCORED_ROWS = 1000
# Columns taken of the communities table, the first without missing cells.
N_CRIME_COLUMNS = 30
BIKE_CATEGORIES = ["season", "yr", "mnth", "hr", "holiday", "weekday"]
BIKE_CATEGORIES += ["workingday", "weathersit"]


def data_file(name):
    """Path of a file among the data sets."""
    if not DATA.is_dir():
        raise FileNotFoundError(
            f"no data sets at {DATA}; set SKVAE_DATA to their folder"
        )
    return DATA / name


def _parquet(name):
    return pd.read_parquet(data_file(f"{name}.parquet"))


def _numbers(name, columns="."):
    """Numeric columns without missing cells."""
    frame = _parquet(name).select_dtypes("number").filter(regex=columns)
    return frame.loc[:, frame.notna().all()].astype(float)


def anomaly(name):
    """Rows of a table of ADBench, and whether each is labelled as an anomaly."""
    arrays = np.load(data_file(f"anomaly/{name}.npz"))
    return arrays["X"].astype(np.float64), arrays["y"]


TABLES = {
    "wine": lambda: datasets.load_wine().data,
    "diabetes": lambda: datasets.load_diabetes(scaled=False).data,
    "breast cancer": lambda: datasets.load_breast_cancer().data,
    "digits": lambda: datasets.load_digits().data,
    "cardiotocography": lambda: anomaly("cardio")[0],
    "communities and crime": lambda: _numbers("communities_crime"),
    "page blocks": lambda: anomaly("pageblocks")[0],
    "gas sensors": lambda: _numbers("gas_sensor_drift", r"^s\d"),
    "pen digits": lambda: anomaly("pendigits")[0],
    "california housing": lambda: _numbers("california_housing"),
}


def load(name):
    """Numeric columns of a table, none of them a linear function of the others.

    Such a column has an infinite density given the others.
    """
    X = np.asarray(TABLES[name](), dtype=np.float64)
    X = X[:20_000, X.std(axis=0) > 0]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    _, triangle, order = qr(Z, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    return X[:, np.sort(order[diagonal > 1e-6 * diagonal[0]])]


def split(X, seed, max_rows=None):
    """Rows to fit on, at most `max_rows`, to choose on and to score: 60/20/20.

    All are standardized by the first.
    """
    order = np.random.default_rng(seed).permutation(len(X))
    first, second = int(0.6 * len(X)), int(0.8 * len(X))
    train, *others = np.split(X[order], [first, second])
    train = train[:max_rows]
    varies = train.std(axis=0) > 0
    center, scale = train[:, varies].mean(axis=0), train[:, varies].std(axis=0)
    train, *others = ((part[:, varies] - center) / scale for part in (train, *others))
    # A value further outside the range of the fitted rows than that range is wide is a
    # recording error, and would decide a mean of squares alone.
    low, high = train.min(axis=0), train.max(axis=0)
    width = high - low
    valid, test = (
        part[((part > low - width) & (part < high + width)).all(axis=1)]
        for part in others
    )
    return train, valid[:MAX_SCORED_ROWS], test[:MAX_SCORED_ROWS]


def _adult():
    """All 15 columns; those without numbers are categories, some cells missing."""
    frame = _parquet("adult").drop(columns="split")
    return frame.astype(dict.fromkeys(frame.select_dtypes("str"), "category"))


def _titanic():
    """All columns but those of free text, which have a value of their own per row."""
    frame = _parquet("titanic").drop(columns=["PassengerId", "Name", "Ticket", "Cabin"])
    codes = ["Survived", "Pclass", "Sex", "Embarked"]
    return frame.astype(dict.fromkeys(codes, "category"))


def _abalone():
    """All columns; only the sex is a category."""
    return _parquet("abalone").astype({"sex": "category"})


def _bike_hours():
    """Each hour, with calendar codes as categories."""
    frame = _parquet("bike_sharing_hourly").drop(columns=["instant", "dteday"])
    return frame.astype(dict.fromkeys(BIKE_CATEGORIES, "category"))


def bike_days():
    """Bikes hired in each hour of a day; hours that the table lacks are missing."""
    frame = _parquet("bike_sharing_hourly")
    return frame.pivot(index="dteday", columns="hr", values="cnt")


FRAMES = {
    "wine": lambda: datasets.load_wine(as_frame=True).data,
    "breast cancer": lambda: datasets.load_breast_cancer(as_frame=True).data,
    "california housing": lambda: _numbers("california_housing"),
    "bike sharing": lambda: _numbers("bike_sharing_hourly").drop(columns="instant"),
    "communities": lambda: _numbers("communities_crime").iloc[:, :N_CRIME_COLUMNS],
    "adult": _adult,
    "abalone": _abalone,
    "titanic": _titanic,
    "bike hours": _bike_hours,
}


def categories(frame):
    """Names of the columns that hold categories."""
    return list(frame.select_dtypes("category"))


def parts(frame, seed, max_fitted, max_scored):
    """Rows to fit on, of a random 70 %, and rows to score, at most so many of each."""
    frame = frame.sample(frac=1, random_state=seed)
    n_fitted = round(0.7 * len(frame))
    fitted, scored = frame[:n_fitted][:max_fitted], frame[n_fitted:][:max_scored]
    return fitted.reset_index(drop=True), scored.reset_index(drop=True)
