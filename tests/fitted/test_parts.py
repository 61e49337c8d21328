"""Methods and displays of a fitted model, of tables that come in parts."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.utils.data import DataLoader

from skvae import BalancedVAE
from skvae.data import _large
from skvae.displays import LatentDisplay, ReconstructionDisplay

SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}
X = np.random.default_rng(0).standard_normal((300, 3)).astype("float32")


class Anew:
    """The same tables, time and again."""

    def __init__(self, tables):
        self.tables = tables

    def __iter__(self):
        return iter(self.tables)


@pytest.fixture(params=[0, 2**26], ids=["large", "small"])
def any_size(request, monkeypatch):
    """Tables are read in blocks, or as a whole."""
    monkeypatch.setattr(_large, "_SMALL", request.param)


def vae(**params):
    return BalancedVAE(1, **SETTINGS, **params)


def loader_of(tables):
    return DataLoader(torch.from_numpy(np.concatenate(tables)), batch_size=64)


METHODS = ("transform", "score_samples", "score_cells", "log_likelihood", "impute")


@pytest.mark.parametrize("make", [list, Anew, loader_of], ids=["list", "any", "loader"])
@pytest.mark.parametrize("method", METHODS)
def test_methods_give_what_they_give_of_one_table(make, method, any_size):
    rows = np.where(X > 2.0, np.nan, X)
    model = vae().fit(rows)
    found = getattr(model, method)(make([rows[:90], rows[90:90], rows[90:]]))
    assert_allclose(found, getattr(model, method)(rows), rtol=1e-5, atol=1e-5)


def test_latents_in_parts(tmp_path):
    model = vae().fit(X)
    Z = model.transform(X)
    expected = model.inverse_transform(Z)
    path = tmp_path / "codes.parquet"
    pd.DataFrame(Z, columns=["code"]).to_parquet(path, index=False)
    for given in ([Z[:90], Z[90:]], Anew([Z[:90], Z[90:]]), loader_of([Z]), path):
        assert_allclose(model.inverse_transform(given), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="Z has 2 columns, but"):
        model.inverse_transform([X[:, :2], X[:, :2]])


@pytest.mark.parametrize("display", [ReconstructionDisplay, LatentDisplay])
def test_displays_of_chunks(display):
    model = vae().fit(X)
    found = display.from_estimator(model, Anew([X[:90], X[90:]]))
    expected = display.from_estimator(model, X)
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            assert_array_equal(getattr(found, name), value)
