import numpy as np
import pytest
import torch
from torch.nn import functional

from skvae.likelihoods import Bernoulli

NO_VARIANCE = torch.empty(1, 0)


def test_distortion_is_the_summed_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((1, 5, 3), generator=generator, dtype=torch.float64)
    x = (torch.rand((5, 3), generator=generator, dtype=torch.float64) > 0.4).double()
    weight = torch.full((5,), 0.2, dtype=torch.float64)
    expected = functional.binary_cross_entropy_with_logits(
        logits[0], x, reduction="sum"
    )
    log_prob = Bernoulli().log_prob(x, {"logits": logits}, NO_VARIANCE)
    distortion = -(log_prob.sum(dim=-1) @ weight)
    assert float(distortion) == pytest.approx(float(expected) / 5, rel=1e-12)


@pytest.mark.parametrize("logit", [-80.0, -1.0, 0.0, 3.0, 80.0])
def test_exchanging_zero_and_one_is_the_opposite_logit(logit):
    logits = torch.full((1, 1, 2), logit, dtype=torch.float64)
    x = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    there = Bernoulli().log_prob(x, {"logits": logits}, NO_VARIANCE)
    back = Bernoulli().log_prob(1.0 - x, {"logits": -logits}, NO_VARIANCE)
    torch.testing.assert_close(there, back, rtol=1e-13, atol=1e-14)
    # The impossible value costs as many nats as its logit: nothing saturates.
    worst = float(there.min())
    assert worst == pytest.approx(-np.logaddexp(0.0, abs(logit)), rel=1e-12)


def test_gradient_is_value_minus_probability():
    logits = torch.linspace(-4.0, 4.0, 9, dtype=torch.float64)[None, None]
    logits.requires_grad_()
    x = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]]).double()
    Bernoulli().log_prob(x, {"logits": logits}, NO_VARIANCE).sum().backward()
    expected = (x - logits.sigmoid()).detach()
    torch.testing.assert_close(logits.grad, expected, rtol=1e-12, atol=1e-14)


def test_distortion_of_the_null_model_is_the_entropy():
    x = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]).double()
    weight = torch.full((4,), 0.25, dtype=torch.float64)
    share = weight @ x
    logits = torch.logit(share).expand(1, 4, -1)
    entropy = -(share * share.log() + (1 - share) * (1 - share).log()).sum()
    log_prob = Bernoulli().log_prob(x, {"logits": logits}, NO_VARIANCE)
    distortion = -(log_prob.sum(dim=-1) @ weight)
    assert float(distortion) == pytest.approx(float(entropy), rel=1e-12)


@pytest.mark.parametrize(
    ("names", "column"), [(None, "column 1"), (["age", "smoker"], "column 'smoker'")]
)
@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "0.5"), (2.0, "2"), (-1.0, "-1"), (1.0 + 1e-3, "1.001")]
)
def test_refuses_what_is_neither_zero_nor_one(names, column, value, shown):
    X = np.array([[0.0, 1.0], [1.0, value], [0.5, 0.0]])
    message = (
        f"needs columns of zeros and ones, but {column} holds {shown}. Use "
        r"likelihood='continuous_bernoulli' or 'beta' for values between 0 and 1, 'g"
    )
    with pytest.raises(ValueError, match=message):
        Bernoulli().admit(X, names)


def test_missing_value_stays_missing():
    X = np.array([[np.nan, 1.0], [0.0, np.nan]])
    assert Bernoulli().admit(X) is X
    expected = np.array([[np.nan, 1.0], [1.0, np.nan]])
    np.testing.assert_array_equal(Bernoulli(threshold=-1.0).admit(X), expected)


def test_start_is_the_logit_of_the_share_and_bounded_without_one():
    X = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    start = Bernoulli().fit(X).start(2)
    np.testing.assert_allclose(start, [np.log(3.0), -np.log(1e6 - 1.0)], rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threshold_splits_values_in_two(dtype):
    X = np.array([[-3.0, 0.5], [0.5001, 9.0]], dtype=dtype)
    before = X.copy()
    admitted = Bernoulli(threshold=0.5).admit(X)
    assert admitted.dtype == dtype
    np.testing.assert_array_equal(admitted, [[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(X, before)


def test_threshold_of_zero_is_a_threshold():
    admitted = Bernoulli(threshold=0.0).admit(np.array([[-1.0, 0.0, 0.3]]))
    np.testing.assert_array_equal(admitted, [[0.0, 0.0, 1.0]])
