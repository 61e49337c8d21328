"""Base of the priors: densities of the latents, learned when training has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating]


class HeldOut(NamedTuple):
    """Latents of rows that were held out of the training."""

    z: Floats
    """Latents drawn from the posterior of each row, of shape (n_draws, n_rows,
    n_latents)."""
    weight: Floats
    """Weight of each row, of shape (n_rows,); sums to 1."""


class Latents(Protocol):
    """Latents of the rows that a model was trained on, drawn when they are needed."""

    @property
    def n_latents(self) -> int:
        """Number of latents."""

    @property
    def n_rows(self) -> float:
        """Number of training rows, of equal weight in effect."""

    def draw(self, n_draws: int) -> Floats:
        """Draws from the aggregate posterior, the same at every call.

        Parameters
        ----------
        n_draws : int
            Each training row gets as many of them as its weight asks for.

        Returns
        -------
        z : ndarray of shape (n_draws, n_latents), dtype=float64
        """

    def held_out(self) -> HeldOut | None:
        """Latents of the held-out rows; None where no rows were held out."""


class RatedPosterior(Protocol):
    """The methods of a posterior that a rate is computed from."""

    def kl(self) -> Tensor:
        """KL divergence from a standard normal, of every row and latent."""

    def log_prob(self, noise: Tensor) -> Tensor:
        """Log-density at the latents of some noise."""


class Prior(BaseEstimator):
    r"""Base of the priors p(z).

    Training is always towards a standard normal. A prior is learned when it has ended,
    from the latents of the rows, and takes the place of p(z) in all that follows:
    rates, scores, samples and importance weights.

    See Also
    --------
    Normal : The standard normal.

    Notes
    -----
    `learn`, `log_prob` and `sample` make a prior. The rate is then the mean over draws
    from the posterior of :math:`\log q(z \mid x) - \log p(z)`.

    Examples
    --------
    A normal as wide as the latents are:

    >>> import math
    >>> from skvae import BalancedVAE
    >>> from skvae.priors import Prior
    >>> class Scaled(Prior):
    ...     def learn(self, latents):
    ...         self.n_latents_ = latents.n_latents
    ...         self.scale_ = float(latents.draw(1000).std())
    ...         return self
    ...
    ...     def log_prob(self, z):
    ...         nats = (z / self.scale_).square() + math.log(2.0 * math.pi)
    ...         return -(0.5 * nats + math.log(self.scale_)).sum(dim=-1)
    ...
    ...     def sample(self, n_samples, random_state):
    ...         shape = n_samples, self.n_latents_
    ...         return self.scale_ * random_state.standard_normal(shape)
    >>> BalancedVAE(prior=Scaled())
    BalancedVAE(prior=Scaled())
    """

    _parameter_constraints: dict[str, list] = {}

    def learn(self, latents: Latents) -> Prior:
        """Set the attributes that end in an underscore.

        Parameters
        ----------
        latents : Latents
            Latents of the training rows, and of held-out rows where there are any.

        Returns
        -------
        self : Prior
            With what was learned, in numbers and arrays alone.
        """
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents.

        Parameters
        ----------
        z : Tensor of shape (..., n_latents)

        Returns
        -------
        log_prob : Tensor of shape (...)
        """
        raise NotImplementedError

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> Floats:
        """Draw latents.

        Parameters
        ----------
        n_samples : int
        random_state : RandomState

        Returns
        -------
        z : ndarray of shape (n_samples, n_latents), dtype=float64
        """
        raise NotImplementedError

    def rate(self, posterior: RatedPosterior, z: Tensor, noise: Tensor) -> Tensor:
        """KL divergence of the posterior of each row from the prior, in nats.

        Parameters
        ----------
        posterior : Posterior or FullPosterior
        z : Tensor of shape (n_replicas, n_draws, n_rows, n_latents)
            Draws from the posterior.
        noise : Tensor of shape (n_draws, n_rows or 1, n_latents)
            Standard normal noise of the draws.

        Returns
        -------
        rate : Tensor of shape (n_replicas, n_rows)
            A mean over the draws, and at least 0, as the divergence is.
        """
        nats = posterior.log_prob(noise) - self.log_prob(z)
        return nats.mean(dim=1).clamp(min=0.0)
