"""Normal posteriors q(z given x), with and without covariances between latents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from skvae._torch_compat import clamp_backward
from skvae.ground._tensors import LOG_2_PI

if TYPE_CHECKING:
    from torch import Tensor

# Bound on log-variances, beyond which nothing changes in practice; it keeps rows far
# outside the training data finite.
_LOG_VARIANCE_BOUND = 20.0


class Posterior(NamedTuple):
    """Diagonal normal q(z given x) of a batch of rows.

    Both of shape (n_replicas, n_rows, n_components).
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def from_output(cls, output: Tensor, n_components: int) -> Posterior:
        """Posterior of rows from the output of the encoder."""
        mean, log_variance = output.chunk(2, dim=-1)
        return cls(mean, _bounded(log_variance))

    def kl(self) -> Tensor:
        """KL divergence from the standard normal prior, of every row and latent."""
        mean, log_variance = self
        # exp(.) - 1 would cancel near the prior, to rates below zero.
        return 0.5 * (mean.square() + log_variance.expm1() - log_variance)

    def sample(self, noise: Tensor) -> Tensor:
        """Latents at standard normal `noise`, by reparameterisation."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def log_prob(self, noise: Tensor) -> Tensor:
        """Log-density at the latents of some noise, (n_replicas, n_draws, n_rows)."""
        return _log_prob(noise, self.log_variance)

    def log_prob_of_each(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density of every draw under the posterior of every row.

        Parameters
        ----------
        z : Tensor of shape (n_replicas, n_draws, n_rows, n_components)

        Returns
        -------
        joint : Tensor of shape (n_replicas, n_draws, n_rows, n_rows)
            The last axis is that of the posteriors.
        marginal : Tensor of shape (n_replicas, n_draws, n_rows, n_rows, n_components)
            Of each latent by itself.
        """
        marginal = _log_normal(_distance(z, self.mean), self.log_variance)
        return marginal.sum(dim=-1), marginal

    def marginal(self) -> Posterior:
        """Each latent by itself."""
        return self

    def mean_covariance(self, weight: Tensor) -> Tensor:
        """Weighted mean over rows, (n_replicas, n_components, n_components)."""
        return (weight @ self.log_variance.exp()).diag_embed()


class Reparameterised(NamedTuple):
    """Latents of a diagonal posterior and their rate, with derivatives written down.

    Intermediate results that the gradient needs are kept.
    """

    posterior: Posterior
    z: Tensor
    """Latents, of shape (n_replicas, n_draws, n_rows, n_components)."""
    kl: Tensor
    """KL divergence of each row and latent, (n_replicas, n_rows, n_components)."""
    noise: Tensor
    scale: Tensor
    """Standard deviations."""
    excess: Tensor
    """Variances minus 1."""
    raw: Tensor
    """Log-variances as the encoder returns them, not bounded."""

    @classmethod
    def from_output(
        cls, output: Tensor, n_components: int, noise: Tensor
    ) -> Reparameterised:
        """Latents of rows from the encoder's output and standard normal noise."""
        import torch

        mean, raw = output.chunk(2, dim=-1)
        log_variance = _bounded(raw)
        scale, excess = (0.5 * log_variance).exp_(), log_variance.expm1()
        z = torch.addcmul(mean[:, None], scale[:, None], noise)
        # exp(.) - 1 would cancel near the prior, to rates below zero.
        kl = (excess - log_variance).addcmul_(mean, mean).mul_(0.5)
        return cls(Posterior(mean, log_variance), z, kl, noise, scale, excess, raw)

    def pullback(self, to_z: Tensor, to_kl: Tensor) -> Tensor:
        """Gradient of the encoder's output, from those of latents and KL.

        Parameters
        ----------
        to_z : Tensor of shape (n_replicas, n_draws, n_rows, n_components)
        to_kl : Tensor of shape (n_replicas, n_rows, n_components or 1)
        """
        import torch

        by_noise = to_z * self.noise
        if to_z.shape[1] == 1:
            to_mean, to_scale = to_z[:, 0], by_noise[:, 0]
        else:
            to_mean, to_scale = to_z.sum(dim=1), by_noise.sum(dim=1)
        to_mean = torch.addcmul(to_mean, to_kl, self.posterior.mean)
        to_raw = (to_scale * self.scale).addcmul_(to_kl, self.excess).mul_(0.5)
        # Beyond the bound the variance does not depend on the encoder's output.
        to_raw = clamp_backward(
            to_raw, self.raw, -_LOG_VARIANCE_BOUND, _LOG_VARIANCE_BOUND
        )
        return torch.cat([to_mean, to_raw], dim=-1)


class FullPosterior(NamedTuple):
    r"""Normal q(z given x) with full covariance :math:`S = L L^\top`.

    L is the lower triangular Cholesky factor. Its lines are stored divided by their
    entries on the diagonal, so that entries below the diagonal have no unit.
    """

    mean: Tensor
    """Mean of each latent, of shape (n_replicas, n_rows, n_components)."""
    log_variance: Tensor
    """Twice the logarithm of the diagonal of L: the variance of each latent given
    those before it, in the shape of the mean."""
    below: Tensor
    """Entries below the diagonal, row by row, over the entry on the diagonal, of shape
    (n_replicas, n_rows, n_components * (n_components - 1) / 2)."""

    @classmethod
    def from_output(cls, output: Tensor, n_components: int) -> FullPosterior:
        """Posterior of rows from the output of the encoder."""
        mean, log_variance, below = output.tensor_split(
            (n_components, 2 * n_components), dim=-1
        )
        bound = math.exp(0.5 * _LOG_VARIANCE_BOUND)
        return cls(mean, _bounded(log_variance), below.clamp(-bound, bound))

    @property
    def _strict(self) -> Tensor:
        """Entries below the diagonal as matrices, zeros elsewhere."""
        import torch

        n_components = self.mean.shape[-1]
        lines, columns = torch.tril_indices(
            n_components, n_components, -1, device=self.mean.device
        )
        strict = self.mean.new_zeros((*self.mean.shape, n_components))
        strict[..., lines, columns] = self.below
        return strict

    @property
    def factor(self) -> Tensor:
        """L of each row, (n_replicas, n_rows, n_components, n_components)."""
        scale = (0.5 * self.log_variance).exp()
        return scale.diag_embed() + scale[..., None] * self._strict

    @property
    def _excess(self) -> Tensor:
        """Variance of each latent, over its variance given those before it, minus 1."""
        return self._strict.square().sum(dim=-1)

    def kl(self) -> Tensor:
        r"""KL divergence from the standard normal prior, split over the latents.

        .. math:: \frac{1}{2} \left( \mu_j^2 + S_{jj} - 1 - 2 \log L_{jj} \right)

        Terms of single latents depend on their order, because shared information is
        attributed to the later one; the sum does not.
        """
        mean, log_variance, _ = self
        rate = mean.square() + log_variance.expm1() - log_variance
        return 0.5 * (rate + log_variance.exp() * self._excess)

    def sample(self, noise: Tensor) -> Tensor:
        """Latents at standard normal `noise`, by reparameterisation."""
        noise = noise + (self._strict * noise[..., None, :]).sum(dim=-1)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def log_prob(self, noise: Tensor) -> Tensor:
        """Log-density at the latents of some noise, (n_replicas, n_draws, n_rows)."""
        return _log_prob(noise, self.log_variance)

    def log_prob_of_each(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density of every draw under the posterior of every row.

        As `Posterior.log_prob_of_each`.
        """
        import torch

        distance = _distance(z, self.mean)
        identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        inverse = torch.linalg.solve_triangular(
            self.factor, identity.expand_as(self.factor), upper=False
        )
        white = torch.einsum("rjab,rsijb->rsija", inverse, distance)
        nats = white.square() + self.log_variance[:, None, None] + LOG_2_PI
        log_variance = self.marginal().log_variance
        return -0.5 * nats.sum(dim=-1), _log_normal(distance, log_variance)

    def marginal(self) -> Posterior:
        """Each latent by itself, whatever the others are."""
        return Posterior(self.mean, self.log_variance + self._excess.log1p())

    def mean_covariance(self, weight: Tensor) -> Tensor:
        """Weighted mean over rows, (n_replicas, n_components, n_components)."""
        factor = self.factor
        covariance = (factor @ factor.mT).flatten(-2)
        return (weight @ covariance).unflatten(-1, factor.shape[-2:])


#: The posteriors by the name that a network gives what its encoder describes.
POSTERIORS: dict[str, type[Posterior] | type[FullPosterior]] = {
    "diagonal": Posterior,
    "full": FullPosterior,
}


def _bounded(log_variance: Tensor) -> Tensor:
    return log_variance.clamp(-_LOG_VARIANCE_BOUND, _LOG_VARIANCE_BOUND)


def _log_prob(noise: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of a normal distribution at its reparameterised noise."""
    nats = noise.square() + log_variance[:, None] + LOG_2_PI
    return -0.5 * nats.sum(dim=-1)


def _distance(z: Tensor, mean: Tensor) -> Tensor:
    """Differences of draws and posterior means: (replica, draw, row, mean, latent)."""
    return z[:, :, :, None, :] - mean[:, None, None, :, :]


def _log_normal(distance: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of each latent by itself."""
    log_variance = log_variance[:, None, None]
    nats = distance.square() * (-log_variance).exp() + log_variance + LOG_2_PI
    return -0.5 * nats
