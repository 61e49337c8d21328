import numpy as np
import pytest
import torch
from scipy import stats

from skvae.likelihoods import StudentT

NO_VARIANCE = torch.empty(1, 0)


def log_prob(x, df, scale=1.0, dtype=torch.float64):
    """Log-probability at location 0, without the floor of the scale."""
    x = torch.as_tensor(x, dtype=dtype).view(1, -1)
    parameters = {
        "location": torch.zeros((1, *x.shape), dtype=dtype),
        "log_scale": torch.full((1, 1, 1), np.log(scale), dtype=dtype),
    }
    likelihood = StudentT(degrees_of_freedom=df, floor=1e-300)
    return likelihood.log_prob(x, parameters, NO_VARIANCE)[0, 0]


@pytest.mark.parametrize("df", [0.5, 1.0, 3.0, 20.0, 1e4])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str
)
def test_fixed_degrees_of_freedom(df, dtype, tolerance):
    x = np.linspace(-30.0, 30.0, 41)
    found = log_prob(x, df, scale=2.0, dtype=dtype)
    expected = stats.t(df, 0.0, 2.0).logpdf(x)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_many_degrees_of_freedom_are_gaussian(dtype):
    x = np.linspace(-3.0, 3.0, 61)
    difference = log_prob(x, 1e6, dtype=dtype).numpy() - stats.norm.logpdf(x)
    assert np.abs(difference).max() < 1e-4
    if dtype == torch.float64:
        assert np.abs(difference[-1]) == pytest.approx(1.6e-5, rel=0.1)


@pytest.mark.parametrize("df", [1.0, 3.0, 10.0])
def test_pull_of_an_outlier_is_bounded(df):
    scale = 0.7
    x = torch.linspace(-1e3, 1e3, 20_001, dtype=torch.float64).requires_grad_()
    log_prob(x, df, scale).sum().backward()
    bound = (df + 1.0) / (2.0 * scale * df**0.5)
    assert x.grad.abs().max() <= bound
    # It is reached at a distance of scale times the root of df.
    assert x.grad.abs().max() > 0.99 * bound


def test_start_does_not_see_a_wild_cell():
    X = stats.t(5.0, 10.0, 2.0).rvs((2000, 1), random_state=0)
    tame = StudentT().fit(X)
    X[0] = 1e6
    wild = StudentT().fit(X)
    assert tame.start(1) == pytest.approx([10.0], abs=0.2)
    assert wild.start(1) == pytest.approx(tame.start(1), abs=0.01)
    scale = np.exp(tame.feature_parameters()["log_scale"])
    assert scale == pytest.approx([2.0], abs=0.2)
    scale = np.exp(wild.feature_parameters()["log_scale"])
    assert scale == pytest.approx([2.0], abs=0.2)


def test_start_in_the_units_of_the_table():
    X = np.random.RandomState(0).standard_normal((300, 2)) * 3.0 + 50.0
    center, scale = X.mean(axis=0), X.std(axis=0)
    likelihood = StudentT().fit(X)
    again = StudentT().fit((X - center) / scale)
    np.testing.assert_allclose(
        likelihood.start(2, center, scale), again.start(2), atol=1e-12
    )
    found = likelihood.feature_parameters(center, scale)
    for key, expected in again.feature_parameters().items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-8)


def test_column_of_which_most_is_one_value_has_a_scale():
    X = np.zeros((100, 1))
    X[:3, 0] = 1.0, -2.0, 3.0
    scale = np.exp(StudentT().fit(X).feature_parameters()["log_scale"])
    assert 0.5 * X.std() < scale[0] < X.std()


def test_fixed_degrees_of_freedom_are_not_trained():
    X = np.random.RandomState(0).standard_normal((50, 2))
    assert set(StudentT().fit(X).feature_parameters()) == {"log_scale", "tail"}
    fixed = StudentT(degrees_of_freedom=4.0).fit(X)
    assert set(fixed.feature_parameters()) == {"log_scale"}


def test_no_variance_below_two_degrees_of_freedom():
    parameters = {"location": torch.zeros(1, 2, 1), "log_scale": torch.zeros(1, 1, 1)}
    likelihood = StudentT(degrees_of_freedom=1.5)
    distribution = likelihood.distribution(parameters, NO_VARIANCE)
    assert distribution.variance.isinf().all()
    assert torch.equal(distribution.mean, parameters["location"])
