"""Linear Gaussian autoencoders in closed form: what training can be held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

# Tables with more rows and columns than this get their leading eigenvalues only.
_MAX_FULL = 1000


@dataclass(frozen=True)
class LinearModel:
    r"""Optima of a linear encoder and decoder with M latents, for every theta.

    With :math:`\theta = \beta \sigma^2` and :math:`l_j` the eigenvalues of the
    covariance, latent j is active where :math:`l_j > \theta` [1]_ [2]_. Rate and
    squared error then follow from the eigenvalues alone, and with enough latents lie
    on the Gaussian rate-distortion function.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n_components,)
        The M largest eigenvalues of the covariance, descending; zeros where there
        are fewer.
    vectors : ndarray of shape (n_components, n_features)
        Their eigenvectors, one in each row.
    residual : float
        Sum of the other eigenvalues.
    n_features : int
        Number of features, D.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic principal component
       analysis", JRSS B 61(3), 1999.
    .. [2] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469
    """

    eigenvalues: NDArray[np.float64]
    vectors: NDArray[np.float64]
    residual: float
    n_features: int

    @classmethod
    def from_rows(
        cls,
        x: NDArray[np.floating],
        weight: NDArray[np.floating],
        n_components: int,
    ) -> LinearModel:
        """Eigenvalues of the weighted covariance of rows.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
        weight : ndarray of shape (n_rows,)
            Not negative; need not sum to 1.
        n_components : int
            Number of latents.
        """
        weight = weight / weight.sum()
        centred = x - weight @ x
        scaled = np.sqrt(weight)[:, None] * centred
        n_rows, n_features = x.shape
        total = float(np.square(scaled).sum())
        n_found = min(n_components, n_rows, n_features)
        if min(n_rows, n_features) > _MAX_FULL:
            singular, vectors = randomized_svd(scaled, n_found, random_state=0)[1:]
            values = np.square(singular)
        elif n_features <= n_rows:
            values, basis = np.linalg.eigh(scaled.T @ scaled)
            values, vectors = values[::-1][:n_found], basis.T[::-1][:n_found]
        else:
            singular, vectors = np.linalg.svd(scaled, full_matrices=False)[1:]
            values, vectors = np.square(singular[:n_found]), vectors[:n_found]
        missing = n_components - n_found
        # Rounding leaves eigenvalues that are zero a little to either side of it.
        values = np.pad(values.clip(min=0.0), (0, missing))
        residual = max(0.0, total - float(values.sum()))
        return cls(
            values, np.pad(vectors, ((0, missing), (0, 0))), residual, n_features
        )

    def rate(self, theta: float) -> float:
        """Rate of the optimum in nats per row."""
        active = self.eigenvalues[self.eigenvalues > theta]
        return float(0.5 * np.log(active / theta).sum())

    def squared_error(self, theta: float) -> float:
        """Squared error of the optimum per row, summed over features."""
        return float(np.minimum(self.eigenvalues, theta).sum() + self.residual)

    def theta_at_rate(self, rate: float) -> float:
        """Water level at which the optimum has a rate, in nats per row, above 0."""
        # With k active latents the rate is affine in log theta.
        log_values = np.log(self.eigenvalues[self.eigenvalues > 0.0])
        for n_active in range(1, len(log_values) + 1):
            level = (log_values[:n_active].sum() - 2.0 * rate) / n_active
            if n_active == len(log_values) or level >= log_values[n_active]:
                return float(np.exp(level))
        return 0.0

    def theta_at_squared_error(self, squared_error: float) -> float:
        """Water level at which the optimum has a squared error.

        Zero where the error asked for is below what any level reaches, infinite
        where it is above that of a model without latents.
        """
        if squared_error >= self.eigenvalues.sum() + self.residual:
            return np.inf
        below = self.residual + self.eigenvalues.sum()
        for n_active in range(1, len(self.eigenvalues) + 1):
            below -= self.eigenvalues[n_active - 1]
            level = (squared_error - below) / n_active
            is_last = n_active == len(self.eigenvalues)
            if is_last or level >= self.eigenvalues[n_active]:
                return max(0.0, float(level))
        return 0.0

    @property
    def noise_variance(self) -> float:
        """Decoder variance of probabilistic PCA: the optimum at beta = 1."""
        # As many latents as features leave no noise but that of rounding.
        n_left = max(1, self.n_features - len(self.eigenvalues))
        return self.residual / n_left
