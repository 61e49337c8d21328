"""Linear Gaussian autoencoders in closed form: what training can be held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.utils.extmath import randomized_svd

# Tables with more rows and columns than this get their leading eigenvalues only.
_MAX_FULL = 1000

# No level that a model is asked for is closer to zero than this, relative to the mean
# eigenvalue: without noise there is no linear Gaussian model.
_MIN_LEVEL = 1e-6

# A latent that is switched off is a saddle of the training; one whose posterior starts
# with this fraction of the prior's variance can go either way, and is as good as off.
_MAX_POSTERIOR_VARIANCE = 0.999


class LinearWeights(NamedTuple):
    """Weights of a linear encoder and decoder, as x and z multiply them from the left.

    The posterior mean is (x - center) @ encoder, the decoder's output
    bias + z @ decoder. Of a linear model the bias is the centre, and the output the
    mean of x.
    """

    center: NDArray[np.float64]
    """Centre of the rows, of shape (n_features,)."""
    encoder: NDArray[np.float64]
    """Weights of the posterior mean, of shape (n_features, n_components)."""
    log_variance: NDArray[np.float64]
    """Log-variance of the posterior, of shape (n_components,)."""
    decoder: NDArray[np.float64]
    """Weights of the output, of shape (n_components, n_features)."""
    bias: NDArray[np.floating]
    """Output at z = 0, of shape (n_features,)."""


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
        # Of the two directions of an axis the one whose first large entry is
        # positive, or rounding could turn it round.
        size = np.abs(vectors)
        first = (size >= 0.999 * size.max(axis=1, keepdims=True)).argmax(axis=1)
        vectors = vectors * np.sign(vectors[np.arange(n_found), first])[:, None]
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

    def variance_at(self, beta: float) -> float:
        """Decoder variance that is optimal together with a weight of the rate.

        With k active latents it is the sum of all other eigenvalues over D - beta k,
        for the k at which just as many are above beta times it. Zero where the loss
        has no minimum.
        """
        for n_active in range(len(self.eigenvalues), -1, -1):
            left = self.eigenvalues[n_active:].sum() + self.residual
            n_left = self.n_features - beta * n_active
            if n_left <= 0.0:
                continue
            variance = left / n_left
            if n_active == 0 or self.eigenvalues[n_active - 1] > beta * variance:
                return float(variance)
        return 0.0

    def weights(
        self,
        theta: float,
        center: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> LinearWeights:
        """Optimal weights at a water level, latents in the order of eigenvalues.

        Parameters
        ----------
        theta : float
            Water level.
        center, scale : ndarray of shape (n_features,)
            The model is of the rows (x - center) / scale.
        """
        mean = (self.eigenvalues.sum() + self.residual) / self.n_features
        least = _MIN_LEVEL * mean
        # A direction without variance must stay unused: its encoder would be as large
        # as its eigenvalue is small, and new rows may vary along it.
        is_empty = self.eigenvalues <= min(least, theta)
        values = np.where(is_empty, 1.0, np.maximum(self.eigenvalues, least))
        posterior_variance = (theta / values).clip(_MIN_LEVEL, _MAX_POSTERIOR_VARIANCE)
        posterior_variance[is_empty] = _MAX_POSTERIOR_VARIANCE
        loading = np.sqrt(values * (1.0 - posterior_variance))[:, None] * self.vectors
        loading[is_empty] = 0.0
        return LinearWeights(
            center=center,
            encoder=(loading / values[:, None] / scale).T,
            log_variance=np.log(posterior_variance),
            decoder=loading * scale,
            bias=center,
        )


def factor_analysis(
    covariance: NDArray[np.floating],
    n_components: int,
    floor: float,
    fixed: NDArray[np.floating] | None = None,
    beta: float = 1.0,
) -> NDArray[np.float64]:
    """Noise variances of maximum-likelihood factor analysis.

    The likelihood is maximised over the logarithm of the noise variances alone, the
    loadings being known in closed form given those [1]_.

    Parameters
    ----------
    covariance : ndarray of shape (n_features, n_features)
        Of positive diagonal.
    n_components : int
        Number of factors.
    floor : float
        Smallest noise variance relative to the feature's own variance.
    fixed : ndarray of shape (n_features,) or None, default=None
        Noise variances that are known, NaN where they are sought. None says that all
        are.
    beta : float, default=1.0
        Weight of the rate of the linear autoencoder whose optimum this is; with 1 it
        is maximum likelihood.

    Returns
    -------
    variance : ndarray of shape (n_features,)

    References
    ----------
    .. [1] K. G. Joreskog, "Some contributions to maximum likelihood factor analysis",
       Psychometrika 32(4), 1967.
    """
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)

    def loss(log_variance: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        inverse = np.exp(-0.5 * log_variance)
        values, vectors = np.linalg.eigh(correlation * np.outer(inverse, inverse))
        values = values.clip(min=0.0)
        is_factor = np.zeros(len(values), dtype=bool)
        is_factor[-n_components:] = True
        is_factor &= values > beta
        # What a factor explains is known to the likelihood up to its logarithm.
        nats = beta * (np.log(values.clip(min=1e-300) / beta) + 1.0)
        nats = np.where(is_factor, nats, values)
        slope = np.where(is_factor, beta, values)
        gradient = 1.0 - np.square(vectors) @ slope
        return 0.5 * float(nats.sum() + log_variance.sum()), 0.5 * gradient

    values, vectors = np.linalg.eigh(correlation)
    start = 1.0 - np.square(vectors[:, -n_components:]) @ values[-n_components:]
    lowest, highest = np.full_like(scale, floor), np.ones_like(scale)
    if fixed is not None:
        known = fixed / np.square(scale)
        lowest = np.where(np.isnan(fixed), lowest, known)
        highest = np.where(np.isnan(fixed), highest, known)
    bounds = np.log(np.column_stack([lowest, highest]))
    found = minimize(
        loss,
        np.log(start.clip(lowest, highest)),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 1000, "maxfun": 2000},
    )
    return np.exp(found.x) * np.square(scale)
