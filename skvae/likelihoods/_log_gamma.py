"""The logarithm of the gamma function without what cancels in densities."""

import math

import torch
from torch import Tensor


def log_gamma_rest(y: Tensor) -> Tensor:
    r"""Return :math:`\log\Gamma(y) - y \log y + y` for y above 0.

    Densities hold differences of log-gammas, whose leading terms are large and
    nearly cancel. Written with this rest, which grows no faster than log y, they are
    exact in single precision too, up to the limits of a Poisson or a normal
    distribution. Above 10 it is Stirling's series, which is right to 1e-12 there.
    """
    is_large = y > 10.0
    small = torch.where(is_large, 1.0, y).clamp_min(torch.finfo(y.dtype).tiny)
    inverse = 1.0 / torch.where(is_large, y, 10.0)
    square = inverse.square()
    series = inverse * (
        1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))
    )
    return torch.where(
        is_large,
        0.5 * (math.log(2.0 * math.pi) + inverse.log()) + series,
        torch.lgamma(small) - small * small.log() + small,
    )
