"""Distances to the closest row learned from, and frequencies of rare levels."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.fidelity import closeness, distances, rare_levels

TRAIN = pd.DataFrame(
    {
        "age": [10.0, 20.0, 30.0, 40.0, np.nan],
        "city": pd.Categorical(["a", "b", "a", "b", None], ["a", "b", "c"]),
    }
)


def rows_of(ages, cities):
    return pd.DataFrame({"age": ages, "city": pd.Categorical(cities, ["a", "b", "c"])})


def test_distances_are_sums_of_ranks_and_of_levels_that_differ():
    rows = rows_of([10.0, 12.0, 10.0, np.nan, 1000.0], ["a", "a", "c", None, None])
    # Ranks of known ages are an eighth, three eighths, and so on.
    expected = [0.0, 0.05, 1.0, 0.0, 1.0]
    np.testing.assert_allclose(distances(TRAIN, rows), expected)


def test_distances_are_those_of_each_row_by_itself():
    random = np.random.default_rng(0)
    train, rows = (
        rows_of(random.normal(size=n), random.choice(["a", "b"], n))
        for n in (300, 1203)
    )
    single = [distances(train, rows.iloc[[i]])[0] for i in (0, 600, 1202)]
    np.testing.assert_array_equal(distances(train, rows)[[0, 600, 1202]], single)


def test_copies_are_nearer_than_real_rows():
    random = np.random.default_rng(0)
    train, real, others = (
        rows_of(random.normal(size=n), random.choice(["a", "b"], n))
        for n in (300, 400, 400)
    )
    assert closeness(train, train, real) == {"near": 1.0, "distance": 0.0}
    found = closeness(train, others, real)
    assert found["near"] == pytest.approx(0.05, abs=0.04)
    assert found["distance"] == pytest.approx(1.0, abs=0.25)


def test_rare_levels_are_counted_against_those_learned_from():
    cities = ["a"] * 995 + ["b"] * 4 + ["c"]
    train = rows_of(np.zeros(1000), cities)
    found = rare_levels(train, rows_of(np.zeros(500), ["a"] * 494 + ["b"] * 6))
    variance = [4 * (1 - 0.004), 1 - 0.001]
    assert found["n_rare"] == 2
    assert found["rare"] == pytest.approx(12 / 5)
    assert found["rare_error"] == pytest.approx(np.sqrt(sum(variance)) / 5)
    spread = np.sqrt((8**2 / variance[0] + 1 / variance[1]) / 2)
    assert found["rare_spread"] == pytest.approx(spread)


def test_tables_without_rare_levels_have_no_figures():
    found = rare_levels(TRAIN, TRAIN)
    assert found["n_rare"] == 0
    assert found["rare"] is None
