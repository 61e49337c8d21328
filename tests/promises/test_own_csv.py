"""A table as `pandas.read_csv` returns it, from the file to a chosen beta."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline

from skvae import BalancedVAE, BalancedVAECV

pytestmark = [
    pytest.mark.xdist_group("own CSV"),
    pytest.mark.filterwarnings(
        # A few epochs on a few rows, with names and new levels among the columns.
        "ignore:Training ended after",
        "ignore::skvae.exceptions.PosteriorCollapseWarning",
        "ignore::skvae.exceptions.ColumnWarning",
    ),
]
SETTINGS = {
    "balance": "constant",
    "hidden_layer_sizes": (8,),
    "max_iter": 4,
    "tol": 1e3,
    "random_state": 0,
}
BETAS = [1.0, 5.0, 30.0]
FOLDS = KFold(3, shuffle=True, random_state=0)
# Every how many rows of each table.
TABLES = {"titanic": 4, "adult": 200, "horse_colic": 1, "communities_crime": 8}


@pytest.fixture(params=TABLES)
def frame(request, shared_data):
    frame = pd.read_parquet(shared_data / f"{request.param}.parquet")
    text = frame[:: TABLES[request.param]].to_csv(index=False)
    return pd.read_csv(io.StringIO(text))


def declared(frame):
    """The same table, whose columns of text declare all of their levels."""
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.astype(dict.fromkeys(texts, "category"))


def search(vae, frame, prefix=""):
    grid = {f"{prefix}beta": BETAS}
    found = GridSearchCV(vae, grid, cv=FOLDS, error_score="raise").fit(frame)
    assert np.isfinite(
        [found.cv_results_[f"split{i}_test_score"] for i in range(3)]
    ).all()
    return found.best_params_[f"{prefix}beta"]


def test_a_grid_search_finds_the_beta_of_declared_levels(frame):
    vae = BalancedVAE(2, **SETTINGS)
    best = search(vae, frame)
    assert best == search(vae, declared(frame))
    assert best == search(make_pipeline(vae), frame, "balancedvae__")


def test_a_path_finds_a_beta(frame):
    vae = BalancedVAECV(BETAS, n_components=2, cv=FOLDS, **SETTINGS).fit(frame)
    assert vae.beta_ in BETAS
    assert np.isfinite(vae.score(frame))


def test_scores_of_folds_are_finite(frame):
    vae = BalancedVAE(2, **SETTINGS)
    found = cross_validate(vae, frame, cv=FOLDS, error_score="raise")
    assert np.isfinite(found["test_score"]).all()


def test_chunks(frame):
    vae = BalancedVAE(2, **SETTINGS)
    for chunk in np.array_split(np.arange(len(frame)), 3):
        vae.partial_fit(frame.iloc[chunk])
    assert np.isfinite(vae.score(frame))
