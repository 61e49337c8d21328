"""The table as the model sees it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skvae.data._columns import Columns
from skvae.data._moments import Moments
from skvae.data._normal_scores import NormalScores
from skvae.data._rows import Rows, chunks
from skvae.data._rows_in_table import RowsInTable
from skvae.data._scaling import Scaling

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating]

# Bytes of a table, as the model sees it, from which on its rows stay there.
_LARGE = 2**26


class Units(Protocol):
    """The units of a likelihood's distribution, and which values it admits.

    Methods take arrays, and tensors in a model that was exported.
    """

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X, or raise ValueError where a value is impossible."""

    def to_model(self, X: Any) -> Any:
        """Return admitted rows in the units of the distribution."""

    def to_user(self, x: Any) -> Any:
        """Return rows in the units of X."""

    def log_jacobian(self, X: Any) -> Any:
        """Nats that each cell's distortion gains in the units of X."""


@dataclass(frozen=True)
class TableView:
    """A table as the model sees it: coded, in the likelihood's units, and scaled.

    Rows pass three stages: the user's table, numbers with NaN for missing cells
    (`columns`), and what the model sees, in the units of the likelihood and scaled.
    Distortions are computed of the last stage and reported in the units of the numbers;
    `log_jacobian` is the difference.

    With normal scores, a value that many rows have is an atom: an interval of scores
    that has the value's probability. Training rows are drawn within it by rank, with
    the density of a standard normal number between its ends: minus the log-density of a
    draw under the decoder, plus its own, is in the mean at least minus the
    log-probability of the atom. In all else a cell on an atom is the middle of its
    interval, and has the probability of the whole.

    Attributes
    ----------
    columns : Columns
        Types, names and levels of the user's columns.
    units : Likelihood
        Units of the distribution.
    scaling : Scaling
        Centre and scale of each column.
    scores : NormalScores or None, default=None
        Normal scores of the scaled columns, where these are what the model sees.
    """

    columns: Columns
    units: Units
    scaling: Scaling
    scores: NormalScores | None = None

    @classmethod
    def from_rows(
        cls,
        columns: Columns,
        units: Units,
        X: Floats,
        index: NDArray[np.integer],
        weight: NDArray[np.float64],
        *,
        continuous: NDArray[np.bool_],
        standardize: bool | str,
        moments: Moments | None = None,
    ) -> TableView:
        """Learn the scaling from weighted rows.

        Parameters
        ----------
        columns : Columns
        units : Likelihood
            Fitted.
        X : ndarray of shape (n_samples, n_features)
            Admitted numbers; NaN where a cell is missing.
        index : ndarray of shape (n_rows,)
            Rows of X to use, in order.
        weight : ndarray of shape (n_rows,)
        continuous : ndarray of shape (n_features,), dtype=bool
            Columns to centre and scale.
        standardize : bool, "robust" or "quantile"
            How to scale them; the last one maps them to normal scores too.
        moments : Moments or None, default=None
            Of all rows in the units of the likelihood, where X has but some of them.
        """
        scaling = Scaling.from_rows(
            units.to_model(X),
            index,
            weight,
            standardize=standardize,
            columns=continuous,
            moments=moments,
        )
        view = cls(columns, units, scaling)
        if standardize != "quantile":
            return view
        is_mapped = continuous & ~scaling.is_constant
        scores = NormalScores.from_rows(X, index, weight, is_mapped, view.to_model)
        scaling = replace(
            scaling,
            mean=np.where(scores.is_mapped, 0.0, scaling.mean),
            variance=np.where(scores.is_mapped, 1.0, scaling.variance),
        )
        return replace(view, scaling=scaling, scores=scores)

    def after(self, X: Floats) -> TableView:
        """View when more rows have been seen; centre and scale stay as they are."""
        return replace(self, scaling=self.scaling.after(self.units.to_model(X)))

    def to_model(self, X: Floats) -> NDArray[np.float64]:
        """Return admitted rows as the model sees them; NaN where a cell is missing."""
        x = self.scaling.to_model(self.units.to_model(X))
        return x if self.scores is None else self.scores.to_scores(X, x)

    def seen(self, X: Floats) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        """Rows as the model sees them, 0 where a cell is missing, and their mask.

        Returns
        -------
        x : ndarray of shape (n_samples, n_features)
        observed : ndarray of the same shape, dtype=bool, or None
            Cells that are not missing; None where none are.
        """
        x = self.to_model(X)
        is_missing = np.isnan(x)
        if not is_missing.any():
            return x, None
        x[is_missing] = 0.0
        return x, ~is_missing

    def drawn(
        self, X: Floats, random: np.random.RandomState
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, Floats | None]:
        """Rows to train on: as `seen` returns them, with cells on atoms drawn.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Admitted numbers; NaN where a cell is missing.
        random : RandomState
            Draws the cells on atoms.

        Returns
        -------
        x, observed : ndarray of shape (n_samples, n_features), or None
            As of `seen`.
        log_density : ndarray of the same shape, or None
            Log-density of the cells that were drawn, NaN for the others; None without
            normal scores.
        """
        x, observed = self.seen(X)
        if self.scores is None:
            return x, observed, None
        u, log_density = self.scores.drawn(X, random.uniform(size=X.shape))
        is_drawn = ~np.isnan(u)
        x = np.where(is_drawn, u, x)
        return x, observed, np.where(is_drawn, log_density, np.nan)

    def log_jacobian(self, X: Floats) -> Floats:
        """Nats that each cell's distortion gains in the units of X."""
        nats = self.units.log_jacobian(X)
        constant = self.scaling.is_constant
        if constant.any():
            # The model sees that such a cell has changed, and not by how much.
            usual = self.units.to_user(self.scaling.center[None])
            nats[:, constant] = self.units.log_jacobian(usual)[:, constant]
        nats = self.scaling.log_jacobian + nats
        if self.scores is None:
            return nats
        x = self.scaling.to_model(self.units.to_model(X))
        log_slope = self.scores.log_slope(X, x)
        # An atom has a probability, in any units.
        return np.where(np.isnan(log_slope), 0.0, nats - log_slope)

    def to_user(self, x: Floats) -> Floats:
        """Return rows in the units of X, from what the model sees."""
        X = self.units.to_user(self.scaling.to_user(x))
        return X if self.scores is None else self.scores.to_user(x, X)

    def in_range(self, X: Floats, dtype: DTypeLike = np.float64) -> Floats:
        """Numbers in the units of X, within the range of its type and of another."""
        types = np.dtype(self.scaling.dtype), np.dtype(dtype)
        limit = min(float(np.finfo(each).max) for each in types)
        return np.clip(X, -limit, limit)

    def to_table(self, X: Floats, index: Any = None) -> Any:
        """Table of the kind, names and types of that of `fit`, from numbers."""
        return self.columns.to_table(X, index)

    def rows(
        self,
        X: Floats,
        index: NDArray[np.integer],
        weight: NDArray[np.float64],
        *,
        has_gaps: bool,
        like: Tensor,
        random: np.random.RandomState,
    ) -> tuple[Rows | RowsInTable, float]:
        """Some rows of a table, and what their units are worth.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Admitted numbers; NaN where a cell is missing.
        index : ndarray of shape (n_rows,)
            Rows of X to use, in order.
        weight : ndarray of shape (n_rows,)
        has_gaps : bool
            Whether any cell of X is missing.
        like : Tensor
            On the device and in the precision of the rows.
        random : RandomState
            Draws the cells on atoms.

        Returns
        -------
        rows : Rows or RowsInTable
            Tensors, or what makes them of many rows. A row of large weight that is on
            atoms is there several times.
        jacobian : float
            Nats per row that their distortion gains in the units of X.
        """
        import torch

        if self.scores is not None:
            copies = self.scores.n_copies(X, index, weight)
            index, weight = index.repeat(copies), (weight / copies).repeat(copies)
        shape, weight = (len(index), X.shape[1]), weight / weight.sum()
        is_large = X.size * like.element_size() > _LARGE
        # Cells that were drawn are kept, and a device has memory of its own.
        stays = is_large and self.scores is None and like.device.type == "cpu"
        x = like.new_empty((0, 0) if stays else shape)
        observed = None
        if has_gaps and not stays:
            observed = like.new_empty(shape, dtype=torch.bool)
        jacobian = 0.0
        for part in chunks(*shape):
            numbers = X[index[part]]
            seen, is_observed, log_density = self.drawn(numbers, random)
            nats = self.log_jacobian(numbers)
            if log_density is not None:
                nats = np.where(np.isnan(log_density), nats, log_density)
            if is_observed is not None:
                nats = np.where(is_observed, nats, 0.0)
            if observed is not None:
                there = True if is_observed is None else torch.from_numpy(is_observed)
                observed[part] = there
            if not stays:
                x[part] = torch.as_tensor(seen, dtype=like.dtype, device=like.device)
            jacobian += float(weight[part] @ nats.sum(axis=1))
        weights = torch.as_tensor(weight).to(like)
        if stays:
            return RowsInTable(self.seen, X, index, weights, has_gaps), jacobian
        return Rows(x, weights, observed), jacobian
