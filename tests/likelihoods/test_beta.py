import numpy as np
import pytest
import torch
from scipy import stats

from skvae.likelihoods import Beta

NO_VARIANCE = torch.empty(1, 0)


def log_prob(x, logit, log_concentration, dtype=torch.float64):
    parameters = {
        "logits": torch.full((1, 1, 1), logit, dtype=dtype),
        "log_concentration": torch.full((1, 1, 1), log_concentration, dtype=dtype),
    }
    x = torch.tensor(x, dtype=dtype).view(-1, 1)
    return Beta().log_prob(x, parameters, NO_VARIANCE)[0, :, 0].numpy()


def test_two_ones_are_uniform():
    x = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(log_prob(x, 0.0, np.log(2.0)), 0.0, atol=1e-13)


@pytest.mark.parametrize("concentration", [1e-3, 1.0, 300.0, 1e5])
@pytest.mark.parametrize("logit", [-4.0, 0.0, 2.0])
def test_agrees_with_scipy_in_single_precision(logit, concentration):
    logit, log = float(np.float32(logit)), float(np.float32(np.log(concentration)))
    mean, total = 1.0 / (1.0 + np.exp(-logit)), np.exp(log)
    reference = stats.beta(mean * total, (1.0 - mean) * total)
    # Where the density is: in its tails the value's own rounding is felt.
    x = mean + np.array([-1.0, 0.0, 0.5]) * min(
        reference.std(), 0.5 * min(mean, 1 - mean)
    )
    x = x.astype(np.float32).astype(np.float64)
    tolerance = 1e-5 if concentration <= 300.0 else 1e-3
    np.testing.assert_allclose(
        log_prob(x, logit, log, torch.float32),
        reference.logpdf(x),
        rtol=tolerance,
        atol=tolerance,
    )


def test_squeeze_is_undone():
    X = np.array([[0.0, 0.25], [1.0, 0.5], [0.5, 1.0]])
    likelihood = Beta().fit(X)
    x = likelihood.to_model(X)
    np.testing.assert_allclose(x[:, 0], [1 / 6, 5 / 6, 1 / 2])
    np.testing.assert_allclose(likelihood.to_user(x), X, atol=1e-14)
    # What a distribution draws beyond the squeezed ends are the ends.
    np.testing.assert_array_equal(
        likelihood.to_user(np.array([[0.01, 0.99]])), [[0, 1]]
    )
    np.testing.assert_allclose(likelihood.log_jacobian(X), np.log(3 / 2))


def test_ends_of_a_large_table_are_not_rounded_to_the_ends():
    X = np.tile(np.array([[0.0], [1.0]], dtype=np.float32), (3, 1))
    likelihood = Beta().fit(X, weight=np.full(6, 1e12))
    x = likelihood.to_model(X)
    assert x.dtype == np.float32
    assert x.min() > 0.0
    assert x.max() < 1.0


def test_start_has_mean_and_variance_of_the_column():
    X = stats.beta(2.0, 6.0).rvs((4000, 1), random_state=0)
    likelihood = Beta().fit(X)
    assert 1.0 / (1.0 + np.exp(-likelihood.start(1))) == pytest.approx(0.25, abs=0.01)
    log_concentration = likelihood.feature_parameters()["log_concentration"]
    assert np.exp(log_concentration) == pytest.approx(8.0, rel=0.1)


def test_concentration_of_each_cell():
    X = np.random.RandomState(0).uniform(size=(10, 3))
    feature, row = Beta().fit(X), Beta(dispersion="row").fit(X)
    assert row.feature_parameters() == {}
    assert row.n_parameters(3) == 6
    start = torch.from_numpy(row.start(3)).expand(1, 10, -1)
    parameters = feature.unpack(torch.from_numpy(feature.start(3)).expand(1, 10, -1))
    for key, value in feature.feature_parameters().items():
        parameters[key] = torch.from_numpy(value)[None, None]
    x = torch.from_numpy(row.to_model(X))
    torch.testing.assert_close(
        row.log_prob(x, row.unpack(start), NO_VARIANCE),
        feature.log_prob(x, parameters, NO_VARIANCE),
    )


def test_refuses_what_is_not_a_share():
    with pytest.raises(
        ValueError, match="needs values from 0 to 1, but column 0 holds 7"
    ):
        Beta().fit(np.array([[7.0]]))
