"""The linear model that training starts at."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae.linear._columns import LinearColumns
from skvae.linear._cross_validation import unseen_error
from skvae.linear._factors import FLOORS, OF_LEVELS, factor_noises, log_density
from skvae.linear._model import LinearModel, LinearWeights

Floats = NDArray[np.floating]

# Wider tables start at probabilistic PCA: factor analysis decomposes a matrix of this
# size some tens of times.
_MAX_FACTOR_ANALYSIS = 500


def linear_start(
    x: Floats,
    weight: Floats,
    held_out: tuple[Floats, Floats] | None,
    n_components: int,
    beta: float,
    scope: str,
    floor: Floats,
    is_free: NDArray[np.bool_] | None = None,
) -> tuple[LinearWeights, Floats]:
    """Linear model for a decoder variance that will be moved.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
        Rows as the model sees them.
    weight : ndarray of shape (n_rows,)
        Sums to 1.
    held_out : pair of such arrays, or None
        Held-out rows, on which the noise variances are chosen.
    n_components : int
        Number of latents.
    beta : float
        Weight of the rate.
    scope : {"shared", "feature"}
        One variance for all features (probabilistic PCA) or one for each (factor
        analysis, with the floor of its noise that explains held-out rows best).
    floor : ndarray of shape (n_features,)
        Smallest variance of each feature.
    is_free : ndarray of shape (n_features,), dtype=bool, or None, default=None
        Features whose noise variance is sought; that of the others, indicators of
        levels, is 4, or 1 where there is nothing else. None says all.

    Returns
    -------
    weights : LinearWeights
    variance : ndarray of shape (n_features,)
        Noise variances of the model.
    """
    n_features = x.shape[1]
    if is_free is None:
        is_free = np.ones(n_features, dtype=bool)
    center = weight @ x
    if not is_free.any():
        noises: list[Floats] = [np.ones(n_features)]
    elif scope == "shared" or n_features > _MAX_FACTOR_ANALYSIS:
        own = x if is_free.all() else x[:, is_free]
        shared = LinearModel.from_rows(own, weight, n_components).variance_at(beta)
        noises = [np.where(is_free, shared, OF_LEVELS)]
    else:
        floors = FLOORS if held_out is not None else FLOORS[:1]
        noises = factor_noises(x, weight, n_components, is_free, floors)
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
    return max(models, key=lambda model: row_weight @ log_density(rows, *model))


class LinearStart(NamedTuple):
    """Linear model that one replica starts at."""

    weights: LinearWeights
    noise: Floats
    """Noise variance of each feature that has one; elsewhere its dispersion."""
    left: Floats
    """Variance that the model leaves of each feature, on rows that it was not fitted to
    where these are few; elsewhere its dispersion."""


class LinearStarts:
    """Linear models of rows, for every beta and scope that a training starts at.

    Parameters
    ----------
    columns : LinearColumns
        What they are models of.
    rows, held_out : pair of ndarray, or None for the second
        Rows as linear models see them, and their weights.
    n_components : int
        Number of latents.
    variance : ndarray of shape (1,) or (n_dispersed,)
        Decoder variance where nothing moves it.
    floor : ndarray of shape (n_dispersed,)
        Smallest one that may be learned.
    dispersion : ndarray of shape (n_dispersed,)
        That of the features without a model.
    dispersed : ndarray of shape (n_features,), dtype=bool
        Features that have a dispersion.
    """

    def __init__(
        self,
        columns: LinearColumns,
        rows: tuple[Floats, Floats],
        held_out: tuple[Floats, Floats] | None,
        n_components: int,
        variance: Floats,
        floor: Floats,
        dispersion: Floats,
        dispersed: NDArray[np.bool_],
    ) -> None:
        self.columns, self.rows, self.held_out = columns, rows, held_out
        self.n_components = n_components
        own = columns.features[columns.has_noise]
        self._places = (np.cumsum(dispersed) - 1)[own]
        self.variance = self._at_columns(np.broadcast_to(variance, len(floor)), 1.0)
        self.floor = self._at_columns(floor, 0.0)
        self.dispersion = dispersion

    def _at_columns(self, values: Floats, otherwise: float) -> Floats:
        """Values of features that have a dispersion, at the columns that are theirs."""
        found = np.full(len(self.columns.has_noise), otherwise)
        found[self.columns.has_noise] = values[self._places]
        return found

    def model(self) -> LinearModel:
        """The linear model of the columns in units of the fixed variance."""
        return self._model

    @functools.cached_property
    def _model(self) -> LinearModel:
        x, weight = self.rows
        return LinearModel.from_rows(
            x / np.sqrt(self.variance), weight, self.n_components
        )

    @functools.cached_property
    def unseen_error(self) -> Floats | None:
        """Error of factor analysis on rows out of fold, where few are held out."""
        if self.held_out is None:
            return None
        return unseen_error(
            self.rows,
            self.held_out,
            self.n_components,
            self.floor,
            self.columns.has_noise,
        )

    def of(self, beta: float, scope: str | None) -> LinearStart:
        """Linear model at a beta; no scope for a fixed variance."""
        x, weight = self.rows
        error = self.unseen_error if scope == "feature" else None
        if scope is None:
            scale, variance = np.sqrt(self.variance), self.variance
            weights = self._model.weights(beta, weight @ x, scale)
        else:
            weights, variance = linear_start(
                *(x, weight, self.held_out, self.n_components, beta, scope),
                *(self.floor, self.columns.has_noise),
            )
        noise, left = self.dispersion.copy(), self.dispersion.copy()
        has_noise = self.columns.has_noise
        noise[self._places] = variance[has_noise]
        left[self._places] -= np.square(weights.decoder[:, has_noise]).sum(axis=0)
        if error is not None:
            left[self._places] = left[self._places].clip(min=error[has_noise])
        return LinearStart(weights, noise, left)
