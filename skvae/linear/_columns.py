"""Columns that a linear Gaussian model can represent, and their place in a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae.linear._model import LinearWeights

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# Frequencies below which a level has no part in a linear model.
_RARE = 0.02

# Most levels of a group that have one; eigenvectors of more take long.
_MAX_LEVELS = 1000


class LinearColumns(NamedTuple):
    r"""Columns of a linear Gaussian model, each from an encoder's input to an output.

    The model sees the input as :math:`u = (x - c) / s`, and the decoder's output is
    where it starts plus the model's mean of u over s. A Gaussian cell is that exactly,
    with s = 1 and the noise variance of its feature. For an indicator of a level of
    frequency p, whose output is a logit, c = p and :math:`s = \sqrt{p}` (for one of
    zeros and ones :math:`\sqrt{p (1 - p)}`) make it so to second order about the null
    model, with unit noise: there the log-probability has the Fisher information as its
    curvature. The linear model of such columns alone is multiple correspondence
    analysis; beside others, factor analysis of mixed data [1]_.

    Attributes
    ----------
    inputs, outputs : ndarray of shape (n_columns,)
        Their places among the encoder's inputs and the decoder's outputs.
    features : ndarray of shape (n_columns,)
        Feature of the table that each is of, ascending.
    center, unit : ndarray of shape (n_columns,)
        c and s.
    has_noise : ndarray of shape (n_columns,), dtype=bool
        Whether the noise variance is that of the feature, and not 1.

    References
    ----------
    .. [1] J. Pages, "Analyse factorielle de donnees mixtes", Revue de Statistique
       Appliquee 52(4), 2004.
    """

    inputs: Places
    outputs: Places
    features: Places
    center: Floats
    unit: Floats
    has_noise: NDArray[np.bool_]

    @classmethod
    def of_levels(
        cls, features: Places, frequency: Floats, unit: Floats
    ) -> LinearColumns:
        """Indicators of levels side by side, whose outputs are their logits.

        Without those that are rare, or almost always so: where two of them meet once
        a linear model finds a latent. Of very many it takes those that vary most.
        """
        varies = frequency * (1.0 - frequency)
        places = np.flatnonzero(varies > _RARE * (1.0 - _RARE))
        if len(places) > _MAX_LEVELS:
            order = np.argsort(-varies[places], kind="stable")
            places = np.sort(places[order[:_MAX_LEVELS]])
        return cls(
            *(places, places, features[places], frequency[places], unit[places]),
            np.zeros(len(places), dtype=bool),
        )

    @classmethod
    def of_numbers(cls, n_features: int) -> LinearColumns:
        """Features that are their own inputs, with their means as outputs."""
        places, ones = np.arange(n_features), np.ones(n_features)
        return cls(places, places, places, 0.0 * ones, ones, ones.astype(bool))

    def is_exact(self, n_features: int) -> bool:
        """True where they are Gaussian cells of all features of a table."""
        return len(self.features) == n_features and bool(self.has_noise.all())

    def with_means(
        self, output: NDArray[np.floating], mean: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Decoder output with the means of the Gaussian cells in their places.

        Parameters
        ----------
        output : ndarray of shape (n_outputs,)
        mean : ndarray of shape (n_features,)
        """
        found = output.copy()
        found[self.outputs[self.has_noise]] = mean[self.features[self.has_noise]]
        return found

    def take(self, index: NDArray[np.generic]) -> LinearColumns:
        """Some of the columns."""
        return LinearColumns(*(part[index] for part in self))

    @classmethod
    def of_groups(
        cls,
        groups: Sequence[LinearColumns | None],
        n_inputs: Sequence[int],
        n_outputs: Sequence[int],
        features: Sequence[Places],
    ) -> LinearColumns | None:
        """Columns of groups side by side, in the order of their features.

        Parameters
        ----------
        groups : list of LinearColumns or None
            None is a group that has none.
        n_inputs, n_outputs : list of int
            Widths of each group.
        features : list of ndarray
            Which features of the table are those of each group.
        """
        placed = [
            own._replace(
                inputs=own.inputs + sum(n_inputs[:i]),
                outputs=own.outputs + sum(n_outputs[:i]),
                features=features[i][own.features],
            )
            for i, own in enumerate(groups)
            if own is not None
        ]
        if not placed:
            return None
        joined = cls(*(np.concatenate(parts) for parts in zip(*placed, strict=True)))
        return joined.take(np.argsort(joined.features, kind="stable"))

    def rows(self, inputs: Floats, observed: NDArray[np.bool_] | None) -> Floats:
        """Rows as the linear model sees them; a missing cell is at the centre.

        Parameters
        ----------
        inputs : ndarray of shape (n_rows, n_inputs)
            What the encoder sees of cells.
        observed : ndarray of shape (n_rows, n_features), dtype=bool, or None
            None says that no cell is missing.
        """
        u = (inputs[:, self.inputs] - self.center) / self.unit
        return u if observed is None else u * observed[:, self.features]

    def weights(
        self,
        model: LinearWeights,
        start: NDArray[np.floating],
        n_inputs: int,
        masked: Sequence[int],
    ) -> LinearWeights:
        """Weights of an encoder and a decoder that begin as a linear model.

        Parameters
        ----------
        model : LinearWeights
            Of these columns.
        start : ndarray of shape (n_outputs,)
            Start value of the decoder's output where there is no linear model.
        n_inputs : int
            Width of what the encoder sees of cells.
        masked : sequence of int
            Features with a missingness indicator as one more input of the encoder,
            which replaces a missing cell by the centre.
        """
        n_components = len(model.decoder)
        slope = model.encoder / self.unit[:, None]
        encoder = np.zeros((n_inputs + len(masked), n_components))
        encoder[self.inputs] = slope
        for place, feature in enumerate(masked, start=n_inputs):
            own = self.features == feature
            encoder[place] = self.center[own] @ slope[own]
        center = np.zeros(len(encoder))
        center[self.inputs] = self.center + self.unit * model.center
        decoder = np.zeros((n_components, len(start)))
        decoder[:, self.outputs] = model.decoder / self.unit
        bias = start.copy()
        bias[self.outputs[self.has_noise]] = model.center[self.has_noise]
        return LinearWeights(center, encoder, model.log_variance, decoder, bias)
