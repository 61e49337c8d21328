import numpy as np
import pytest
import torch
from scipy import special

from skvae.likelihoods._log_gamma import log_gamma_rest

VALUES = [1e-30, 1e-3, 0.5, 1.0, 9.999, 10.0, 10.001, 50.0, 1e3, 1e6]


@pytest.mark.parametrize("y", VALUES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-6)], ids=str
)
def test_is_log_gamma_without_its_leading_terms(y, dtype, tolerance):
    value = torch.tensor(y, dtype=dtype)
    exact = float(value)
    expected = special.gammaln(exact) - special.xlogy(exact, exact) + exact
    assert float(log_gamma_rest(value)) == pytest.approx(
        expected, rel=tolerance, abs=5.0 * tolerance
    )


@pytest.mark.parametrize("y", VALUES)
def test_gradient_is_digamma_minus_logarithm(y):
    value = torch.tensor(y, dtype=torch.float64, requires_grad=True)
    log_gamma_rest(value).backward()
    expected = special.digamma(y) - np.log(y)
    assert float(value.grad) == pytest.approx(expected, rel=1e-8, abs=1e-10)
