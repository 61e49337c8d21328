import numpy as np
import pytest
import torch
from scipy import stats

from skvae.likelihoods import Gaussian, LogNormal


def test_density_in_the_units_of_the_table():
    random = np.random.RandomState(0)
    X = np.exp(random.standard_normal((20, 2)) * [0.5, 2.0] + [3.0, -1.0])
    likelihood = LogNormal().fit(X)
    log = likelihood.to_model(X)
    center, scale = log.mean(axis=0), log.std(axis=0)
    mean = random.standard_normal((1, 20, 2))
    variance = np.array([[0.3, 0.8]])
    log_prob = likelihood.log_prob(
        torch.from_numpy((log - center) / scale),
        {"mean": torch.from_numpy(mean)},
        torch.from_numpy(variance),
    )
    # What the estimator adds in the units of X.
    nats = -log_prob[0].numpy() + np.log(scale) + likelihood.log_jacobian(X)
    expected = stats.lognorm(
        scale * np.sqrt(variance), scale=np.exp(center + scale * mean)
    )
    np.testing.assert_allclose(-nats, expected.logpdf(X)[0], rtol=1e-12)


def test_is_a_gaussian_of_the_logarithm():
    X = np.exp(np.random.RandomState(0).standard_normal((20, 2)))
    start = LogNormal().fit(X).start(2)
    np.testing.assert_allclose(start, Gaussian().fit(np.log(X)).start(2), rtol=1e-12)
    assert LogNormal().column_dispersion(2).is_free
    assert not LogNormal(variance=0.5).column_dispersion(2).is_free


def test_start_is_zero_where_the_table_takes_the_mean_out():
    X = np.exp(np.random.RandomState(0).standard_normal((20, 2)))
    start = LogNormal().fit(X).start(2, np.log(X).mean(axis=0), np.log(X).std(axis=0))
    np.testing.assert_allclose(start, 0.0, atol=1e-14)


def test_reconstruction_is_the_mean_of_samples():
    parameters = {"mean": torch.full((1, 100_000, 1), 0.5, dtype=torch.float64)}
    variance = torch.full((1, 1), 0.09, dtype=torch.float64)
    center, scale = np.array([2.0]), np.array([1.5])
    X = LogNormal().reconstruction(parameters, variance, center, scale)[0, 0]
    draws = LogNormal().sample(parameters, variance, seed=0)[0].numpy()
    draws = LogNormal().to_user(draws * scale + center)
    assert pytest.approx(draws.mean(axis=0), abs=5.0 * draws.std() / 316.0) == X


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_refuses_what_has_no_logarithm(value):
    X = np.array([[1.0, 2.0], [3.0, value]])
    message = (
        f"LogNormal likelihood needs values above 0, but column 'wage' holds {value:g}"
        ". Use likelihood='gaussian', or add to the column what makes it positive"
    )
    with pytest.raises(ValueError, match=message):
        LogNormal().fit(X, ["age", "wage"])


def test_reconstruction_beyond_all_numbers_is_about_the_largest():
    parameters = {"mean": torch.full((1, 1, 1), 1e6)}
    X = LogNormal().reconstruction(parameters, torch.ones(1, 1))
    assert pytest.approx(np.finfo(np.float64).max, rel=1e-4) == X.item()
