"""Maximum mean discrepancy between the latents of a batch and the prior."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval
from skvae.divergences._base import Divergence, Draws

if TYPE_CHECKING:
    from torch import Tensor

#: The kernel is a sum of inverse multiquadrics of these scales [2]_.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

# Step of the integral over log t; its error falls as exp(-pi^2 / step).
_STEP = 0.5


class MMD(Divergence):
    r"""A fraction of the KL divergence, and the distance of all latents from the prior.

    The objective of InfoVAE [1]_: with q(z) the distribution of the latents over all
    rows,

    .. math:: (1 - \alpha)\, \mathrm{KL}
              + (\alpha + \lambda - 1)\, \mathrm{MMD}^2(q(z), p(z))

    With alpha = 0 the KL divergence is kept in full and the discrepancy is added to
    it. With alpha = 1 it replaces the KL divergence, as in the Wasserstein
    autoencoder [2]_. The squared discrepancy of a kernel k is

    .. math:: \mathrm{E}_{q, q}\, k(z, z') - 2\, \mathrm{E}_{q, p}\, k(z, z')
              + \mathrm{E}_{p, p}\, k(z, z'), \qquad
              k(z, z') = \sum_c \frac{2 M c}{2 M c + \lVert z - z' \rVert^2}

    over the scales c of [2]_ from 0.1 to 10.

    Use it where rows drawn from the model look unlike the data although it
    reconstructs well, that is, where the latents of the rows leave holes in the
    prior. Do not use it with alpha near 1 where scores matter: without its KL
    divergence a posterior shrinks to a point, so that the rate, the elbo and early
    stopping, which uses it, are not meaningful. The kernel is not sensitive with more
    than about 20 latents.

    Parameters
    ----------
    alpha : float, default=0.0
        :math:`\alpha`, the fraction of the KL divergence that is dropped, in [0, 1].

    lambda_ : float, default=10.0
        :math:`\lambda`, at least 1; weighs the discrepancy, which is at most a few
        units, in nats. With alpha = 1 it is the weight itself. For pictures, [2]_
        used 10 on digits and 100 on faces, beside a squared error. Large weights need
        large batches: at 100, the noise of an estimate from 64 rows alone is a nat.

    See Also
    --------
    TotalCorrelation : Acts on the dependence of latents alone.
    KL : The same with `alpha` 0 and `lambda_` 1.

    Notes
    -----
    Nothing is drawn from the prior: the kernel is a mixture of normal densities, so
    that its means over the prior are integrals over one number, and these are summed
    to the precision of float32. Pairs of a row with itself are left out, so that the
    estimate has no bias and may be negative. Rows count with their weights. Several
    draws for a row are several estimates, whose mean is taken.

    References
    ----------
    .. [1] S. Zhao, J. Song and S. Ermon, "InfoVAE: Balancing learning and inference
       in variational autoencoders", AAAI 2019, Eq. 6.
       https://arxiv.org/abs/1706.02262
    .. [2] I. Tolstikhin, O. Bousquet, S. Gelly and B. Schoelkopf, "Wasserstein
       auto-encoders", ICLR 2018. https://arxiv.org/abs/1711.01558

    Examples
    --------
    >>> from skvae.divergences import MMD
    >>> MMD(alpha=0.5)
    MMD(alpha=0.5)
    """

    _parameter_constraints = {
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "lambda_": [Interval(Real, 1, None, closed="left")],
    }

    min_rows = 2

    def __init__(self, alpha: float = 0.0, lambda_: float = 10.0) -> None:
        self.alpha = alpha
        self.lambda_ = lambda_

    def discrepancy(self, draws: Draws) -> Tensor:
        """Unbiased estimate of the squared discrepancy, of shape (n_replicas,)."""
        z, weight = draws.z, draws.normalized_weight
        pairs = weight[:, None] * weight
        pairs = pairs - pairs.diag().diag()
        within = (kernel(z) * pairs).sum(dim=(-2, -1)) / pairs.sum()
        across, prior = means_over_prior(z)
        return (within - 2.0 * across @ weight + prior).mean(dim=1)

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica, in nats per row."""
        weight = self.alpha + self.lambda_ - 1.0
        return (1.0 - self.alpha) * draws.rate + weight * self.discrepancy(draws)


def kernel(z: Tensor) -> Tensor:
    """Kernel of every two rows of (..., n_rows, n_components)."""
    square = z.square().sum(dim=-1)
    distance = square[..., :, None] + square[..., None, :] - 2.0 * z @ z.mT
    # Of a row with itself, rounding leaves a little less than zero.
    distance = distance.clamp(min=0.0)
    total = distance.new_zeros(())
    for scale in _widths(z.shape[-1]):
        total = total + scale / (scale + distance)
    return total


def means_over_prior(z: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean of the kernel over one prior draw and a row, and over two prior draws.

    From :math:`C / (C + d^2) = \int_0^\infty C e^{-t C} e^{-t d^2} dt` and the mean
    of the normal density inside; the trapezoidal rule in log t is exact but for
    rounding, as the integrand dies off on both sides.

    Parameters
    ----------
    z : Tensor of shape (..., n_components)

    Returns
    -------
    across : Tensor of shape (...)
    prior : Tensor of shape ()
    """
    import torch

    n_components = z.shape[-1]
    widths = _widths(n_components)
    # Beyond these, less than 1e-8 of the mixture is left.
    start, end = math.log(1e-8 / max(widths)), math.log(20.0 / min(widths))
    n_nodes = math.ceil((end - start) / _STEP) + 1
    t = torch.arange(n_nodes, dtype=z.dtype, device=z.device)
    t = (start + _STEP * t).exp()
    density = t.new_zeros(())
    for width in widths:
        density = density + width * (-width * t).exp()
    density = _STEP * t * density
    square = z.square().sum(dim=-1, keepdim=True)
    log_mean = -0.5 * n_components * (2.0 * t).log1p() - square * (t / (1.0 + 2.0 * t))
    prior = density @ (-0.5 * n_components * (4.0 * t).log1p()).exp()
    return log_mean.exp() @ density, prior


def _widths(n_components: int) -> list[float]:
    """Squared distances at which each part of the kernel has fallen to a half."""
    return [2.0 * n_components * scale for scale in _SCALES]
