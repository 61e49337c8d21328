"""The standard normal prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.ground._tensors import standard_normal_log_prob
from skvae.priors._base import Floats, Latents, Prior, RatedPosterior

if TYPE_CHECKING:
    from torch import Tensor


class Normal(Prior):
    r"""Standard normal prior, the one that training is towards.

    Its rate is the closed form of [1]_,

    .. math:: \frac{1}{2} \sum_j \mu_j^2 + s_j^2 - 1 - \log s_j^2

    Attributes
    ----------
    n_latents_ : int
        Number of latents.

    See Also
    --------
    Mixture : Follows the latents of the rows, where these are not normal.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014,
       appendix B. https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> from skvae.priors import Normal
    >>> Normal()
    Normal()
    """

    n_latents_: int

    def learn(self, latents: Latents) -> Normal:
        """Keep the number of latents."""
        self.n_latents_ = latents.n_latents
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents of shape (..., n_latents)."""
        return standard_normal_log_prob(z)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> Floats:
        """Latents, of shape (n_samples, n_latents)."""
        return random_state.standard_normal((n_samples, self.n_latents_))

    def rate(self, posterior: RatedPosterior, z: Tensor, noise: Tensor) -> Tensor:
        """KL divergence of each row in closed form, of shape (n_replicas, n_rows)."""
        return posterior.kl().sum(dim=-1)
