"""Steps of columns, and what normal scores by rank change."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.claims.ranks import MEASURES, default_verdict, steps_of


def test_steps_are_the_smallest_differences_of_numbers():
    frame = pd.DataFrame(
        {
            "age": [30.5, np.nan, 30.0, 32.0],
            "sum": [0.1 + 0.2, 0.3, 0.4, 0.6],
            "is_new": [0, 1, 1, 0],
            "city": pd.Categorical(["a", "b", "a", "b"]),
        }
    )
    assert steps_of(frame) == pytest.approx([0.5, 0.1, 1.0, 1.0])


def test_worse_codes_of_one_table_decide_against_a_default():
    rows = pd.DataFrame({name: [0.1, 0.2] for name in MEASURES}, index=["a", "b"])
    # A classifier that tells more rows is no matter of density or codes.
    assert "no table: met" in default_verdict(rows)
    rows.loc["b", "nearest"] = -0.01
    assert "some are on b: not met" in default_verdict(rows)
