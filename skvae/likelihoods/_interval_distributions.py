"""Distributions of values between 0 and 1, in terms of logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Beta as TorchBeta
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from skvae.likelihoods._log_gamma import log_gamma_rest

if TYPE_CHECKING:
    from skvae._torch_compat import Size


class ContinuousBernoulli(Distribution):
    """Density proportional to exp(logit * x) on [0, 1].

    In terms of logits there is no window around a half in which the normaliser has
    to be replaced by a polynomial as in terms of probabilities, but for a series at
    logits that are nearly zero.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.logits * (value - 0.5) - _log_sinhc(0.5 * self.logits)

    @property
    def mean(self) -> Tensor:
        half = 0.5 * self.logits
        is_small = half.abs() < 0.05
        square = torch.where(is_small, half, 0.0).square()
        series = half * (1 / 3 - square * (1 / 45 - square * (2 / 945)))
        safe = torch.where(is_small, 1.0, half)
        return 0.5 + 0.5 * torch.where(is_small, series, 1 / safe.tanh() - 1 / safe)

    @property
    def mode(self) -> Tensor:
        return (self.logits > 0.0).to(self.logits.dtype)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        # The inverse of the distribution function at -|logit|, where nothing
        # overflows; the other sign is its mirror image.
        logits = -self.logits.abs()
        safe = torch.where(logits < -1e-6, logits, -1.0)
        value = torch.log1p(uniform * torch.expm1(safe)) / safe
        value = torch.where(logits < -1e-6, value, uniform).clamp(0.0, 1.0)
        return torch.where(self.logits > 0.0, 1.0 - value, value)


def _log_sinhc(h: Tensor) -> Tensor:
    """Logarithm of sinh(h) / h."""
    is_small = h.abs() < 0.05
    square = torch.where(is_small, h, 0.0).square()
    series = square * (1 / 6 - square * (1 / 180 - square / 2835))
    size = torch.where(is_small, 1.0, h.abs())
    log = size + torch.log1p(-torch.exp(-2.0 * size)) - torch.log(2.0 * size)
    return torch.where(is_small, series, log)


class Beta(Distribution):
    """Beta distribution of a mean, as its logit, and a concentration, as its log."""

    def __init__(self, logits: Tensor, log_concentration: Tensor) -> None:
        self.logits, self.log_concentration = torch.broadcast_tensors(
            logits, log_concentration
        )
        super().__init__(self.logits.shape, validate_args=False)

    def _shapes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Exponents a and b, and their sum."""
        total = self.log_concentration.exp()
        smallest = torch.finfo(total.dtype).tiny
        return (
            (total * self.logits.sigmoid()).clamp_min(smallest),
            (total * (-self.logits).sigmoid()).clamp_min(smallest),
            total,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        a, b, total = self._shapes()
        value = _inside(value)
        log_value, log_rest = value.log(), torch.log1p(-value)
        # The powers of the mean are those of Stirling's leading terms.
        return (
            a * (log_value - logsigmoid(self.logits))
            + b * (log_rest - logsigmoid(-self.logits))
            - log_value
            - log_rest
            + log_gamma_rest(total)
            - log_gamma_rest(a)
            - log_gamma_rest(b)
        )

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    @property
    def variance(self) -> Tensor:
        bernoulli_variance = self.logits.sigmoid() * (-self.logits).sigmoid()
        return bernoulli_variance / (1.0 + self.log_concentration.exp())

    @property
    def mode(self) -> Tensor:
        a, b, total = self._shapes()
        inside = (a - 1.0) / torch.where(total > 2.0, total - 2.0, 1.0)
        at_end = (a > b).to(a.dtype)
        return torch.where((a > 1.0) & (b > 1.0), inside, at_end)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        a, b, _ = self._shapes()
        return _inside(TorchBeta(a, b, validate_args=False).sample(sample_shape))


def _inside(value: Tensor) -> Tensor:
    """Values of the open interval, of which the ends are rounded to the closed one."""
    limits = torch.finfo(value.dtype)
    return value.clamp(limits.tiny, 1.0 - limits.eps)
