"""The decoder variance that explains new rows best, for the trained networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.balance._base import pool
from skvae.data._rows import WeightedRows, chunks
from skvae.ground._tensors import cell_weights, weighted_sum
from skvae.model._shrinkage import shrink_to_mean

# Weight, in rows, of the common level against the held-out error of a feature: low
# enough to detect a feature that fails on new rows, high enough not to rely on a dozen
# of them.
_LEVEL_ROWS = 20.0

# Effective held-out rows at which a quarter of the residual variance of the linear
# model is kept as a bound; the fraction falls with the square of their number.
_LINEAR_ROWS = 0.5


class Calibration(NamedTuple):
    """Estimator of the decoder variance from training and held-out errors.

    Without held-out rows it is the maximum-likelihood value on the training rows.
    With them it is what explains new rows best, as the training error is too small
    where a network overfits. For each feature, the training error times the common
    level (the median over features of held-out by training error) is averaged with
    the held-out error, as so many rows against so many. Where held-out rows hold next
    to nothing of what a feature varies by, as with a column that is constant but for
    one row in a thousand, they do not attest that it is predicted, and the variance
    stays near what the linear model leaves of it.

    Finally, the variances are shrunk towards their mean, by the amount that explains
    the held-out rows best.
    """

    scope: str
    """One variance for all features, one for each, or "auto": one for each where
    there are held-out rows."""
    floor: Tensor
    """Smallest variance of each feature, of shape (n_features,)."""
    prior: Tensor
    """Variance that the linear model leaves, of shape (n_replicas, n_features)."""
    evidence: Tensor
    """Held-out rows in effect for each feature, of shape (n_features,)."""
    n_held_out: int
    total: Tensor
    """Variance of each feature on the training rows, of shape (n_features,); 0 of one
    that is constant there."""

    @classmethod
    def of(
        cls,
        scope: str,
        floor: Tensor,
        prior: Tensor,
        rows: WeightedRows,
        held_out: WeightedRows | None,
        columns: NDArray[np.bool_] | None = None,
    ) -> Calibration:
        """Count the effective held-out rows of each of some columns, or of all."""
        if columns is None:
            columns = np.ones(rows.n_features, dtype=bool)
        if held_out is None:
            none = torch.zeros_like(floor)
            return cls(scope, floor, prior, none, 0, none)
        center = _moment(rows, columns, 1)
        second, seen = (_moment(part, columns, 2, center) for part in (rows, held_out))
        tiny = torch.finfo(floor.dtype).tiny
        # In units of a power of two, which changes no digit: fourth powers overflow.
        unit = second.clamp(min=tiny).sqrt().log2().floor().exp2()
        fourth = _moment(rows, columns, 4, center, unit)
        # The more a variance rests on a few rows, the more rows are needed to see it.
        kurtosis = fourth / (second / unit.square()).square().clamp(min=tiny)
        effective = seen / second.clamp(min=tiny) / kurtosis.clamp(min=1.0)
        n_held_out = held_out.n_rows
        total = second.where(second > floor, torch.zeros_like(second))
        return cls(scope, floor, prior, n_held_out * effective, n_held_out, total)

    def select(self, replicas: slice | Tensor) -> Calibration:
        """Calibration of some replicas."""
        return self._replace(prior=self.prior[replicas])

    def __call__(self, error: Tensor, held_out_error: Tensor | None) -> Tensor:
        """Decoder variance for the mean errors of each feature.

        Parameters
        ----------
        error : Tensor of shape (n_replicas, n_features)
            On the training rows.
        held_out_error : Tensor of shape (n_replicas, n_features) or None
            On held-out rows.

        Returns
        -------
        variance : Tensor of shape (n_replicas, 1) or (n_replicas, n_features)
        """
        scope = self.scope
        if held_out_error is None:
            # Only held-out rows can justify a variance for each feature.
            scope = "shared" if scope == "auto" else scope
            return pool(error, scope).maximum(pool(self.floor, scope))
        floor = pool(self.floor, scope)
        shape = pool(error, scope).maximum(floor)
        held_out = pool(held_out_error, scope)
        # The median: one column that cannot be predicted does not show that all are
        # overfitted. One pseudo-row regularises a handful of rows.
        n = self.n_held_out
        level = (held_out / shape).median(dim=1, keepdim=True).values
        level = (n * level + 1.0) / (n + 1.0)
        variance = (_LEVEL_ROWS * level * shape + n * held_out) / (_LEVEL_ROWS + n)
        # Training rows are harder than new ones by chance only.
        variance = variance.maximum(shape)
        if scope != "shared":
            fraction = (_LINEAR_ROWS / (self.evidence + _LINEAR_ROWS)).square()
            unattested = (fraction * self.prior).maximum(floor)
            variance = variance.maximum(unattested)
            known = (level * shape).maximum(unattested)
            variance = shrink_to_mean(variance, known, held_out, self.total, n)
            variance = variance.maximum(unattested)
        return variance.maximum(floor)


def _moment(
    rows: WeightedRows,
    columns: NDArray[np.bool_],
    power: int,
    center: Tensor | float = 0.0,
    unit: Tensor | float = 1.0,
) -> Tensor:
    """Weighted mean of a power of some columns, over the cells that are not missing."""
    n_columns = int(columns.sum())
    total = rows.like.new_zeros(n_columns)
    weight_sum = torch.zeros_like(total)
    for part in chunks(rows.n_rows, n_columns):
        x, weight, observed = rows.part(part).of_columns(columns)
        cells = cell_weights(weight, observed)
        total += weighted_sum(((x - center) / unit).pow(power), cells)
        weight_sum += cells.sum(dim=0)
    return total / weight_sum.clamp(min=torch.finfo(total.dtype).tiny)
