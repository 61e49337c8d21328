"""Real tables with their column types and missing cells, as frames of pandas."""

import pandas as pd
from sklearn.datasets import load_breast_cancer, load_wine

from benchmarks.common.tables import DATA

BIKE_CATEGORIES = ["season", "yr", "mnth", "hr", "holiday", "weekday"]
BIKE_CATEGORIES += ["workingday", "weathersit"]

# Columns of the communities table, the first of those without a missing cell.
N_CRIME_COLUMNS = 30


def _parquet(name):
    return pd.read_parquet(DATA / f"{name}.parquet")


def _adult():
    """All 15 columns; what is not a number is a category, some of them missing."""
    frame = _parquet("adult").drop(columns="split")
    return frame.astype(dict.fromkeys(frame.select_dtypes("str"), "category"))


def _titanic():
    """All but the columns of free text, with nearly one value per row."""
    frame = _parquet("titanic").drop(columns=["PassengerId", "Name", "Ticket", "Cabin"])
    return frame.astype(
        dict.fromkeys(["Survived", "Pclass", "Sex", "Embarked"], "category")
    )


def _bike_hours():
    """Each hour, with calendar codes as the categories that they are."""
    frame = _parquet("bike_sharing_hourly").drop(columns=["instant", "dteday"])
    return frame.astype(dict.fromkeys(BIKE_CATEGORIES, "category"))


def bike_days():
    """Bikes hired in each hour of a day; hours that the table lacks are missing."""
    return _parquet("bike_sharing_hourly").pivot(
        index="dteday", columns="hr", values="cnt"
    )


def _numbers(name, n_columns=None):
    frame = _parquet(name).select_dtypes("number")
    return frame.loc[:, frame.notna().all()].iloc[:, :n_columns].astype(float)


def _bike_numbers():
    return _numbers("bike_sharing_hourly").drop(columns="instant")


FRAMES = {
    "wine": lambda: load_wine(as_frame=True).data,
    "breast cancer": lambda: load_breast_cancer(as_frame=True).data,
    "california housing": lambda: _numbers("california_housing"),
    "bike sharing": _bike_numbers,
    "communities": lambda: _numbers("communities_crime", N_CRIME_COLUMNS),
    "adult": _adult,
    "titanic": _titanic,
    "bike hours": _bike_hours,
}


def categories(frame):
    """Names of the columns that hold categories."""
    return list(frame.select_dtypes("category"))


def parts(frame, seed, *sizes):
    """Parts of the rows in a random order, of at most these sizes or shares."""
    frame = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    found, start = [], 0
    for share, most in sizes:
        stop = start + round(share * len(frame))
        found.append(frame.iloc[start : min(stop, start + most)].reset_index(drop=True))
        start = stop
    return found
