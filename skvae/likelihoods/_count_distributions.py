"""Distributions of counts, in terms of the logarithm of the mean.

Their log-probability is written as a distance between count and mean, which is zero
where they agree, and a rest that grows no faster than the logarithm of the count. The
textbook's terms, of the size of x log x, would cancel: for counts of a million they
are wrong by a nat in single precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from skvae.likelihoods._log_gamma import log_gamma_rest

if TYPE_CHECKING:
    from skvae._torch_compat import Size

# Beyond this mean a draw is no more exact than the mean is.
MAX_SAMPLED_MEAN = 1e15


class Poisson(Distribution):
    """Poisson distribution of the logarithm of its mean."""

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean
        super().__init__(log_mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_ratio, surplus, log_factorial = _count_terms(self.log_mean, value)
        return value * log_ratio - surplus - log_factorial

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def mode(self) -> Tensor:
        return self.log_mean.exp().floor()

    def sample(self, sample_shape: Size = ()) -> Tensor:
        mean = self.mean.expand(self._extended_shape(sample_shape))
        return torch.poisson(mean.clamp_max(MAX_SAMPLED_MEAN))


class NegativeBinomial(Distribution):
    """Negative binomial distribution of the logarithms of mean and inverse dispersion.

    It is exact up to its limit, the Poisson distribution.
    """

    def __init__(self, log_mean: Tensor, log_inverse_dispersion: Tensor) -> None:
        self.log_mean, self.log_inverse_dispersion = torch.broadcast_tensors(
            log_mean, log_inverse_dispersion
        )
        # What depends on it alone is not worked out for every row.
        self._log_inverse_dispersion = log_inverse_dispersion
        super().__init__(self.log_mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_ratio, surplus, log_factorial = _count_terms(self.log_mean, value)
        log_h = self._log_inverse_dispersion
        h = log_h.exp().clamp_min(torch.finfo(log_h.dtype).tiny)
        total = value + h
        # Logarithm of (mean + h) / (value + h), to first order in a small surplus.
        is_near = surplus.abs() < 0.5 * total
        near = torch.log1p(torch.where(is_near, surplus, 0.0) / total)
        far = torch.logaddexp(self.log_mean, log_h) - total.log()
        return (
            value * log_ratio
            - total * torch.where(is_near, near, far)
            + log_gamma_rest(total)
            - log_gamma_rest(h)
            - log_factorial
        )

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        mean = self.log_mean.exp()
        return mean + mean * torch.exp(self.log_mean - self.log_inverse_dispersion)

    @property
    def mode(self) -> Tensor:
        # 1 - 1/h is not above zero where the most probable count is zero.
        fraction = 1.0 - torch.exp(-self.log_inverse_dispersion)
        return (self.log_mean.exp() * fraction.clamp_min(0.0)).floor()

    def sample(self, sample_shape: Size = ()) -> Tensor:
        # A Poisson distribution whose mean is drawn from a gamma distribution.
        shape = self._extended_shape(sample_shape)
        h = self.log_inverse_dispersion.exp().expand(shape)
        gamma = torch.distributions.Gamma(h, 1.0, validate_args=False).sample()
        log_mean = gamma.log() + self.log_mean - self.log_inverse_dispersion
        return torch.poisson(log_mean.exp().clamp_max(MAX_SAMPLED_MEAN))


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """Mixture of zero and a negative binomial distribution."""

    def __init__(
        self, log_mean: Tensor, log_inverse_dispersion: Tensor, zero_logits: Tensor
    ) -> None:
        self.zero_logits = zero_logits
        super().__init__(log_mean, log_inverse_dispersion)

    def log_prob(self, value: Tensor) -> Tensor:
        counted = logsigmoid(-self.zero_logits) + super().log_prob(value)
        either = torch.logaddexp(logsigmoid(self.zero_logits), counted)
        return torch.where(value == 0.0, either, counted)

    @property
    def mean(self) -> Tensor:
        return (-self.zero_logits).sigmoid() * super().mean

    @property
    def variance(self) -> Tensor:
        fraction = self.zero_logits.sigmoid()
        counted = super().variance + fraction * self.log_mean.exp().square()
        return (1.0 - fraction) * counted

    @property
    def mode(self) -> Tensor:
        mode = super().mode
        counted = self.log_prob(mode) > self.log_prob(torch.zeros_like(mode))
        return torch.where(counted, mode, 0.0)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        count = super().sample(sample_shape)
        fraction = self.zero_logits.sigmoid().expand(count.shape)
        return torch.where(torch.rand_like(fraction) < fraction, 0.0, count)


def _count_terms(log_mean: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log of mean by count, mean minus count, and log x! - x log x + x.

    The first is finite, and to be multiplied by the count, where the count is zero.
    """
    is_positive = value > 0.0
    count = torch.where(is_positive, value, 1.0)
    log_count = count.log()
    log_ratio = log_mean - log_count
    # The difference of two large numbers that agree is exact only in this form.
    surplus = torch.where(is_positive, count * log_ratio.expm1(), log_mean.exp())
    log_factorial = torch.where(is_positive, log_gamma_rest(count) + log_count, 0.0)
    return log_ratio, surplus, log_factorial
