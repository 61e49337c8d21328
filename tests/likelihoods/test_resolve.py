"""Which likelihood each column has."""

import numpy as np
import pandas as pd
import pytest

from skvae import BalancedVAE
from skvae.data._columns import Columns
from skvae.likelihoods import (
    Bernoulli,
    ByColumns,
    Categorical,
    Gaussian,
    Poisson,
    StudentT,
)
from skvae.likelihoods._groups import member_at
from skvae.likelihoods._resolve import likelihood_of, located

FRAME = pd.DataFrame(
    {
        "real": [0.5, 1.5, 2.5],
        "zero_one": [0, 1, 1],
        "flag": [True, False, True],
        "text": ["a", "b", None],
        "count": [4, 2, 9],
    }
)


def built(likelihood, frame=FRAME):
    columns = Columns.of(frame)
    numbers = columns.to_numbers(frame)
    return likelihood_of(located(likelihood, frame), numbers, columns, "error")


@pytest.mark.parametrize(("name", "real"), [("auto", Gaussian), ("robust", StudentT)])
def test_auto_and_robust_go_by_content(name, real):
    kinds = [type(member_at(built(name), 5, d)) for d in range(5)]
    assert kinds == [real, Bernoulli, Bernoulli, Categorical, real]


def test_robust_has_no_variance_to_move():
    message = "likelihood='robust' has none that is free to move"
    with pytest.raises(ValueError, match=message):
        BalancedVAE(likelihood="robust", balance="running_average").fit(FRAME)
    fitted = BalancedVAE(likelihood="robust", max_iter=2, tol=1e3).fit(FRAME)
    assert fitted.variance_ is None


@pytest.mark.parametrize(
    "columns",
    [["count"], [4], [-1], slice(4, 5), [False] * 4 + [True], lambda X: ["count"]],
    ids=["names", "positions", "negative", "slice", "mask", "callable"],
)
def test_columns_are_chosen_as_in_column_transformer(columns):
    rest = [("gaussian", [0, 1, 2]), ("categorical", ["text"])]
    found = built([*rest, (Poisson(), columns)])
    assert isinstance(found, ByColumns)
    assert isinstance(member_at(found, 5, 4), Poisson)


def test_levels_follow_the_order_in_which_columns_are_named():
    frame = pd.DataFrame({"few": list("abab"), "many": list("wxyz")})
    found = built([("categorical", ["many", "few"])], frame)
    rows = np.array([[1.0, 3.0]])
    found.fit(Columns.of(frame).to_numbers(frame))
    np.testing.assert_array_equal(found.admit(rows), rows)


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ([("gaussian", [0])], r"gives no likelihood to the columns \['zero_one'"),
        (
            [("gaussian", [0, 1, 2, 4]), ("categorical", [3, 4])],
            r"gives more than one to the columns \['count'\]",
        ),
        ([("normal", [0])], "has the entry 'normal', which is none of"),
        (["gaussian"], "got the entry 'gaussian'"),
        ("gaussian", "needs numbers, but column 'text' holds categories"),
    ],
    ids=["none", "two", "unknown name", "no pair", "numbers"],
)
def test_what_cannot_be_is_refused(likelihood, message):
    with pytest.raises(ValueError, match=message):
        built(likelihood)


@pytest.mark.parametrize("variance", [0.0, np.inf, [0.5, 1.0]])
def test_variance_that_cannot_be_is_refused(variance):
    gaussian = Gaussian().set_params(variance=variance)
    mixture = ByColumns([(gaussian, [0, 2, 3]), (Poisson(), [1])])
    for likelihood in (gaussian, mixture):
        with pytest.raises(ValueError, match="variance of Gaussian must be a number"):
            _ = likelihood.column_dispersion(3).unmoved


def test_fixed_variance_beside_a_free_one_is_refused():
    X = np.random.RandomState(0).normal(size=(60, 3))
    likelihood = [(Gaussian(variance=0.5), [0]), ("gaussian", [1, 2])]
    message = r"a fixed variance, as Gaussian\(variance=0.5\), and leaves others free"
    with pytest.raises(ValueError, match=message):
        BalancedVAE(1, likelihood=likelihood, hidden_layer_sizes=(4,)).fit(X)


@pytest.mark.parametrize("value", [0, 1])
def test_integers_that_do_not_vary_are_a_flag(value):
    column = pd.array([value, value, None], dtype="Int64")
    likelihood = built("auto", FRAME.assign(never=value, gaps=column, real_zero=0.0))
    kinds = [member_at(likelihood, 8, d) for d in (5, 6, 7)]
    # Larger values, where they are a count after all, are ones.
    assert [repr(kind) for kind in kinds[:2]] == 2 * ["Bernoulli(threshold=0.5)"]
    assert isinstance(kinds[2], Gaussian)
    constant = built("auto", FRAME.assign(never=7))
    assert isinstance(member_at(constant, 6, 5), Gaussian)


def test_columns_of_a_list_are_those_of_an_array():
    rows = [[0.5, "a", 1], [1.5, "b", 0]]
    entries = [("gaussian", [0]), ("categorical", slice(1, 2)), ("bernoulli", [-1])]
    for X in (rows, tuple(map(tuple, rows))):
        found = located(entries, X)
        assert [list(columns) for _, columns in found] == [[0], [1], [2]]
