import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae.data._rows import chunks
from skvae.data._scaling import Scaling


def table_of(X, weight=None, *, standardize=True):
    X = np.asarray(X)
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=float)
    return Scaling.from_rows(X, np.arange(len(X)), weight, standardize=standardize)


@pytest.fixture
def X():
    return np.random.RandomState(0).normal(3.0, [1.0, 0.2, 50.0], size=(40, 3))


def test_model_sees_zero_mean_and_unit_variance(X):
    seen = table_of(X).to_model(X)
    assert_allclose(seen.mean(axis=0), 0.0, atol=1e-14)
    assert_allclose(seen.std(axis=0), 1.0, rtol=1e-14)


def test_weight_is_repetition(X):
    weight = np.arange(len(X)) % 4
    weighted = table_of(X, weight)
    repeated = table_of(X.repeat(weight, axis=0))
    assert_allclose(weighted.center, repeated.center, rtol=1e-14)
    assert_allclose(weighted.scale, repeated.scale, rtol=1e-14)


def test_scale_of_weights_does_not_matter(X):
    weight = np.arange(1.0, len(X) + 1.0)
    expected = table_of(X, weight)
    for factor in (1e-300, 1e300):
        table = table_of(X, factor * weight)
        assert_allclose(table.center, expected.center, rtol=1e-13)
        assert_allclose(table.scale, expected.scale, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_come_back(X, dtype):
    X = X.astype(dtype)
    table = table_of(X)
    x = table.to_model(X)
    assert x.dtype == np.float64
    back = table.to_user(x.astype(dtype))
    assert back.dtype == dtype
    assert_allclose(back, X, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("factor", [1e-310, 1e-200, 1e-8, 1e8, 1e200, 1e307])
def test_scale_follows_the_units(X, factor):
    X = X / np.abs(X).max()
    table = table_of(factor * X)
    # Below the smallest normal number there are few digits left to be right about.
    rtol = 1e-13 if factor > np.finfo(float).tiny else 1e-10
    assert_allclose(table.scale / factor, table_of(X).scale, rtol=rtol)
    assert_allclose(table.to_model(factor * X), table_of(X).to_model(X), atol=1e-10)


def test_a_power_of_two_changes_nothing_that_the_model_sees(X):
    factors = np.array([2.0**-40, 1.0, 2.0**33])
    scaled = table_of(X * factors)
    assert_array_equal(scaled.to_model(X * factors), table_of(X).to_model(X))
    assert_allclose(
        scaled.log_jacobian - table_of(X).log_jacobian, np.log(factors), atol=1e-13
    )


def test_log_jacobian_is_the_logarithm_of_the_standard_deviation(X):
    assert_allclose(table_of(X).log_jacobian, np.log(X.std(axis=0)), rtol=1e-13)


# 0.1 summed with weights is not 0.1, and offsets leave rounding behind.
@pytest.mark.parametrize("value", [0.0, 0.1, -1e-8, 1e8 + 0.1, 1e300])
def test_constant_column(X, value):
    X[:, 1] = value
    table = table_of(X, weight=np.linspace(0.1, 1.0, len(X)))
    assert_array_equal(table.is_constant, [False, True, False])
    assert table.scale[1] == 1.0
    assert_array_equal(table.to_model(X)[:, 1], 0.0)
    # Whatever the model makes of it.
    anything = np.random.RandomState(1).normal(size=X.shape)
    assert_array_equal(table.to_user(anything)[:, 1], value)


def test_column_that_differs_by_rounding_alone_is_constant(X):
    X[:, 1] = 0.3
    X[::2, 1] = 0.1 + 0.2
    assert X[0, 1] != X[1, 1]
    table = table_of(X)
    assert_array_equal(table.is_constant, [False, True, False])
    assert table.scale[1] == 1.0


def test_small_variation_on_a_large_offset_is_not_constant(X):
    X[:, 1] = 1e6 + 1e-8 * np.arange(len(X))
    table = table_of(X)
    assert not table.is_constant.any()
    assert_allclose(table.scale[1], X[:, 1].std(), rtol=1e-6)


def test_constant_float32_column_comes_back_in_float32(X):
    X = X.astype(np.float32)
    X[:, 0] = 0.1
    table = table_of(X)
    assert_array_equal(table.to_user(np.ones_like(X))[:, 0], X[:, 0])


def test_single_row_is_constant(X):
    table = table_of(X[:1])
    assert table.is_constant.all()
    assert_array_equal(table.center, X[0])
    assert_array_equal(table.scale, 1.0)


def test_column_stops_being_constant_when_a_later_row_differs(X):
    X[:, :2] = [0.5, 1.5]
    table = table_of(X)
    same = table.after(X[:3])
    assert_array_equal(same.is_constant, [True, True, False])
    later = table.after(np.array([[0.5, 2.0, 0.0]]))
    assert_array_equal(later.is_constant, [True, False, False])
    assert_array_equal(later.to_user(np.ones((1, 3)))[0, :2], [0.5, 1.5 + 1.0])
    assert_array_equal(later.center, table.center)
    assert_array_equal(later.scale, table.scale)


def test_not_standardized_is_left_alone(X):
    X[:, 1] = 7.0
    table = table_of(X, standardize=False)
    assert_array_equal(table.to_model(X), X)
    assert_array_equal(table.to_user(X), X)
    assert_array_equal(table.log_jacobian, 0.0)
    # Squared units of X; 1 where a column does not vary.
    expected = X.var(axis=0)
    expected[1] = 1.0
    assert_allclose(table.variance, expected, rtol=1e-13)


def test_variance_is_one_where_the_table_standardizes(X):
    assert_array_equal(table_of(X).variance, 1.0)


def test_table_is_frozen(X):
    with pytest.raises(AttributeError, match="center"):
        table_of(X).center = 0.0


@pytest.mark.parametrize("size", [1, 7, 39])
def test_slices_make_no_difference(X, size, monkeypatch):
    whole = table_of(X, np.arange(len(X)) % 4 + 1.0)
    monkeypatch.setattr(
        "skvae.data._scaling.chunks",
        lambda n_rows, n_features: [
            slice(start, start + size) for start in range(0, n_rows, size)
        ],
    )
    sliced = table_of(X, np.arange(len(X)) % 4 + 1.0)
    for name in ("center", "scale", "variance", "is_constant"):
        assert_allclose(getattr(sliced, name), getattr(whole, name), rtol=1e-13)


def test_slices_cover_the_rows_with_about_a_million_cells_each():
    found = chunks(300_000, 30)
    assert_array_equal(
        np.concatenate([np.arange(300_000)[part] for part in found]),
        np.arange(300_000),
    )
    assert max(part.stop - part.start for part in found) * 30 <= 2**20
    assert len(chunks(3, 2**21)) == 3


def heavy_tailed(n_rows=101):
    random = np.random.RandomState(0)
    X = random.normal(3.0, [1.0, 0.2, 50.0], size=(n_rows, 3))
    X[::25] *= 1e4
    return X


def robust(X, weight=None):
    return table_of(X, weight, standardize="robust")


def test_robust_is_median_and_interquartile_range():
    X = heavy_tailed()
    low, median, high = np.percentile(X, [25, 50, 75], axis=0)
    assert_allclose(robust(X).center, median, rtol=1e-14)
    assert_allclose(robust(X).scale, (high - low) / (2.0 * 0.67448975), rtol=1e-8)
    table = robust(X)
    assert_allclose(table.variance, X.var(axis=0) / table.scale**2, rtol=1e-12)
    assert_allclose(table.to_user(table.to_model(X)), X, rtol=1e-12)


def test_robust_is_the_standard_deviation_of_normal_columns():
    X = np.random.RandomState(0).normal(size=(200_000, 2))
    assert_allclose(robust(X).scale, X.std(axis=0), rtol=0.01)


def test_outliers_do_not_move_what_is_robust():
    X = heavy_tailed()
    calm = np.where(np.abs(X) > 1e3, np.sign(X) * 1e3, X)
    assert_array_equal(robust(X).scale, robust(calm).scale)
    assert table_of(X).scale.min() > 10.0 * table_of(calm).scale.min()


@pytest.mark.parametrize("factor", [-7.0, 1e-200, 1e-8, 1e200])
def test_robust_follows_the_units(factor):
    X = heavy_tailed(104)
    table = robust(factor * X)
    assert_allclose(table.center, factor * robust(X).center, rtol=1e-13)
    assert_allclose(table.scale, abs(factor) * robust(X).scale, rtol=1e-12)
    assert_allclose(table.variance, robust(X).variance, rtol=1e-10)


def test_robust_weight_is_repetition():
    X = heavy_tailed()
    X[::3, 0] = np.nan
    weight = np.arange(len(X)) % 4
    weighted, repeated = robust(X, 0.1 * weight), robust(X.repeat(weight, axis=0))
    assert_array_equal(weighted.center, repeated.center)
    assert_array_equal(weighted.scale, repeated.scale)
    assert robust(X).center[0] == np.nanmedian(X[:, 0])


def test_column_without_a_range_gets_its_standard_deviation():
    """Where most cells are equal, exactly or but for rounding, or all are missing."""
    random = np.random.RandomState(0)
    rare = np.where(np.arange(60) % 5 == 0, random.normal(10.0, 1.0, 60), 2.0)
    rounded = rare + 1e-12 * random.normal(size=60)
    X = np.column_stack([rare, rounded, np.full(60, 7.0), np.full(60, np.nan)])
    table = robust(X)
    assert_allclose(table.scale[:2], rare.std(), rtol=1e-9)
    assert_allclose(table.center, [2.0, 2.0, 7.0, 0.0], rtol=1e-9)
    assert_array_equal(table.scale[2:], 1.0)
    assert_array_equal(table.is_constant, [False, False, True, True])


def test_robust_leaves_other_columns_alone():
    X = heavy_tailed()
    every = np.arange(len(X))
    columns = np.array([True, False, True])
    ones = np.ones(len(X))
    table = Scaling.from_rows(X, every, ones, standardize="robust", columns=columns)
    assert table.center[1] == 0.0
    assert table.scale[1] == 1.0
    assert_array_equal(table.scale[columns], robust(X).scale[columns])
