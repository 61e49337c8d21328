"""Constant beta."""

from skvae.balance._base import BalancePolicy


class Constant(BalancePolicy):
    r"""Weigh the rate by a constant beta.

    The objective is :math:`\mathrm{distortion} + \beta\,\mathrm{rate}`, both in nats
    per row with their constants: distortion summed over features, rate summed over
    latents [1]_. A Gaussian decoder has unit variance (in units of the standardized
    columns) while it trains, so that beta equals :math:`\theta`, and its variance is
    calibrated when training ends.

    See Also
    --------
    Normalized : The same weight relative to the numbers of latents and features.
    LearnedVariance : Let the decoder's variance find the balance instead.

    Notes
    -----
    Published sweeps use 1 to 16, on pictures with summed losses. For a Gaussian
    decoder of variance :math:`\sigma^2` the solution depends on
    :math:`\theta = \beta \sigma^2` alone: on a standardized table a linear model
    keeps latent j only while the j-th eigenvalue of the correlation matrix is
    above :math:`\theta`.

    References
    ----------
    .. [1] I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick,
       S. Mohamed and A. Lerchner, "beta-VAE: Learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
       https://openreview.net/forum?id=Sy2fzU9gl

    Examples
    --------
    >>> from skvae.balance import Constant
    >>> Constant()
    Constant()
    """

    ends_at_beta = True
