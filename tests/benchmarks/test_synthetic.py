"""Preparation of tables for generators that accept no missing cells."""

import pandas as pd

from benchmarks.claims.synthetic import by_marginals, prepared

TABLE = pd.DataFrame(
    {
        "age": [30.5, None, 41.0, 25.0],
        "children": [0, 2, 1, 3],
        "city": pd.Categorical(["a", None, "b", "a"]),
    }
)


def test_missing_cells_are_filled_for_the_generator_and_come_back():
    seen = []

    def generator(train, settings, seed):
        seen.append(train)
        return train

    rows = prepared(generator)(TABLE, {}, 0)
    assert not seen[0].isna().any(axis=None)
    assert set(seen[0]["age"]) == {30.5, 41.0, 25.0}
    pd.testing.assert_frame_equal(rows, TABLE)


def test_whole_numbers_are_rounded():
    def generator(train, settings, seed):
        return train.assign(children=[0.6, 1.6, 1.4, 2.9])

    rows = prepared(generator)(TABLE, {}, 0)
    assert rows["children"].tolist() == [1, 2, 1, 3]


def test_marginals_keep_the_cells_of_each_column():
    rows = by_marginals(TABLE, {}, 0)
    assert not rows.equals(TABLE)
    for name in TABLE:
        in_order = (frame[name].sort_values().tolist() for frame in (rows, TABLE))
        assert repr(next(in_order)) == repr(next(in_order))
        assert rows[name].dtype == TABLE[name].dtype
