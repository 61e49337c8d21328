"""Kullback-Leibler divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skvae.divergences._base import Divergence, Draws

if TYPE_CHECKING:
    from torch import Tensor


class KL(Divergence):
    r"""Kullback-Leibler divergence of the posterior from the prior, in closed form.

    For q = N(mu, diag(s^2)) and a standard normal prior it is, per row [1]_,

    .. math:: \frac{1}{2} \sum_j \mu_j^2 + s_j^2 - 1 - \log s_j^2

    the rate of the evidence lower bound itself. It is the right choice in most cases.

    See Also
    --------
    MonteCarloKL : The same, estimated from draws.
    TotalCorrelation : Its parts, weighed apart.

    Notes
    -----
    With a posterior of full covariance S the sum over latents is
    :math:`\frac{1}{2} (\mathrm{tr}\, S + \mu^\top \mu - M - \log \det S)`.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014,
       appendix B. https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> from skvae.divergences import KL
    >>> KL()
    KL()
    """

    is_rate = True

    is_mean_rate = True

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica, in nats per row."""
        return draws.rate
