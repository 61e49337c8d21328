"""Poisson, negative binomial and its zero-inflated form."""

import numpy as np
import pytest
import torch
from scipy import stats

from skvae.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial

NO_VARIANCE = torch.empty(1, 0)
FAMILIES = [Poisson, NegativeBinomial, ZeroInflatedNegativeBinomial]
every_family = pytest.mark.parametrize("cls", FAMILIES)


def log_prob(cls, x, mean, h=None, share=None, dtype=torch.float64):
    """Log-probability of counts of one column, whose table held ten million."""
    likelihood = cls().fit(np.array([[0.0], [1e7]]))
    logs = {"log_mean": mean, "log_inverse_dispersion": h}
    parameters = {
        key: torch.tensor(np.log(value), dtype=dtype).view(1, 1, 1)
        for key, value in logs.items()
        if value is not None
    }
    if share is not None:
        logit = np.log(share) - np.log1p(-share) if share else -1e4
        parameters["zero_logits"] = torch.full((1, 1, 1), logit, dtype=dtype)
    x = torch.tensor(np.asarray(x), dtype=dtype).view(-1, 1)
    return likelihood.log_prob(x, parameters, NO_VARIANCE)[0, :, 0].numpy()


def test_poisson_of_large_counts_in_single_precision():
    x = np.array([0.0, 1.0, 990_000.0, 1_000_000.0, 1_003_000.0])
    log_mean = float(np.float32(np.log(1e6)))
    mean = np.exp(log_mean)
    found = log_prob(Poisson, x, mean, dtype=torch.float32)
    # A mean is no more exact than its logarithm, which the counts far away feel.
    np.testing.assert_allclose(
        found, stats.poisson(mean).logpmf(x), rtol=1e-3, atol=5e-3
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str
)
@pytest.mark.parametrize("h", [1e6, 1e7, 1e8])
def test_large_inverse_dispersion_is_poisson(h, dtype, tolerance):
    x = np.arange(60.0)
    found = log_prob(NegativeBinomial, x, 20.0, h, dtype=dtype)
    limit = log_prob(Poisson, x, 20.0, dtype=dtype)
    # What the limit leaves is of the order of the squared distance by h.
    bound = ((x - 20.0) ** 2 + x) / h + tolerance * (1.0 + np.abs(limit))
    assert (np.abs(found - limit) < bound).all()


@pytest.mark.parametrize("h", [1e-3, 0.5, 8.0, 12.0, 1e4])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=str
)
def test_negative_binomial_agrees_with_scipy(h, dtype, tolerance):
    x = np.concatenate([np.arange(12.0), [100.0, 4321.0]])
    h = np.exp(float(np.float32(np.log(h))))
    mean = np.exp(float(np.float32(np.log(30.0))))
    found = log_prob(NegativeBinomial, x, mean, h, dtype=dtype)
    expected = stats.nbinom(h, h / (h + mean)).logpmf(x)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("mean", "h"), [(0.1, 0.05), (5.0, 0.7), (40.0, 1e8)])
def test_probabilities_sum_to_one(mean, h):
    total = np.exp(log_prob(NegativeBinomial, np.arange(2001.0), mean, h)).sum()
    assert total == pytest.approx(1.0, abs=1e-9)


def test_no_zeros_of_their_own_is_negative_binomial():
    x = np.arange(50.0)
    found = log_prob(ZeroInflatedNegativeBinomial, x, 7.0, 2.0, share=0.0)
    expected = log_prob(NegativeBinomial, x, 7.0, 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_probability_of_zero_is_the_sum_of_both():
    p = stats.nbinom(2.0, 2.0 / 9.0).pmf(0)
    found = log_prob(ZeroInflatedNegativeBinomial, [0.0], 7.0, 2.0, share=0.3)
    assert np.exp(found[0]) == pytest.approx(0.3 + 0.7 * p, rel=1e-12)


@every_family
def test_start_of_the_mean(cls):
    X = stats.nbinom(2.0, 0.2).rvs((3000, 1), random_state=0).astype(float)
    likelihood = cls().fit(X)
    parameters = likelihood.unpack(torch.from_numpy(likelihood.start(1)).view(1, 1, -1))
    for key, value in likelihood.feature_parameters().items():
        parameters[key] = torch.from_numpy(value)[None, None]
    mean = float(likelihood.mean(parameters, NO_VARIANCE))
    assert mean == pytest.approx(X.mean(), rel=1e-9)
    if cls is NegativeBinomial:
        h = np.exp(likelihood.feature_parameters()["log_inverse_dispersion"])
        assert h == pytest.approx([2.0], rel=0.15)


def test_start_finds_zeros_of_their_own():
    random = np.random.RandomState(0)
    X = stats.nbinom(3.0, 3.0 / 15.0).rvs((4000, 1), random_state=random).astype(float)
    X[random.uniform(size=len(X)) < 0.4] = 0.0
    likelihood = ZeroInflatedNegativeBinomial().fit(X)
    log_mean, logit = likelihood.start(1)
    assert np.exp(log_mean) == pytest.approx(12.0, rel=0.05)
    assert 1.0 / (1.0 + np.exp(-logit)) == pytest.approx(0.4, abs=0.03)
    h = np.exp(likelihood.feature_parameters()["log_inverse_dispersion"])
    assert h == pytest.approx([3.0], rel=0.2)


def test_column_that_varies_less_than_poisson_starts_at_a_large_h():
    X = np.array([[3.0], [4.0], [3.0], [4.0]])
    h = NegativeBinomial().fit(X).feature_parameters()["log_inverse_dispersion"]
    assert h == pytest.approx([np.log(1000.0)])


@pytest.mark.parametrize("cls", FAMILIES[1:])
def test_dispersion_of_each_cell(cls):
    X = stats.nbinom(2.0, 0.2).rvs((10, 3), random_state=0).astype(float)
    feature, row = cls().fit(X), cls(dispersion="row").fit(X)
    assert row.feature_parameters() == {}
    assert row.parameter_names == (*feature.parameter_names, "log_inverse_dispersion")
    parameters = feature.unpack(torch.from_numpy(feature.start(3)).expand(1, 10, -1))
    for key, value in feature.feature_parameters().items():
        parameters[key] = torch.from_numpy(value)[None, None]
    x = torch.from_numpy(X)
    start = row.unpack(torch.from_numpy(row.start(3)).expand(1, 10, -1))
    torch.testing.assert_close(
        row.log_prob(x, start, NO_VARIANCE),
        feature.log_prob(x, parameters, NO_VARIANCE),
    )


def test_mean_grows_linearly_beyond_ten_times_the_largest_count():
    likelihood = Poisson().fit(np.array([[0.0], [8.0]]))
    bound = np.log(80.0)
    log_mean = torch.tensor([bound - 1.0, bound, bound + 1.0, bound + 80.0]).double()
    mean = likelihood.mean({"log_mean": log_mean.view(1, 4, 1)}, NO_VARIANCE)
    expected = 80.0 * np.array([np.exp(-1.0), 1.0, 2.0, 81.0])
    np.testing.assert_allclose(mean.flatten(), expected, rtol=1e-6)


@every_family
def test_inputs_are_scaled_logarithms(cls):
    X = stats.nbinom(1.0, 0.01).rvs((200, 2), random_state=0).astype(float)
    inputs = cls().fit(X).inputs(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(inputs.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(inputs.std(axis=0), 1.0, rtol=1e-12)
    log = np.log1p(X)
    expected = (log - log.mean(axis=0)) / log.std(axis=0)
    np.testing.assert_allclose(inputs, expected, rtol=1e-9, atol=1e-12)


@every_family
@pytest.mark.parametrize("value", [1.5, -1.0])
def test_refuses_what_is_not_a_count(cls, value):
    message = (
        rf"The {cls.__name__} likelihood needs counts \(whole numbers from 0\), but "
        f"column 'cars' holds {value:g}. Use likelihood='log_normal' for positive "
        "numbers or 'gaussian' for any, or round the column"
    )
    with pytest.raises(ValueError, match=message):
        cls().fit(np.array([[1.0], [value]]), ["cars"])


@every_family
def test_draws_of_an_enormous_mean_are_numbers(cls):
    likelihood = cls().fit(np.array([[0.0], [1e18]]))
    width = likelihood.n_parameters(1)
    parameters = likelihood.unpack(torch.full((1, 50, width), 40.0))
    parameters["log_inverse_dispersion"] = torch.full((1, 1, 1), -5.0)
    draws = likelihood.sample(parameters, NO_VARIANCE, seed=0)
    assert torch.isfinite(draws).all()
    assert (draws >= 0.0).all()
