"""The linear model that training starts at."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from skvae._linear_model import LinearModel, LinearWeights, factor_analysis

Floats = NDArray[np.float64]

# Wider tables start at probabilistic PCA: factor analysis decomposes a matrix of this
# size some tens of times.
_MAX_FACTOR_ANALYSIS = 500

# Smallest noise variances of the factor analyses to choose from, relative to the
# column's. One that is almost zero says that a column is known exactly from others.
_FLOORS = (1e-5, 1e-3, 1e-2, 1e-1)


def linear_start(
    x: Floats,
    weight: Floats,
    held_out: tuple[Floats, Floats] | None,
    n_components: int,
    beta: float,
    scope: str,
    floor: Floats,
) -> tuple[LinearWeights, Floats]:
    """Linear model for a decoder variance that will be moved.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
        Rows as the model sees them.
    weight : ndarray of shape (n_rows,)
        Sums to 1.
    held_out : pair of such arrays, or None
        Rows that judge which noise variances explain new rows best.
    n_components : int
        Number of latents.
    beta : float
        Weight of the rate.
    scope : {"shared", "feature"}
        One variance for all features (probabilistic PCA) or one for each (factor
        analysis, with the floor of its noise that explains held-out rows best).
    floor : ndarray of shape (n_features,)
        Smallest variance of each feature.

    Returns
    -------
    weights : LinearWeights
    variance : ndarray of shape (n_features,)
        Noise variances of the model.
    """
    center = weight @ x
    n_features = x.shape[1]
    if scope == "shared" or n_features > _MAX_FACTOR_ANALYSIS:
        shared = LinearModel.from_rows(x, weight, n_components).variance_at(beta)
        noises = [np.full(n_features, shared)]
    else:
        covariance = _covariance(x - center, weight)
        least = _FLOORS if held_out is not None else _FLOORS[:1]
        noises = [factor_analysis(covariance, n_components, floor) for floor in least]
    models = []
    for noise in noises:
        noise = np.maximum(noise, floor)
        scale = np.sqrt(noise)
        model = LinearModel.from_rows(x / scale, weight, n_components)
        models.append((model.weights(beta, center, scale), noise))
    if len(models) == 1:
        return models[0]
    assert held_out is not None
    rows, row_weight = held_out
    return max(models, key=lambda model: row_weight @ _log_density(rows, *model))


def _covariance(x: Floats, weight: Floats) -> Floats:
    """Weighted covariance of centred rows; 1 for a column that does not vary."""
    covariance = (x * weight[:, None]).T @ x
    variance = np.diag(covariance)
    covariance[np.diag_indices_from(covariance)] = np.where(variance > 0, variance, 1.0)
    return covariance


def _log_density(x: Floats, weights: LinearWeights, noise: Floats) -> Floats:
    """Log-density of rows under a linear Gaussian model, without its constant."""
    white = (x - weights.center) / np.sqrt(noise)
    loading = weights.decoder / np.sqrt(noise)
    precision = np.eye(len(loading)) + loading @ loading.T
    projected = white @ loading.T
    distance = np.square(white).sum(axis=1)
    distance -= (np.linalg.solve(precision, projected.T).T * projected).sum(axis=1)
    log_determinant = np.linalg.slogdet(precision)[1] + np.log(noise).sum()
    return -0.5 * (distance + log_determinant)


class LinearStarts:
    """Linear models of rows, for every beta and scope that a training starts at.

    Parameters
    ----------
    rows, held_out : pair of ndarray, or None for the second
        Rows as the model sees them, and their weights.
    n_components : int
        Number of latents.
    variance : ndarray of shape (1,) or (n_features,)
        Decoder variance where nothing moves it.
    floor : ndarray of shape (n_features,)
        Smallest one that may be learned.
    """

    def __init__(
        self,
        rows: tuple[Floats, Floats],
        held_out: tuple[Floats, Floats] | None,
        n_components: int,
        variance: Floats,
        floor: Floats,
    ) -> None:
        self.rows, self.held_out, self.n_components = rows, held_out, n_components
        self.variance, self.floor = variance, floor

    @functools.cache  # noqa: B019 - the object lives as long as one call of fit
    def model(self) -> LinearModel:
        """The linear model of the columns in units of the fixed variance."""
        x, weight = self.rows
        return LinearModel.from_rows(
            x / np.sqrt(self.variance), weight, self.n_components
        )

    def of(self, beta: float, scope: str | None) -> tuple[LinearWeights, Floats]:
        """Weights and noise variances at a beta; no scope for a fixed variance."""
        x, weight = self.rows
        if scope is not None:
            return linear_start(
                x, weight, self.held_out, self.n_components, beta, scope, self.floor
            )
        noise = np.broadcast_to(self.variance, len(self.floor))
        center = weight @ x
        return self.model().weights(beta, center, np.sqrt(noise)), noise
