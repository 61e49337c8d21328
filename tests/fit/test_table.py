"""The table of a fit: rows of weight zero, admitted numbers and distinct rows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skvae import BalancedVAE
from skvae.fit._table import Admitted, CheckedTable
from skvae.likelihoods import Bernoulli, Gaussian, Poisson


def test_array_is_numbers_and_ones():
    vae = BalancedVAE()
    table = CheckedTable.of(vae, [[1, 2], [3, 4]], None)
    assert table.X.dtype.kind == "f"
    assert_array_equal(table.X, [[1.0, 2.0], [3.0, 4.0]])
    assert_array_equal(table.weight, [1.0, 1.0])
    assert table.columns.container == "array"
    assert table.likelihood == "auto"
    assert vae.n_features_in_ == 2


def test_rows_of_weight_zero_are_not_there():
    X = np.array([[1.0], [2.0], [3.0]])
    table = CheckedTable.of(BalancedVAE(), X, [2.0, 0.0, 1.0])
    assert_array_equal(table.X, [[1.0], [3.0]])
    assert_array_equal(table.weight, [2.0, 1.0])


def test_categories_of_rows_of_weight_zero_are_not_there():
    frame = pd.DataFrame({"letter": ["b", "a", "c"], "number": [1.0, 2.0, 3.0]})
    table = CheckedTable.of(BalancedVAE(), frame, [1.0, 0.0, 1.0])
    assert list(table.columns.levels(0)) == ["b", "c"]
    assert_array_equal(table.X, [[0.0, 1.0], [1.0, 3.0]])
    assert table.columns.names == ["letter", "number"]


def test_gaps_and_types_of_rows_of_weight_zero_are_not_there():
    """Without its only gap the column is one of numpy's own integers."""
    X = np.array([[1, 5], [None, 6], [2, 7]], dtype=object)
    table = CheckedTable.of(BalancedVAE(), X, [1.0, 0.0, 1.0])
    assert Admitted.of(table, Gaussian().fit(table.X)).gaps == ()
    assert not np.isnan(table.X).any()


def test_columns_of_the_last_fit_are_kept():
    frame = pd.DataFrame({"letter": ["b", "a", "c"]})
    vae = BalancedVAE()
    columns = CheckedTable.of(vae, frame, None).columns
    later = CheckedTable.of(vae, frame[:1], None, columns)
    assert later.columns is columns
    assert_array_equal(later.X, [[1.0]])


def test_likelihoods_of_names_get_positions():
    frame = pd.DataFrame({"a": [0.5, 1.5], "b": [1.0, 2.0]})
    vae = BalancedVAE(likelihood=[("gaussian", ["b"]), (Poisson(), ["a"])])
    (_, first), (_, second) = CheckedTable.of(vae, frame, None).likelihood
    assert list(first) == [1]
    assert list(second) == [0]


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        ([0.0, 0.0], "zero"),
        ([1.0, -1.0], "[Nn]egative"),
        ([1.0], r"\(1,\)"),
    ],
)
def test_impossible_weights(weight, match):
    with pytest.raises(ValueError, match=match):
        CheckedTable.of(BalancedVAE(), [[1.0], [2.0]], weight)


def test_admitted_rows_are_distinct_and_weighted():
    X = np.array([[2.0, 1.0], [1.0, np.nan], [2.0, 1.0], [1.0, np.nan]])
    table = CheckedTable.of(BalancedVAE(), X, [1.0, 2.0, 3.0, 0.5])
    admitted = Admitted.of(table, Gaussian().fit(X))
    assert_array_equal(admitted.X[admitted.rows], [[1.0, np.nan], [2.0, 1.0]])
    assert_array_equal(admitted.weight, [2.5, 4.0])
    assert admitted.gaps == (1,)


def test_admitted_numbers_are_those_of_the_likelihood():
    X = np.array([[0.2], [0.9], [0.7]])
    table = CheckedTable.of(BalancedVAE(), X, None)
    admitted = Admitted.of(table, Bernoulli(threshold=0.5))
    # Equal after the threshold, and so one row.
    assert_array_equal(admitted.X[admitted.rows], [[0.0], [1.0]])
    assert_array_equal(admitted.weight, [1.0, 2.0])


def test_impossible_values_are_named_by_their_column():
    frame = pd.DataFrame({"visits": [1.0, 0.5]})
    table = CheckedTable.of(BalancedVAE(), frame, None)
    with pytest.raises(ValueError, match=r"counts .*visits"):
        Admitted.of(table, Poisson())
