"""Distribution of real numbers that torch has in a less exact form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from skvae.likelihoods._log_gamma import log_gamma_rest

if TYPE_CHECKING:
    from skvae._torch_compat import Size


class StudentT(Distribution):
    """Student's t, exact in single precision for any number of degrees of freedom."""

    def __init__(self, df: Tensor, location: Tensor, scale: Tensor) -> None:
        self.df, self.location, self.scale = torch.broadcast_tensors(
            df, location, scale
        )
        # What depends on them alone is not worked out for every row.
        self._df, self._scale = df, scale
        super().__init__(self.location.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 * self._df
        log_norm = (
            (half + 0.5) * torch.log1p(0.5 / half)
            - 0.5 * (1.0 + math.log(2.0 * math.pi))
            + log_gamma_rest(half + 0.5)
            - log_gamma_rest(half)
            - self._scale.log()
        )
        distance = ((value - self.location) / self._scale).square()
        return log_norm - (half + 0.5) * torch.log1p(distance / self._df)

    @property
    def mean(self) -> Tensor:
        # Where there is no mean, the centre of symmetry stands for it.
        return self.location

    @property
    def mode(self) -> Tensor:
        return self.location

    @property
    def variance(self) -> Tensor:
        variance = self.scale.square() * self.df / (self.df - 2.0)
        return torch.where(self.df > 2.0, variance, torch.inf)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        normal = torch.randn(shape, dtype=self.scale.dtype, device=self.scale.device)
        half = (0.5 * self.df).expand(shape)
        chi_square = torch.distributions.Gamma(half, 0.5, validate_args=False).sample()
        return self.location + self.scale * normal * (self.df / chi_square).sqrt()
