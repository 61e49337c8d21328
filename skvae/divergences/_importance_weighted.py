"""The importance-weighted bound as a divergence."""

from __future__ import annotations

import math
from numbers import Integral
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval
from skvae.divergences._base import Divergence, Draws

if TYPE_CHECKING:
    from torch import Tensor


class ImportanceWeighted(Divergence):
    r"""Importance-weighted bound minus the distortion, as a divergence.

    With K = `n_samples` draws :math:`z_k` from q for each row and their weights
    :math:`w_k = p(x \mid z_k)\, p(z_k) / q(z_k \mid x)`, the bound on
    :math:`\log p(x)` and this divergence are [1]_

    .. math:: L_K = \log \frac{1}{K} \sum_k w_k, \qquad
              D_K = -L_K - \frac{1}{K} \sum_k -\log p(x \mid z_k)

    The distortion uses the same draws, so that with beta = 1 the objective is exactly
    the negative bound, :math:`-L_K`, with all constants. With K = 1 that is a draw of
    the elbo; it grows with K towards the log-likelihood.

    Use it where the likelihood of rows matters most, and a simple posterior limits the
    model: the bound tolerates an inaccurate posterior as long as some of its draws are
    good. Do not use it to improve the latents. The signal in the encoder's gradient
    fades against its noise as K grows [2]_, and the elbo may fall where the bound
    rises; the reported elbo, by which early stopping chooses the best epoch, is that of
    a single draw.

    Parameters
    ----------
    n_samples : int, default=5
        K, the draws for one bound, at least 1. Published: 5 and 50, for pictures of
        digits and letters. A step costs K times a decoder's.

    See Also
    --------
    MonteCarloKL : The same with one draw.

    Notes
    -----
    With another beta the objective is
    :math:`-\beta L_K + (1 - \beta)\, \mathrm{distortion}`. Below 1 it is a compromise
    between the bound and the mean reconstruction. Above 1 with K > 1 it would reward
    a large distortion as long as one draw in K is good, and has no minimum; the
    estimator refuses that. For the same reason it refuses "normalized", whose weight
    is a multiple of beta. It refuses policies that set the variance of the decoder to
    the squared error of a batch, which is optimal for the distortion, not for the
    bound. "learned_variance" finds the optimum of either.

    The variance that `fit` calibrates at its end is optimal for the elbo, and a little
    too large for the bound. Fix it in the likelihood where the last tenths of a nat of
    `log_likelihood` matter.

    References
    ----------
    .. [1] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted
       autoencoders", ICLR 2016, Eq. 8. https://arxiv.org/abs/1509.00519
    .. [2] T. Rainforth, A. R. Kosiorek, T. A. Le, C. J. Maddison, M. Igl, F. Wood and
       Y. W. Teh, "Tighter variational bounds are not necessarily better", ICML 2018.
       https://arxiv.org/abs/1802.04537

    Examples
    --------
    >>> from skvae.divergences import ImportanceWeighted
    >>> ImportanceWeighted(n_samples=10)
    ImportanceWeighted(n_samples=10)
    """

    _parameter_constraints = {"n_samples": [Interval(Integral, 1, None, closed="left")]}

    needs_log_likelihood = True

    def __init__(self, n_samples: int = 5) -> None:
        self.n_samples = n_samples

    @property
    def n_draws(self) -> int:
        """Draws for one bound."""
        return self.n_samples

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica, in nats per row."""
        assert draws.log_likelihood is not None
        log_weight = draws.log_likelihood + draws.log_ratio
        bound = log_weight.unflatten(1, (-1, self.n_samples)).logsumexp(dim=2)
        distortion = -draws.mean(draws.log_likelihood)
        return -draws.mean(bound - math.log(self.n_samples)) - distortion
