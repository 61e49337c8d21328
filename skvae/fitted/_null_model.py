"""The model without latents: each column by its own distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.data._rows import chunks
from skvae.data._view import TableView
from skvae.fitted._inference import Floats, Model
from skvae.likelihoods import Likelihood


@dataclass(frozen=True)
class NullModel:
    """Marginal distribution of each column over the rows of `fit`.

    Its distortion minus that of a model is what the model's latents explain. Arrays, so
    that it can be pickled anywhere.

    Attributes
    ----------
    output : ndarray of shape (n_parameters,)
        Output of the decoder, the same for every row.
    shared : dict of str to ndarray
        The parameters that are the same for all rows.
    variance : ndarray of shape (1, 1 or n_dispersed)
        Dispersion of each column that has one: of maximum likelihood, or as the user
        fixed it. NaN of one that is constant: it has none of its own, and gets that of
        the model it is compared with.
    """

    output: Floats
    shared: dict[str, Floats]
    variance: Floats

    @classmethod
    @torch.no_grad()
    def from_rows(
        cls,
        X: Floats,
        index: NDArray[np.integer],
        weight: NDArray[np.float64],
        likelihood: Likelihood,
        view: TableView,
    ) -> NullModel:
        """Learn the dispersions; all else the likelihood has learned from the rows.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Admitted rows; NaN where a cell is missing.
        index : ndarray of shape (n_rows,)
            Rows of X to use, in order.
        weight : ndarray of shape (n_rows,)
        likelihood : Likelihood
            Fitted.
        view : TableView
            Conversion between these rows and the model's inputs.
        """
        n_features, scaling = X.shape[1], view.scaling
        output = likelihood.start(n_features, scaling.center, scaling.scale)
        columns = likelihood.linear_columns(n_features)
        if columns is not None:
            # Exactly 0 where the scaling takes the mean out.
            output = columns.with_means(output, scaling.mean)
        shared = likelihood.feature_parameters(scaling.center, scaling.scale)
        dispersion = likelihood.column_dispersion(n_features)
        if dispersion is None:
            return cls(output, shared, np.empty((1, 0)))
        null = cls(output, shared, dispersion.unmoved[None])
        if not dispersion.is_free:
            return null
        dispersed = dispersion.columns
        error, total = np.zeros(dispersed.sum()), np.zeros(dispersed.sum())
        for part in chunks(len(index), n_features):
            x = view.to_model(X[index[part]])
            cells = weight[part, None] * ~np.isnan(x)
            seen = torch.from_numpy(np.nan_to_num(x, copy=False))
            found = dispersion.mean_error(
                seen,
                null._parameters(likelihood, seen),
                torch.from_numpy(cells),
            )
            error += found[0].numpy()
            total += cells[:, dispersed].sum(axis=0)
        variance = error / np.where(total > 0.0, total, 1.0)
        if view.scores is not None:
            # By construction, once they are drawn within atoms.
            variance[view.scores.is_mapped[dispersed]] = 1.0
        is_constant = variance <= dispersion.least(scaling.variance)
        return cls(output, shared, np.where(is_constant, np.nan, variance)[None])

    def _parameters(self, likelihood: Likelihood, x: Tensor) -> dict[str, Tensor]:
        """Parameters of the likelihood for rows, the same for all of them."""
        # Copies, as the arrays may be read-only.
        output = torch.tensor(self.output).to(x)
        shared = {
            name: torch.tensor(value).to(x)[None, None]
            for name, value in self.shared.items()
        }
        return {**likelihood.unpack(output.expand(1, len(x), -1)), **shared}

    @torch.no_grad()
    def cells(self, model: Model, X: Floats) -> Floats:
        """Distortion of each cell, of shape (n_samples, n_features), in nats.

        Parameters
        ----------
        model : Model
            The model that provides likelihood and units.
        X : ndarray of shape (n_samples, n_features)
            Admitted rows; a missing cell costs nothing.
        """
        likelihood = model.module.likelihood
        variance = model.tensor(self.variance)
        variance = torch.where(variance.isnan(), model.scored_variance, variance)
        nats = np.empty(X.shape, X.dtype)
        for rows in model.chunks(len(X)):
            x, _ = model.seen(X[rows])
            parameters = self._parameters(likelihood, x)
            log_prob = likelihood.log_prob(x[None], parameters, variance)[0]
            nats[rows] = model.in_units_of_x(-log_prob, X[rows])
        return nats
