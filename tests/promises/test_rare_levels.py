"""Levels that few rows have are drawn as often as they are there."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from skvae import BalancedVAE

pytestmark = pytest.mark.filterwarnings("ignore:Training ended after")
N_ROWS, N_DRAWN = 2000, 40_000


@pytest.fixture(scope="module")
def levels():
    """Numbers of rows with each level, in the table and in as many drawn ones."""
    random = np.random.default_rng(0)
    # As many large numbers as are expected of this distribution.
    size = norm.ppf(random.permutation(N_ROWS) / N_ROWS + 0.5 / N_ROWS)
    # Rare because a number is large, and rare whatever it is.
    kind = np.select([size > 2.5, size > 0.0], ["huge", "large"], "small")
    kind[random.choice(np.flatnonzero(size < 2.5), 15, replace=False)] = "odd"
    city = random.choice(["a", "b", "c"], N_ROWS, p=[0.6, 0.392, 0.008])
    table = pd.DataFrame(
        {"size": size, "price": size + random.normal(size=N_ROWS)}
    ).assign(kind=pd.Categorical(kind), city=pd.Categorical(city))
    vae = BalancedVAE(2, hidden_layer_sizes=(16,), random_state=0).fit(table)
    rows = vae.sample(N_DRAWN, random_state=0)
    # The column follows from latents, and is not drawn by its frequencies alone.
    assert rows.loc[rows["kind"] == "large", "size"].mean() > 0.5
    return {
        level: (
            int((table[name] == level).sum()),
            float((rows[name] == level).sum() * N_ROWS / N_DRAWN),
        )
        for name, level in [("kind", "huge"), ("kind", "odd"), ("city", "c")]
    }


@pytest.mark.parametrize("level", ["huge", "odd", "c"])
def test_a_rare_level_is_drawn_as_often_as_it_is_there(levels, level):
    there, drawn = levels[level]
    assert 0 < there <= 0.01 * N_ROWS
    # Within two binomial errors of the table itself.
    assert abs(drawn - there) < 2.0 * np.sqrt(there)
