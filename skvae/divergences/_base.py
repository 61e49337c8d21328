"""What every divergence is: a posterior in, what beta weighs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from torch import Tensor


class Posterior(NamedTuple):
    """Diagonal normal q(z given x) of a batch of rows.

    Both of shape (n_replicas, n_rows, n_components).
    """

    mean: Tensor
    log_variance: Tensor

    def kl(self) -> Tensor:
        """KL divergence from the standard normal prior, of every row and latent."""
        mean, log_variance = self
        # exp(.) - 1 would cancel near the prior, to rates below zero.
        return 0.5 * (mean.square() + log_variance.expm1() - log_variance)

    def sample(self, noise: Tensor) -> Tensor:
        """Latents at standard normal `noise`, by reparameterisation."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


class Divergence(BaseEstimator):
    """Base of what beta weighs: a distance of the posterior from the prior.

    The rate that is reported is the KL divergence whatever is minimised; a
    divergence only replaces it in the objective.
    """

    _parameter_constraints: dict[str, list] = {}

    def __call__(
        self, posterior: Posterior, z: Tensor, kl: Tensor, weight: Tensor
    ) -> Tensor:
        """Divergence of each replica.

        Parameters
        ----------
        posterior : Posterior
            Of the batch.
        z : Tensor of shape (n_replicas, n_draws * n_rows, n_components)
            Latents drawn from it.
        kl : Tensor of shape (n_replicas, n_rows, n_components)
            Analytic KL divergence of each row and latent.
        weight : Tensor of shape (n_rows,)
            Weight of each row in the batch mean.

        Returns
        -------
        divergence : Tensor of shape (n_replicas,)
            In nats per row.
        """
        raise NotImplementedError
