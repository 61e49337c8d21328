"""Kullback-Leibler divergence, estimated from draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skvae.divergences._base import Divergence, Draws

if TYPE_CHECKING:
    from torch import Tensor


class MonteCarloKL(Divergence):
    r"""Kullback-Leibler divergence of the posterior from the prior, from draws.

    The mean over draws z from q of [1]_

    .. math:: \log q(z \mid x) - \log p(z)

    without bias, and negative for some draws.

    Use it to compare with the closed form: here rate and distortion are taken at the
    same draws. Near an exact posterior the noise of the two cancels in the objective,
    though not in its gradient. On a table there is no other reason to prefer it: `KL`
    has the same expectation and no noise.

    See Also
    --------
    KL : The same in closed form.
    ImportanceWeighted : Several draws at a time, for a tighter bound.

    Notes
    -----
    With :math:`r = p(z) / q(z \mid x)`, the estimator :math:`r - 1 - \log r` has the
    same mean and is never negative. It is not offered: the variance of r is infinite as
    soon as that of a posterior is less than half of the prior's, as it is for active
    latents. For q = N(0.5, 0.36) the standard deviation of the estimator used here is
    0.54 nats.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014,
       Eq. 6. https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> from skvae.divergences import MonteCarloKL
    >>> MonteCarloKL()
    MonteCarloKL()
    """

    is_mean_rate = True

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica, in nats per row."""
        return -draws.mean(draws.log_ratio)
