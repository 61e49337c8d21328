"""Levels that the table of fit did not hold, and columns that are all levels."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.data import _large
from skvae.exceptions import ColumnWarning
from skvae.likelihoods import Categorical

pytestmark = pytest.mark.filterwarnings(
    "ignore:Training ended after", "ignore::skvae.exceptions.PosteriorCollapseWarning"
)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "tol": 1e3, "random_state": 0}
KINDS = ["bay", "inland", "ocean"]


@pytest.fixture(scope="module")
def frame():
    random = np.random.RandomState(0)
    return pd.DataFrame(
        {"kind": random.choice(KINDS, 120), "income": random.normal(4, 1, 120)}
    )


def as_pandas(frame):
    return frame.astype({"kind": pd.CategoricalDtype([*KINDS, "island"])})


def as_polars(frame):
    return pl.from_pandas(frame).cast({"kind": pl.Enum([*KINDS, "island"])})


@pytest.mark.parametrize("declared", [as_pandas, as_polars])
def test_declared_levels_are_known(frame, declared):
    vae = BalancedVAE(1, **SMALL).fit(declared(frame))
    new = declared(frame[:2].assign(kind="island"))
    cells = vae.score_cells(new)
    assert np.isfinite(cells).all()
    # Half a row of 120 held it.
    assert cells[0, 0] > 3.0
    assert np.isfinite(vae.partial_fit(new).score(new))


def test_new_levels_are_missing_cells_in_later_chunks(frame):
    vae = BalancedVAE(1, **SMALL).partial_fit(frame)
    chunk = frame.assign(kind=["island", *frame["kind"][1:]])
    with pytest.warns(ColumnWarning, match=r"missing: 1 of column 'kind' \(such"):
        vae.partial_fit(chunk)
    with pytest.raises(ValueError, match=r"the category 'island', which .* did not"):
        BalancedVAE(1, handle_unknown="error", **SMALL).fit(frame).partial_fit(chunk)


@pytest.mark.parametrize("limit", [0, 2**26], ids=["blocks", "whole"])
def test_a_block_of_new_levels_alone(frame, monkeypatch, limit):
    monkeypatch.setattr(_large, "_SMALL", limit)
    vae = BalancedVAE(1, **SMALL).fit(frame)
    new = frame.assign(kind="island")
    match = r"missing: 120 of column 'kind' \(such as 'island'\)"
    chunks = [new[:60], frame, new[60:]]
    with pytest.warns(ColumnWarning, match=match) as found:
        Z = vae.transform(chunks)
    assert len(found) == 1
    with pytest.warns(ColumnWarning, match=match):
        assert_allclose(Z, vae.transform(pd.concat(chunks)), atol=1e-6)
    with pytest.raises(ValueError, match="None of the 120 cells of column 'kind'"):
        vae.transform([new[:60], new[60:]])


def test_a_column_in_another_form_is_refused(frame):
    vae = BalancedVAE(1, **SMALL).fit(frame)
    other = frame.assign(kind=frame["kind"].str.upper())
    message = (
        "None of the 120 cells of column 'kind' holds a value that it had .*: they "
        "hold '(BAY|INLAND|OCEAN)', and known are 'bay', 'inland', 'ocean'. Bring"
    )
    with pytest.raises(ValueError, match=message):
        vae.transform(other)


@pytest.mark.parametrize(
    "container", [pd.DataFrame.to_numpy, pd.DataFrame, pl.from_pandas]
)
def test_values_other_than_zero_and_one_are_missing_in_a_flag(frame, container):
    numbers = frame[["income"]].assign(flag=np.arange(120.0) % 2)
    vae = BalancedVAE(1, **SMALL).fit(container(numbers))
    other = numbers.assign(flag=np.r_[2.0, 0.5, numbers["flag"][2:]])
    message = r"missing: 2 of column ('flag'|1) \(such as 2\)"
    with pytest.warns(ColumnWarning, match=message):
        Z = vae.transform(container(other))
    other.loc[:1, "flag"] = np.nan
    assert_array_equal(Z, vae.transform(container(other)))
    nearly = numbers.assign(flag=np.r_[1.0 + 1e-9, numbers["flag"][1:]])
    with pytest.warns(ColumnWarning, match=r"\(such as 1\.000000001\)"):
        vae.transform(container(nearly))
    message = (
        "None of the 120 cells of column ('flag'|1) holds a value .*: they hold 5, and "
        "known are other numbers. Bring"
    )
    with pytest.raises(ValueError, match=message):
        vae.transform(container(numbers.assign(flag=5.0)))
    strict = BalancedVAE(1, handle_unknown="error", **SMALL).fit(container(numbers))
    message = r"Bernoulli likelihood needs columns of zeros and ones.* 5"
    with pytest.raises(ValueError, match=message):
        strict.transform(container(numbers.assign(flag=5.0)))


def test_values_between_zero_and_one_are_no_flags_where_flags_are_asked_for(frame):
    X = np.random.RandomState(0).uniform(size=(60, 2))
    with pytest.raises(ValueError, match="needs columns of zeros and ones"):
        BalancedVAE(1, likelihood="bernoulli", **SMALL).fit(X)


def test_names_are_reported_and_may_all_be_new(frame):
    named = frame.assign(name=[f"n{i}" for i in range(len(frame))])
    message = (
        r"levels as rows: column 'name' \(120 levels in 120 rows\)\. New rows hold"
    )
    with pytest.warns(ColumnWarning, match=message):
        vae = BalancedVAE(1, **SMALL).fit(named)
    new = named.assign(name=named["name"] + "x")
    with pytest.warns(ColumnWarning, match="missing: 120 of column 'name'"):
        Z = vae.transform(new)
    assert_array_equal(Z, vae.transform(new.assign(name=None)))


def test_real_numbers_have_no_levels(frame):
    vae = BalancedVAE(1, likelihood=Categorical(handle_unknown="missing"), **SMALL)
    message = "Column 'income' holds 120 different real numbers in 120 rows.*in a list"
    with pytest.raises(ValueError, match=message):
        vae.fit(frame)


def test_codes_that_are_none_are_counted(frame):
    X = np.random.RandomState(0).randint(0, 4, size=(60, 2)).astype(float)
    X[3, 1] = 7.0
    likelihood = Categorical(n_levels=4, handle_unknown="missing")
    with pytest.warns(ColumnWarning, match=r"missing: 1 of column 1 \(such as 7\)"):
        vae = BalancedVAE(1, likelihood=likelihood, **SMALL).fit(X)
    with pytest.warns(ColumnWarning, match="missing: 1 of column 1"):
        assert np.isfinite(vae.score(X))


def test_a_row_index_comes_back_with_latents(frame):
    rows = frame.sample(50, random_state=0)
    rows.index = pd.MultiIndex.from_arrays([rows.index, rows.index], names=["i", "j"])
    vae = BalancedVAE(1, **SMALL).fit(frame)
    for library in ("default", "pandas", "polars"):
        vae.set_output(transform=library)
        again = vae.inverse_transform(vae.transform(rows))
        pd.testing.assert_index_equal(again.index, rows.index)
        assert (rows["income"] - again["income"]).notna().all()
        cells = vae.score_cells(rows)
        if library == "pandas":
            pd.testing.assert_index_equal(cells.index, rows.index)
        if library != "default":
            assert list(cells.columns) == list(frame)
    vae.set_output(transform="default")
    assert isinstance(vae.inverse_transform([[0.25]]).index, pd.RangeIndex)


def test_labels_of_columns_keep_the_names_of_their_levels(frame):
    labels = [("a", "kind"), ("a", "income")]
    X = frame.set_axis(pd.MultiIndex.from_tuples(labels, names=["g", "h"]), axis=1)
    vae = BalancedVAE(1, **SMALL).fit(X)
    for again in (vae.sample(2), vae.impute(X), vae.inverse_transform([[0.0]])):
        pd.testing.assert_index_equal(again.columns, X.columns)
