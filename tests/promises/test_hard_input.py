"""Unusual but valid tables: everything stays finite, and right where that is known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_wine

from skvae import BalancedVAE
from skvae.balance import POLICIES, LearnedVariance, OptimalVariance, RunningAverage

# The tolerance says that two epochs are meant to be enough.
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}

X = np.random.RandomState(0).standard_normal((30, 4))

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


def assert_all_finite(vae, rows):
    """Everything that the model says of rows, and everything that it learned."""
    Z = vae.transform(rows)
    said = {
        "transform": Z,
        "inverse_transform": vae.inverse_transform(Z),
        "score": vae.score(rows),
        "score_samples": vae.score_samples(rows),
        "score_cells": vae.score_cells(rows),
        "log_likelihood": vae.log_likelihood(rows, 5),
        "sample": vae.sample(5, random_state=0),
    }
    learned = {
        name: value
        for name, value in vars(vae).items()
        if name.endswith("_") and name not in {"history_", "feature_names_in_"}
    }
    assert learned.keys() >= {"variance_", "theta_", "elbo_", "active_units_"}
    for name, value in {**said, **learned, **vae.history_}.items():
        # No variance where the likelihood has none.
        if value is not None:
            finite = np.isfinite(np.asarray(value, dtype=float))
            assert finite.all(), f"{name} is not finite"
    n_rows, n_features = np.shape(rows)
    assert Z.shape == (n_rows, vae.n_components_)
    assert np.shape(said["inverse_transform"]) == (n_rows, n_features)
    assert np.shape(said["score_cells"]) == (n_rows, n_features)
    assert np.shape(said["sample"]) == (5, n_features)


def fit(rows, **params):
    vae = BalancedVAE(**{**SMALL, **params}).fit(rows)
    assert_all_finite(vae, rows)
    return vae


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("params", [{}, {"balance": "constant"}, {"batch_size": 2}])
def test_few_rows(n_rows, params):
    vae = fit(X[:n_rows], **params)
    if n_rows == 1:
        # All columns are constant: the row is all there is.
        assert_array_equal(
            vae.inverse_transform(vae.transform(X)), np.tile(X[0], (30, 1))
        )
        assert_array_equal(vae.sample(3), X[[0, 0, 0]])


def test_two_rows_one_held_out():
    vae = fit(X[:2], early_stopping=True)
    assert "validation_elbo" in vae.history_


@pytest.mark.parametrize("batch_size", [1, 7, 29, 30, 1000])
def test_batches_that_do_not_divide_the_rows(batch_size):
    # 29 of 30 and 7 of 29: a tail of one row.
    fit(X, batch_size=batch_size)
    fit(X[:29], batch_size=batch_size)


def test_batch_never_exceeds_the_rows():
    whole, more = fit(X, batch_size=30), fit(X, batch_size=31)
    assert_array_equal(more.transform(X), whole.transform(X))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-8, -1e8, 1e150])
@pytest.mark.parametrize("balance", ["learned_variance", "constant"])
def test_constant_column(value, balance):
    table = np.insert(X, 1, value, axis=1)
    vae = fit(table, balance=balance)
    assert_array_equal(vae.inverse_transform(vae.transform(table))[:, 1], value)
    assert_array_equal(vae.sample(9, random_state=0)[:, 1], value)
    # What is constant says nothing of units: the codes are the same for each value.
    zero = fit(np.insert(X, 1, 0.0, axis=1), balance=balance)
    assert_array_equal(
        vae.transform(table), zero.transform(np.insert(X, 1, 0.0, axis=1))
    )


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e8])
def test_all_columns_constant(value):
    table = np.full((30, 3), value)
    vae = fit(table)
    assert not vae.active_units_.any()
    assert_array_equal(vae.inverse_transform(vae.transform(table)), table)
    assert_array_equal(vae.sample(2), table[:2])
    # Not Bernoulli, though all are zeros or ones: nobody knows that they are flags.
    assert vae.variance_ > 0.0


def test_column_that_varies_later_is_no_longer_constant():
    first, later = X.copy(), X.copy()
    first[:, 2] = 0.0
    vae = BalancedVAE(**SMALL).partial_fit(first)
    assert_array_equal(vae.inverse_transform(vae.transform(first))[:, 2], 0.0)
    vae.partial_fit(later)
    assert_all_finite(vae, later)
    assert np.ptp(vae.sample(3, random_state=0)[:, 2]) > 0.0
    # Neither the first nor a third call changes that back.
    vae.partial_fit(first)
    assert np.ptp(vae.sample(3, random_state=0)[:, 2]) > 0.0

    warm = BalancedVAE(**SMALL, warm_start=True).fit(first)
    assert_array_equal(warm.fit(first).sample(3)[:, 2], 0.0)
    assert np.ptp(warm.fit(later).sample(3)[:, 2]) > 0.0


def test_new_value_in_a_constant_column_is_odd():
    table = np.insert(X, 1, 3.0, axis=1)
    # Long enough for the model to know that the column does not vary.
    vae = fit(table, max_iter=20, learning_rate_init=0.02)
    other = table.copy()
    other[:, 1] += 10.0
    assert_all_finite(vae, other)
    assert (vae.score_cells(other)[:, 1] > vae.score_cells(table)[:, 1] + 10.0).all()


def test_duplicated_columns():
    vae = fit(X[:, [0, 0, 1, 1, 2]], n_components=3)
    assert_all_finite(vae, X[:, [0, 0, 1, 1, 2]])
    fit(np.repeat(X[:, :1], 6, axis=1))


def test_duplicated_rows():
    table = np.tile(X[:1], (30, 1))
    vae = fit(table)
    assert_array_equal(vae.inverse_transform(vae.transform(table)), table)
    # Equal rows are one row of greater weight.
    assert_array_equal(vae.transform(table), fit(X[:1]).transform(table))


@pytest.mark.parametrize("which", [slice(1), slice(None)], ids=["one", "all"])
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-8, 1e8, 1e150, 1e300])
def test_scale_of_columns(scale, which):
    factor = np.ones(4)
    factor[which] = scale
    base, vae = fit(X), fit(X * factor)
    Z = base.transform(X)
    assert_allclose(vae.transform(X * factor), Z, atol=1e-4)
    assert_allclose(
        vae.inverse_transform(Z) / factor, base.inverse_transform(Z), atol=1e-4
    )
    assert_allclose(
        vae.score_samples(X * factor) + np.log(factor).sum(),
        base.score_samples(X),
        atol=1e-3,
    )
    assert_allclose(
        vae.sample(9, random_state=0) / factor,
        base.sample(9, random_state=0),
        atol=1e-4,
    )


@pytest.mark.parametrize("which", [slice(1), slice(None)], ids=["one", "all"])
def test_offset_of_columns(which):
    shift = np.zeros(4)
    shift[which] = 1e6
    base, vae = fit(X), fit(X + shift)
    # X + 1e6 is itself rounded by 1e-10, and training in float32 multiplies that: by
    # how much depends on the kernels of the processor.
    assert_allclose(vae.transform(X + shift), base.transform(X), atol=2e-3)
    assert_allclose(vae.score_samples(X + shift), base.score_samples(X), atol=1e-3)
    # float32 has steps of 0.06 there; samples are drawn in it, but not shifted in it.
    assert_allclose(
        vae.sample(9, random_state=0) - shift, base.sample(9, random_state=0), atol=1e-3
    )


def test_tiny_scale_on_a_large_offset():
    # Rounding leaves a hundred different values or so: few, but not noise.
    table = X.copy()
    table[:, 0] = 1e6 + 1e-8 * X[:, 0]
    assert len(np.unique(table[:, 0])) > 20
    base, vae = fit(X), fit(table)
    correlation = np.corrcoef(vae.transform(table)[:, 0], base.transform(X)[:, 0])[0, 1]
    assert correlation > 0.999
    sample = vae.sample(100, random_state=0)[:, 0]
    assert_allclose(sample.mean(), 1e6, atol=1e-7)
    assert 1e-9 < sample.std() < 1e-7
    fit(1e6 + 1e-8 * X)


def test_more_columns_than_rows():
    fit(np.random.RandomState(0).standard_normal((10, 50)))


TABLES = {
    "wide": lambda random: random.standard_normal((60, 1100)),
    "wide and few": lambda random: random.standard_normal((10, 1100)),
    "as many latents as columns": lambda random: random.standard_normal((80, 3)),
    "rank of two": lambda random: (
        random.standard_normal((80, 2)) @ random.standard_normal((2, 7))
    ),
    "opposite columns": lambda random: (
        random.standard_normal((80, 1)) * [1.0, -1.0, 2.0, 1e6]
    ),
    "outliers": lambda random: random.standard_cauchy((200, 4)) ** 3,
    "one outlier": lambda random: np.append(
        random.standard_normal((99, 4)), np.full((1, 4), 1e9), axis=0
    ),
    "integers": lambda random: random.poisson(0.02, (300, 5)).astype(float),
}


@pytest.mark.parametrize(
    ("hidden", "early_stopping"),
    [
        pytest.param((), True, id="linear-held out"),
        pytest.param((4,), False, id="mlp"),
        pytest.param((), False, id="linear", marks=pytest.mark.slow),
        pytest.param((4,), True, id="mlp-held out", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("case", TABLES)
def test_start_in_closed_form(case, hidden, early_stopping):
    rows = TABLES[case](np.random.RandomState(0))
    for n_components in (3, 8) if rows.shape[1] > 3 else (3, 4):
        fit(
            rows,
            n_components=n_components,
            likelihood="gaussian",
            hidden_layer_sizes=hidden,
            early_stopping=early_stopping,
        )


def test_2000_columns():
    wide = np.random.RandomState(0).standard_normal((12, 2000))
    assert fit(wide).n_components_ == 10


@pytest.mark.parametrize("n_components", [5, 40])
@pytest.mark.parametrize("balance", list(POLICIES))
def test_more_latents_than_columns_or_rows(n_components, balance):
    fit(X, n_components=n_components, balance=balance)


@pytest.mark.parametrize("balance", list(POLICIES))
@may_collapse
def test_extreme_beta(balance):
    free = fit(X, beta=0, balance=balance, max_iter=3)
    bound = fit(X, beta=1e6, balance=balance, max_iter=3)
    if balance == "capacity":
        # The weight is of the distance to the target, which may be above.
        target = bound._fitted.state.balance.target[0]
        assert abs(bound.rate_ - target) < abs(free.rate_ - target)
    else:
        assert bound.rate_ < free.rate_


@pytest.mark.parametrize("scope", ["shared", "feature"])
@pytest.mark.parametrize("policy", [LearnedVariance, OptimalVariance, RunningAverage])
@pytest.mark.parametrize("standardize", [True, False])
def test_variance_of_constant_and_duplicated_columns(policy, scope, standardize):
    table = np.column_stack([X, X[:, 0], np.full(30, 2.0)])
    vae = fit(table, balance=policy(scope=scope), standardize=standardize)
    shape = () if scope == "shared" else (6,)
    assert np.shape(vae.variance_) == np.shape(vae.theta_) == shape
    # The floor is relative to a column's variance, or to 1 where it has none.
    assert np.min(vae.variance_) >= 1e-6 * (1.0 - 1e-5)


@pytest.mark.parametrize("balance", ["constant", "normalized", "linear"])
def test_beta_policies_of_constant_and_duplicated_columns(balance):
    table = np.column_stack([X, X[:, 0], np.full(30, 2.0)])
    fit(table, balance=balance)
    fit(table, balance=balance, standardize=False)


@pytest.mark.parametrize("balance", list(POLICIES))
@may_collapse
def test_not_standardized(balance):
    vae = fit(X, balance=balance, standardize=False)
    # X is as the model sees it already, but for its sample mean and variance.
    assert_allclose(vae.score(X), fit(X, balance=balance).score(X), atol=1.0)


# Big-endian and extended numbers, and objects, are cast once and then the same.
INTEGERS = ["int8", "uint8", "bool", "int64", "<i2", ">i4"]
FLOATS = ["float16", ">f4", ">f8", "longdouble", "object"]


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_dtype(dtype):
    table = np.abs(10.0 * X).astype(dtype)
    plain = np.array(table, dtype=np.float64)
    vae, same = fit(table), fit(plain)
    Z = vae.transform(table)
    assert Z.dtype == np.float64
    assert Z.dtype.isnative
    assert_array_equal(Z, same.transform(plain))
    assert vae.inverse_transform(Z).dtype == np.float64


def test_float32():
    vae = fit(X.astype(np.float32))
    Z = vae.transform(X.astype(np.float32))
    assert Z.dtype == np.float32
    # X itself was rounded by 1e-7, and Adam takes steps of the same size along a
    # gradient that is nothing but rounding, as it is for much at a closed form.
    assert_allclose(Z, fit(X).transform(X), atol=1e-3)


def read_only(table):
    table = table.copy()
    table.setflags(write=False)
    return table


LAYOUTS = {
    "negative strides": lambda table: table[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "every other row": lambda table: np.repeat(table, 2, axis=0)[::2],
    "list of lists": np.ndarray.tolist,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(layout):
    table = LAYOUTS[layout](X)
    assert_array_equal(np.asarray(table), X)
    vae, plain = fit(table), fit(X)
    assert_array_equal(vae.transform(table), plain.transform(X))
    assert_array_equal(vae.score_samples(table), plain.score_samples(X))


def test_input_is_not_written_to():
    table = X.copy()
    vae = fit(table)
    Z = vae.transform(table)
    kept = Z.copy()
    vae.inverse_transform(Z)
    assert_array_equal(table, X)
    assert_array_equal(Z, kept)


def test_nullable_columns_without_missing_values():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(
        {
            "a": pd.array(range(30), dtype="Int64"),
            "b": pd.array(X[:, 0], dtype="Float64"),
            "c": pd.array(X[:, 1] > 0, dtype="boolean"),
        }
    )
    plain = table.astype(float)
    vae = fit(table)
    assert_array_equal(vae.transform(table), fit(plain).transform(plain))
    back = vae.inverse_transform(vae.transform(table))
    assert isinstance(back, pd.DataFrame)
    assert list(back.columns) == ["a", "b", "c"]


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("distance", [1e6, 1e12])
def test_rows_far_out(hidden, dtype, distance):
    vae = fit(X.astype(dtype), hidden_layer_sizes=hidden)
    far = (distance * X).astype(dtype)
    assert_all_finite(vae, far)
    # Further out is less likely, and such a row changes nothing for the others.
    assert (vae.score_samples(far) < vae.score_samples(X.astype(dtype)).min()).all()
    both = np.concatenate([X.astype(dtype), far])
    rtol = 1e-3 if dtype == np.float32 else 1e-10
    assert_allclose(
        vae.score_samples(both)[:30], vae.score_samples(X.astype(dtype)), rtol=rtol
    )


def test_zeros_and_ones():
    flags = X > 0.0
    vae = fit(flags)
    assert vae.variance_ is None
    back = vae.inverse_transform(vae.transform(flags))
    assert ((back >= 0.0) & (back <= 1.0)).all()
    assert set(np.unique(vae.sample(50, random_state=0))) == {0.0, 1.0}
    # Logits far out: probabilities of exactly 0 and 1 would cost infinite nats.
    assert_all_finite(fit(flags, max_iter=3, learning_rate_init=1.0), flags)
    constant = np.column_stack([flags, np.ones(30)])
    assert_all_finite(fit(constant), constant)


def explained_variance(vae, table):
    residual = table - vae.inverse_transform(vae.transform(table))
    return 1.0 - np.square(residual).mean(axis=0) / table.var(axis=0)


UNITS = {
    "1000 X + 7": lambda d: (1000.0, 7.0),
    "powers of two": lambda d: (2.0 ** (np.arange(d) % 41 - 20), 0.0),
    "arbitrary": lambda d: (np.geomspace(3e-7, 5e6, d), 0.0),
}


@pytest.mark.parametrize(
    ("data", "balance"),
    [
        (load_wine, "learned_variance"),
        (load_breast_cancer, "constant"),
        pytest.param(load_wine, "constant", marks=pytest.mark.slow),
        pytest.param(load_breast_cancer, "learned_variance", marks=pytest.mark.slow),
    ],
)
def test_units_do_not_matter(data, balance):
    table = data().data
    params = {
        **SMALL,
        "balance": balance,
        "hidden_layer_sizes": (16,),
        "max_iter": 10,
    }
    vae = BalancedVAE(3, **params).fit(table)
    rate, distortion = vae.rate_distortion(table)
    for name, units in UNITS.items():
        factor, shift = units(table.shape[1])
        other = factor * table + shift
        log_factor = np.broadcast_to(np.log(factor), table.shape[1]).sum()
        same = BalancedVAE(3, **params).fit(other)
        other_rate, other_distortion = same.rate_distortion(other)
        pairs = {
            "codes": (same.transform(other), vae.transform(table)),
            "rate": (other_rate, rate),
            "distortion": (other_distortion - log_factor, distortion),
            "explained variance": (
                explained_variance(same, other),
                explained_variance(vae, table),
            ),
            "rate_": (same.rate_, vae.rate_),
            "distortion_": (same.distortion_ - log_factor, vae.distortion_),
            "variance_": (same.variance_, vae.variance_),
            "objective": (
                same.history_["objective"] - log_factor,
                vae.history_["objective"],
            ),
        }
        for quantity, (found, expected) in pairs.items():
            assert_allclose(
                found, expected, atol=1e-3, rtol=0, err_msg=f"{quantity}, {name}"
            )
        if name == "powers of two":
            # Nothing is rounded, so that the model sees the same numbers.
            assert_array_equal(same.transform(other), vae.transform(table))
            assert_array_equal(other_rate, rate)
