"""Factor analyses that differ in how small their noise may be, and their density."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skvae.linear._model import LinearWeights, factor_analysis

Floats = NDArray[np.floating]

#: Smallest noise variances of the factor analyses to choose from, relative to the
#: column's. One that is almost zero says that a column is known exactly from others.
FLOORS = (1e-5, 1e-3, 1e-2, 1e-1)

#: Noise variance of the indicators of levels beside numbers, in units of their own. At
#: 1, which their likelihood has near its start, they take latents from the numbers that
#: are better spent on those once the layers have learned what levels say.
OF_LEVELS = 4.0

# Weight of the rate at which the noise of columns beside levels is sought. At 1 the
# likelihood is flat where a latent copies a column: it says as many nats as it costs.
# A little above, a latent is for what columns share.
_PRICE = 1.1


def factor_noises(
    x: Floats,
    weight: Floats,
    n_components: int,
    is_free: NDArray[np.bool_],
    floors: Sequence[float],
) -> list[Floats]:
    """Noise variances of the factor analysis of rows at each of some floors.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    weight : ndarray of shape (n_rows,)
        Sums to 1.
    n_components : int
        Number of factors.
    is_free : ndarray of shape (n_features,), dtype=bool
        Features whose noise is sought; the others are indicators of levels.
    floors : sequence of float
        Smallest noise variances relative to those of the features.
    """
    covariance = _covariance(x - weight @ x, weight)
    fixed = np.where(is_free, np.nan, OF_LEVELS)
    price = 1.0 if is_free.all() else _PRICE
    return [
        factor_analysis(covariance, n_components, floor, fixed, price)
        for floor in floors
    ]


def log_density(x: Floats, weights: LinearWeights, noise: Floats) -> Floats:
    """Log-density of rows under a linear Gaussian model, without its constant."""
    white = (x - weights.center) / np.sqrt(noise)
    loading = weights.decoder / np.sqrt(noise)
    precision = np.eye(len(loading)) + loading @ loading.T
    projected = white @ loading.T
    distance = np.square(white).sum(axis=1)
    distance -= (np.linalg.solve(precision, projected.T).T * projected).sum(axis=1)
    log_determinant = np.linalg.slogdet(precision)[1] + np.log(noise).sum()
    return -0.5 * (distance + log_determinant)


def _covariance(x: Floats, weight: Floats) -> Floats:
    """Weighted covariance of centred rows; 1 for a column that does not vary."""
    covariance = (x * weight[:, None]).T @ x
    variance = np.diag(covariance)
    covariance[np.diag_indices_from(covariance)] = np.where(variance > 0, variance, 1.0)
    return covariance
