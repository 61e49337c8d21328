"""The error of factor analysis on rows that it was not fitted to.

A dozen held-out rows attest that columns follow from others where they do so in all but
a few rows, and the maximum of the likelihood may have almost no noise. Out of fold, all
rows show what is left of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skvae.linear._factors import FLOORS, factor_noises, log_density
from skvae.linear._model import LinearModel, LinearWeights

Floats = NDArray[np.floating]

# Held-out rows that are enough by themselves.
_ENOUGH = 100

# Wider tables take too long: there are as many analyses as folds and floors.
_MAX_FEATURES = 50

_N_FOLDS = 5


def unseen_error(
    rows: tuple[Floats, Floats],
    held_out: tuple[Floats, Floats],
    n_components: int,
    floor: Floats,
    is_free: NDArray[np.bool_],
) -> Floats | None:
    """Error of factor analysis on all rows, out of fold.

    Parameters
    ----------
    rows, held_out : pair of ndarray
        Rows, and weights of theirs that sum to 1.
    n_components : int
        Number of factors.
    floor : ndarray of shape (n_features,)
        Smallest noise variance of each feature.
    is_free : ndarray of shape (n_features,), dtype=bool
        Features whose noise is sought.

    Returns
    -------
    error : ndarray of shape (n_features,) or None
        Mean squared error of each feature under the posterior, at the floor of the
        noise that has the best density out of fold. None where enough rows are held
        out, and for wide tables.
    """
    n_held_out, n_features = held_out[0].shape
    if n_held_out >= _ENOUGH or n_features > _MAX_FEATURES or not is_free.any():
        return None
    x = np.concatenate([rows[0], held_out[0]])
    weight = np.concatenate([len(part) * weight for part, weight in (rows, held_out)])
    weight = weight / len(x)
    fold = np.random.RandomState(0).permutation(len(x)) % _N_FOLDS
    density, error = np.zeros(len(FLOORS)), np.zeros((len(FLOORS), n_features))
    for out in (fold == i for i in range(_N_FOLDS)):
        own = weight[~out] / weight[~out].sum()
        noises = factor_noises(x[~out], own, n_components, is_free, FLOORS)
        for i, noise in enumerate(np.maximum(noises, floor)):
            model = _at(x[~out], own, noise, n_components)
            density[i] += weight[out] @ log_density(x[out], model, noise)
            error[i] += weight[out] @ _squared_error(x[out], model)
    found: Floats = error[density.argmax()]
    return found


def _at(x: Floats, weight: Floats, noise: Floats, n_components: int) -> LinearWeights:
    """The linear model of rows at given noise variances."""
    scale = np.sqrt(noise)
    model = LinearModel.from_rows(x / scale, weight, n_components)
    return model.weights(1.0, weight @ x, scale)


def _squared_error(x: Floats, weights: LinearWeights) -> Floats:
    """Expected squared error of each cell under the posterior."""
    centred = x - weights.center
    mean = centred @ weights.encoder @ weights.decoder
    variance = np.exp(weights.log_variance) @ np.square(weights.decoder)
    return np.square(centred - mean) + variance
