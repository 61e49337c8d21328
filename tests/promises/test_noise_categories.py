"""Categories of pure chance: they cost what their frequencies cost, at most."""

import numpy as np
import pandas as pd
import pytest

from skvae import BalancedVAE

pytestmark = pytest.mark.filterwarnings("ignore:Training ended after")
N_TRAIN, N_LEVELS = 600, 60
SETTINGS = {"hidden_layer_sizes": (32,), "max_iter": 40, "random_state": 0}


@pytest.fixture(scope="module")
def table():
    """Four numbers and a category that two factors rule, beside one of chance."""
    random = np.random.RandomState(0)
    n_rows = N_TRAIN + 2000
    z = random.standard_normal((n_rows, 2))
    X = z @ random.standard_normal((2, 4)) + 0.3 * random.standard_normal((n_rows, 4))
    table = pd.DataFrame(X, columns=list("abcd"))
    is_first = z[:, 0] + 0.2 * random.standard_normal(n_rows) > 0.0
    table["ruled"] = np.where(is_first, np.where(z[:, 1] > 0.0, "a", "b"), "c")
    chance = random.randint(0, N_LEVELS, n_rows)
    return table.assign(chance=[f"level {level}" for level in chance])


def costs(table, columns):
    """Nats of each column of new rows, after a fit to some columns."""
    rows = table[columns]
    vae = BalancedVAE(2, **SETTINGS).fit(rows[:N_TRAIN])
    return dict(zip(columns, vae.score_cells(rows[N_TRAIN:]).mean(axis=0), strict=True))


def test_a_category_of_chance_does_not_spoil_the_others(table):
    alone, beside = costs(table, [*"abcd", "ruled"]), costs(table, [*table])
    assert beside["ruled"] < alone["ruled"] + 0.1
    assert sum(beside[name] for name in "abcd") < sum(
        alone[name] for name in "abcd"
    ) + (0.15)
    # What the frequencies of so few rows cost, and a little more.
    frequency = table["chance"][:N_TRAIN].value_counts(normalize=True)
    frequencies = -np.log(frequency[table["chance"][N_TRAIN:]]).mean()
    assert beside["chance"] < frequencies + 0.03


def test_categories_that_latents_explain_train_as_they_did(table, monkeypatch):
    from skvae.likelihoods._level_frequencies import LevelFrequencies

    columns = [*"abcd", "ruled"]
    expected = costs(table, columns)
    monkeypatch.setattr(
        LevelFrequencies, "penalty", lambda self, *args: 0.0 * args[2][:, 0]
    )
    assert costs(table, columns) == expected
