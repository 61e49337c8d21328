"""Components of a mixture of normals: fitted, evaluated and drawn from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skvae.ground._tensors import LOG_2_PI
from skvae.priors._base import Floats

if TYPE_CHECKING:
    from torch import Tensor

# EM ends where a step raises the mean log-density by less than scikit-learn's default
# tolerance. It always gets there: a limit of steps would bring a warning.
_MAX_STEPS = 10_000


class Components(NamedTuple):
    """Components of a mixture of normals."""

    weights: Floats
    """Weight of each component, of shape (n_components,); they sum to 1."""
    means: Floats
    """Means, of shape (n_components, n_latents)."""
    covariances: Floats
    """Covariances, of shape (n_components, n_latents, n_latents)."""

    @classmethod
    def standard(cls, n_latents: int) -> Components:
        """The standard normal, as a mixture of one."""
        return cls(np.ones(1), np.zeros((1, n_latents)), np.eye(n_latents)[None])

    @classmethod
    def fitted(cls, z: Floats, n_components: int, floor: float) -> Components:
        """Mixture with the largest likelihood of latents, found by scikit-learn.

        Parameters
        ----------
        z : ndarray of shape (n_draws, n_latents)
        n_components : int
        floor : float
            Smallest variance, relative to that of each latent over all draws.
        """
        from sklearn.mixture import GaussianMixture

        center, scale = z.mean(axis=0), z.std(axis=0)
        scale[scale == 0.0] = 1.0
        found = GaussianMixture(
            n_components, reg_covar=floor, max_iter=_MAX_STEPS, random_state=0
        ).fit((z - center) / scale)
        return cls(
            found.weights_,
            center + scale * found.means_,
            scale[:, None] * found.covariances_ * scale,
        )

    def beside(self, other: Components, weight: float) -> Components:
        """Mixture of these components and others, which get a weight together.

        Without those of weight 0: their logarithm is none, and they have no part.
        """
        weights = (1.0 - weight) * self.weights, weight * other.weights
        has_weight = np.concatenate(weights) > 0.0
        means = self.means, other.means
        covariances = self.covariances, other.covariances
        found = (np.concatenate(each) for each in (weights, means, covariances))
        return Components(*(each[has_weight] for each in found))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents of shape (..., n_latents)."""
        import torch

        n_latents = self.means.shape[1]
        factor = np.linalg.cholesky(self.covariances)
        log_scale = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        log_height = np.log(self.weights) - log_scale - 0.5 * n_latents * LOG_2_PI
        beside_z = (
            torch.tensor(values, dtype=z.dtype, device=z.device)
            for values in (log_height, self.means, np.linalg.inv(factor))
        )
        # One by one: together they would need as many times the memory.
        parts = [
            height - 0.5 * ((z - mean) @ whitening.T).square().sum(dim=-1)
            for height, mean, whitening in zip(*beside_z, strict=True)
        ]
        return torch.stack(parts).logsumexp(dim=0)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> Floats:
        """Latents, of shape (n_samples, n_latents)."""
        ends = np.cumsum(self.weights)
        uniform = random_state.uniform(size=n_samples) * ends[-1]
        chosen = np.searchsorted(ends, uniform, side="right")
        z = random_state.standard_normal((n_samples, self.means.shape[1]))
        factors = np.linalg.cholesky(self.covariances)
        # One by one: a factor for each sample would need as many times the memory.
        for k, (mean, factor) in enumerate(zip(self.means, factors, strict=True)):
            z[chosen == k] = mean + z[chosen == k] @ factor.T
        return z

    def bic_penalty(self, n_rows: float) -> float:
        """Nats per row that the numbers of the mixture cost, by BIC [1]_.

        References
        ----------
        .. [1] G. Schwarz, "Estimating the dimension of a model", Annals of Statistics
           6(2), 1978. https://doi.org/10.1214/aos/1176344136
        """
        n_components, n = self.means.shape
        n_numbers = n_components * (1 + n + n * (n + 1) // 2) - 1
        return 0.5 * n_numbers * math.log(n_rows) / n_rows
