"""The same values are the same model in every container."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skvae import BalancedVAE

pytestmark = [
    pytest.mark.filterwarnings("ignore:Training ended after"),
    pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning"),
]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "tol": 1e3, "random_state": 0}
CONTAINERS = {
    "array": pd.DataFrame.to_numpy,
    "objects": lambda frame: frame.to_numpy(dtype=object),
    "lists": lambda frame: frame.to_numpy(dtype=object).tolist(),
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "nullable": pd.DataFrame.convert_dtypes,
    "arrow types": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
}


@pytest.fixture(scope="module")
def numbers():
    random = np.random.RandomState(0)
    return pd.DataFrame(
        {
            "income": random.lognormal(size=90),
            "rooms": random.randint(1, 7, 90),
            "owner": random.randint(0, 2, 90),
            "owner_as_real": random.randint(0, 2, 90).astype(float),
        }
    )


@pytest.fixture(scope="module")
def mixed(numbers):
    random = np.random.RandomState(1)
    return numbers.assign(
        town=random.choice(["bay", "inland", "ocean"], 90),
        is_new=random.uniform(size=90) < 0.3,
    )


def outcome(table):
    """Codes and scores of the rows of a table under a model of it."""
    vae = BalancedVAE(2, **SMALL).fit(table)
    return [
        np.asarray(vae.transform(table)),
        np.asarray(vae.score_samples(table)),
        np.asarray(vae.score_cells(table)),
    ]


@pytest.mark.parametrize("table", ["numbers", "mixed"])
def test_the_same_values_are_the_same_model(table, request):
    frame = request.getfixturevalue(table)
    expected = outcome(frame)
    for name, container in CONTAINERS.items():
        for ours, of_frame in zip(outcome(container(frame)), expected, strict=True):
            assert_array_equal(ours, of_frame, name)
