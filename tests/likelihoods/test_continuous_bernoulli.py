import numpy as np
import pytest
import torch
from scipy import integrate

from skvae.likelihoods import Bernoulli, ContinuousBernoulli

NO_VARIANCE = torch.empty(1, 0)
LOGITS = [-80.0, -30.0, -1.0, -0.0999, 0.0, 1e-4, 0.1, 0.1001, 1.0, 30.0, 80.0]


def log_prob(x, logit, likelihood=None):
    likelihood = ContinuousBernoulli() if likelihood is None else likelihood
    logits = torch.full((1, 1, 1), logit, dtype=torch.float64)
    x = torch.tensor([[x]], dtype=torch.float64)
    return float(likelihood.log_prob(x, {"logits": logits}, NO_VARIANCE))


@pytest.mark.parametrize("logit", LOGITS)
def test_density_integrates_to_one(logit):
    total, _ = integrate.quad(lambda x: np.exp(log_prob(x, logit)), 0.0, 1.0)
    assert total == pytest.approx(1.0, abs=1e-9)


def test_cross_entropy_of_shares_does_not():
    def density(x):
        return np.exp(log_prob(x, 1.0, Bernoulli()))

    total, _ = integrate.quad(density, 0.0, 1.0)
    assert abs(total - 1.0) > 0.3


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize("x", [0.0, 0.2, 1.0])
def test_other_end_is_the_opposite_logit(logit, x):
    there, back = log_prob(x, logit), log_prob(1.0 - x, -logit)
    assert there == pytest.approx(back, rel=1e-13, abs=1e-14)


def test_logit_of_zero_is_uniform():
    x = torch.linspace(0.0, 1.0, 5, dtype=torch.float64)[None]
    logits = torch.zeros((1, 1, 5), dtype=torch.float64, requires_grad=True)
    log_prob = ContinuousBernoulli().log_prob(x, {"logits": logits}, NO_VARIANCE)
    assert (log_prob == 0.0).all()
    log_prob.sum().backward()
    torch.testing.assert_close(logits.grad[0], x - 0.5, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("logit", LOGITS)
def test_mean_is_that_of_the_density(logit):
    logits = torch.full((1, 1, 1), logit, dtype=torch.float64)
    mean = float(ContinuousBernoulli().mean({"logits": logits}, NO_VARIANCE))
    expected, _ = integrate.quad(lambda x: x * np.exp(log_prob(x, logit)), 0.0, 1.0)
    assert mean == pytest.approx(expected, abs=1e-9)
    if abs(logit) >= 1.0:
        # Nearer to a half than what a Bernoulli distribution has.
        assert abs(mean - 0.5) < abs(1.0 / (1.0 + np.exp(-logit)) - 0.5)


def test_start_has_the_mean_of_the_column():
    X = np.random.RandomState(0).uniform(size=(50, 3)) ** [0.2, 1.0, 5.0]
    logits = ContinuousBernoulli().fit(X).start(3)
    mean = ContinuousBernoulli().mean({"logits": torch.tensor(logits)}, NO_VARIANCE)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-9)


def test_start_of_a_column_at_an_end_is_bounded():
    start = ContinuousBernoulli().fit(np.array([[0.0, 1.0]] * 3)).start(2)
    np.testing.assert_allclose(start, [-80.0, 80.0])


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_refuses_what_is_not_a_share(value):
    message = (
        f"ContinuousBernoulli likelihood needs values from 0 to 1, but column 1 holds "
        f"{value:g}. Divide the column by the largest value that is possible, or use "
        "likelihood='gaussian'"
    )
    with pytest.raises(ValueError, match=message):
        ContinuousBernoulli().fit(np.array([[0.0, value], [1.0, 0.5]]))
