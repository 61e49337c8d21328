"""Any setting on any table: a whole model, or an error that says what to change."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skvae import BalancedVAE
from skvae.balance import POLICIES, FreeBits, LearnedVariance, Linear, RunningAverage
from skvae.divergences import DIVERGENCES
from skvae.likelihoods import LIKELIHOODS, Categorical, Gaussian
from skvae.networks import ACTIVATIONS, MLP
from skvae.priors import Mixture

# --- tables ---------------------------------------------------------------------------


def real(random, n):
    return random.normal(3.0, 2.0, n)


def text(random, n):
    return random.choice(list("abcd"), n).astype(object)


COLUMNS = {
    "real": real,
    "large": lambda random, n: 1e200 * real(random, n),
    "small": lambda random, n: 1e-200 * real(random, n),
    "far": lambda random, n: 1e9 + 1e-3 * real(random, n),
    "constant": lambda random, n: np.full(n, 0.1),
    "rounding": lambda random, n: random.choice([0.3, 0.1 + 0.2], n),
    "outlier": lambda random, n: np.where(
        np.arange(n) == n // 2, 1e12, real(random, n)
    ),
    "whole": lambda random, n: random.randint(-5, 5, n),
    "count": lambda random, n: random.poisson(2.0, n),
    "identifier": lambda random, n: 2**53 + 2 * np.arange(n) + 1,
    "zero or one": lambda random, n: random.randint(0, 2, n),
    "zero": lambda random, n: np.zeros(n, dtype=int),
    "flag": lambda random, n: random.randint(0, 2, n).astype(bool),
    "fraction": lambda random, n: random.uniform(0.01, 0.99, n),
    "level": text,
    "name": lambda random, n: np.array([f"n{i}" for i in range(n)], dtype=object),
    "day": lambda random, n: (
        np.datetime64("2020-01-01", "us") + random.randint(0, 10**6, n).astype("m8[s]")
    ),
}
GAPS = {"real", "level", "fraction", "large", "day"}


@st.composite
def tables(draw):
    """A frame of a few columns, and the library that it is passed in."""
    n_rows = draw(st.integers(1, 70))
    kinds = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=4))
    random = np.random.RandomState(draw(st.integers(0, 2**16)))
    frame = pd.DataFrame(
        {f"{kind} {i}": COLUMNS[kind](random, n_rows) for i, kind in enumerate(kinds)}
    )
    for name in frame:
        if name.split()[0] in GAPS and draw(st.booleans()):
            frame[name] = frame[name].mask(random.uniform(size=n_rows) < 0.3)
    if draw(st.booleans()):
        frame.index = random.permutation(n_rows)
    return frame, draw(st.sampled_from(list(LIBRARIES)))


def nullable(frame):
    """A frame of nullable types; casts that pandas tries warn in old releases."""
    with np.errstate(invalid="ignore"):
        return frame.convert_dtypes()


LIBRARIES = {
    "pandas": lambda frame: frame,
    "nullable": nullable,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pl.from_pandas(frame).to_arrow(),
    "objects": lambda frame: frame.astype(object).to_numpy(),
    "numbers": lambda frame: (
        frame.select_dtypes("number").to_numpy(dtype=float)
        if len(frame.select_dtypes("number").columns)
        else np.arange(float(2 * len(frame))).reshape(-1, 2)
    ),
}


def rows_of(table, rows):
    """Rows of a table of any library."""
    if isinstance(table, pd.DataFrame):
        return table.iloc[rows]
    # Arrays have a `take` too, which flattens them.
    is_arrow = not isinstance(table, (np.ndarray, pl.DataFrame))
    return table.take(rows) if is_arrow else table[rows]


def cells_of(table):
    """Cells as Python objects, None where missing."""
    if not isinstance(table, (pd.DataFrame, np.ndarray)):
        table = table.to_pandas()
    objects = pd.DataFrame(table).astype(object)
    return objects.where(objects.notna(), None).to_numpy()


# --- settings -------------------------------------------------------------------------


def all_columns(X):
    """Selection of all columns, as a function that can be pickled."""
    return list(range(X.shape[1]))


PARTS = {
    "balance": [
        "auto",
        *POLICIES,
        FreeBits(0.5),
        Linear(policy=LearnedVariance()),
        RunningAverage(scope="feature"),
    ],
    "likelihood": [
        *["auto"] * 6,
        *LIKELIHOODS,
        Gaussian(variance=0.5),
        Categorical(handle_unknown="missing"),
        [("gaussian", [0])],
        [("student_t", all_columns)],
    ],
    "divergence": ["kl", "kl", *DIVERGENCES],
    "prior": [*["normal"] * 4, "mixture", Mixture(3)],
    "beta": [0.0, 1e-8, 1.0, 4.0, 1e6],
    "standardize": [True, False, "robust", "quantile"],
    "early_stopping": ["auto", True, False],
    "precision": ["float32", "float64"],
    "batch_size": ["auto", 1, 7],
    "hidden_layer_sizes": [(), (3,), (4, 3)],
    "activation": [*ACTIVATIONS],
    "learning_rate": ["one_cycle", "constant", "cyclical"],
    "learning_rate_init": [1e-6, 0.003, 1.0],
    "alpha": [0.0, 0.1],
    "n_components": ["auto", 1, 3],
    "network": [
        None,
        None,
        MLP((3,), posterior="full"),
        MLP((3, 3), residual=True, layer_norm=True, decoder_layer_sizes=(4,)),
        MLP((3,), dropout=0.4),
    ],
    "handle_unknown": ["missing", "error"],
}
ESTIMATORS = st.fixed_dictionaries(
    {name: st.sampled_from(values) for name, values in PARTS.items()}
).map(lambda params: BalancedVAE(max_iter=2, random_state=0, **params))
WEIGHTS = st.sampled_from([None, "ones", "tiny", "huge", "some zero"])


def weights_of(kind, n_rows):
    scale = {"tiny": 1e-300, "huge": 1e300}.get(kind, 1.0)
    weight = scale * (1.0 + np.arange(n_rows) % 3)
    if kind == "some zero":
        weight[1::2] = 0.0
    return None if kind is None else weight


# --- what holds -----------------------------------------------------------------------


def assert_whole(vae, X):
    """All methods are finite, and agree with one another."""
    n_rows = len(X)
    Z = vae.transform(X)
    assert Z.shape == (n_rows, vae.n_components_)
    rate, distortion = vae.rate_distortion(X)
    cells = vae.score_cells(X)
    found = {
        "transform": Z,
        "rate": rate,
        "distortion": distortion,
        "cells": cells,
        "log_likelihood": vae.log_likelihood(X, 5),
        "elbo_": vae.elbo_,
    }
    # Columns of a likelihood without a variance have none.
    for name in ("variance_", "theta_"):
        value = np.ravel([] if getattr(vae, name) is None else getattr(vae, name))
        found[name] = value[~np.isnan(value)]
    found |= {"scored variance": vae._fitted.variance, **vae.history_}
    wrong = {name: v for name, v in found.items() if not np.isfinite(v).all()}
    assert not wrong, wrong
    assert_array_equal(vae.score_samples(X), -(rate + distortion))
    assert_allclose(cells.sum(axis=1), distortion, rtol=1e-5, atol=1e-5)
    k = (n_rows + 1) // 2
    if vae.learning_rate_init < 1.0:
        # Weights that exploded leave no digits.
        assert_allclose(
            vae.transform(rows_of(X, np.arange(k))), Z[:k], rtol=1e-4, atol=1e-5
        )

    again, drawn = vae.inverse_transform(Z), vae.sample(3, random_state=0)
    for table, n in ((again, n_rows), (drawn, 3)):
        assert type(table) is type(X)
        assert table.shape == (n, X.shape[1])
        if isinstance(X, pd.DataFrame):
            assert list(table.columns) == list(X.columns)
    if isinstance(X, pd.DataFrame):
        assert again.index.equals(X.index)
    known, filled = cells_of(X), cells_of(vae.impute(X, 5))
    is_there = known != None  # noqa: E711
    assert (known[is_there] == filled[is_there]).all()
    assert_array_equal(pickle.loads(pickle.dumps(vae)).transform(X), Z)


def check(vae, table, weight):
    frame, library = table
    X, weight = LIBRARIES[library](frame), weights_of(weight, len(frame))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            vae.fit(X, sample_weight=weight)
        except (ValueError, TypeError) as error:
            message = str(error)
            # More than the first line of somebody else's traceback.
            assert len(message) > 40, message
            assert not hasattr(vae, "n_iter_")
        else:
            # Rows of weight zero may hold levels that are new.
            there = np.arange(len(frame))[slice(None) if weight is None else weight > 0]
            rows = rows_of(X, there)
            assert_whole(vae, rows)
            other = clone(vae).fit(X, sample_weight=weight)
            assert_array_equal(other.transform(rows), vae.transform(rows))
    for warning in caught:
        module, message = warning.category.__module__, str(warning.message)
        is_own = module.split(".")[0] in {"skvae", "sklearn"}
        assert is_own or "the linear model of this size" in message, message


def anything(n_examples):
    """Decorator: so many random settings and tables."""

    def decorate(function):
        options = settings(
            max_examples=n_examples,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        return options(given(ESTIMATORS, tables(), WEIGHTS)(function))

    return decorate


@anything(300)
def test_anything(vae, table, weight):
    check(vae, table, weight)


@pytest.mark.slow
@anything(5000)
def test_much_more(vae, table, weight):
    check(vae, table, weight)
