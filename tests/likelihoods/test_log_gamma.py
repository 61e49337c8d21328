import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import special

from skvae.likelihoods._log_gamma import log_gamma_rest

VALUES = [1e-30, 1e-3, 0.5, 1.0, 9.999, 10.0, 10.001, 50.0, 1e3, 1e6]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-6)], ids=str
)
def test_is_log_gamma_without_its_leading_terms(dtype, tolerance):
    value = torch.tensor(VALUES, dtype=dtype)
    exact = value.double().numpy()
    expected = special.gammaln(exact) - special.xlogy(exact, exact) + exact
    found = log_gamma_rest(value)
    assert_allclose(found, expected, rtol=tolerance, atol=5.0 * tolerance)


def test_gradient_is_digamma_minus_logarithm():
    value = torch.tensor(VALUES, dtype=torch.float64, requires_grad=True)
    log_gamma_rest(value).sum().backward()
    expected = special.digamma(VALUES) - np.log(VALUES)
    assert_allclose(value.grad, expected, rtol=1e-8, atol=1e-10)
