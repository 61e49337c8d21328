"""Base of the likelihoods of columns that hold a few levels."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae._sklearn_compat import Interval, StrOptions
from skvae.data._refuse import column_name
from skvae.ground._tensors import columns_of
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._weighted import cell_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike
    from torch import Tensor

    from skvae.likelihoods._base import Floats, PerColumn


class Levels(Likelihood):
    """Likelihood of columns that hold levels, which the model sees as codes from 0.

    Columns may differ in the number of their levels.
    """

    _parameter_constraints = {
        "n_levels": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "handle_unknown": [StrOptions({"error", "missing"})],
    }

    def __init__(
        self,
        n_levels: int | ArrayLike | None = None,
        handle_unknown: str = "error",
    ) -> None:
        self.n_levels = n_levels
        self.handle_unknown = handle_unknown

    def find_levels(self, X: Floats) -> None:
        """Find the levels of each column, sorted."""
        if self.n_levels is None:
            # A column that is missing altogether has one level nevertheless.
            found = [np.unique(column[~np.isnan(column)]) for column in X.T]
            self.levels_ = [each if len(each) else np.zeros(1) for each in found]
        else:
            n_levels = np.asarray(self.n_levels)
            if n_levels.shape not in {(), (X.shape[1],)} or (n_levels < 1).any():
                raise ValueError(
                    f"n_levels of {type(self).__name__} must be a number from 1 or one "
                    f"for each of the {X.shape[1]} features, got {self.n_levels!r}."
                )
            n_levels = np.broadcast_to(n_levels, X.shape[1])
            self.levels_ = [np.arange(float(n)) for n in n_levels]
        # Whether new rows are likely to hold new levels.
        observed = [column[~np.isnan(column)] for column in X.T]
        n_distinct = np.array([len(np.unique(each)) for each in observed])
        n_cells = np.array([len(each) for each in observed])
        self.is_open_ = n_distinct > 0.5 * n_cells
        self.n_levels_ = np.array([len(levels) for levels in self.levels_])
        # Where each column's block begins, and which column each place belongs to.
        self.offset_ = np.cumsum(self.n_levels_) - self.n_levels_
        self.column_ = np.repeat(np.arange(len(self.n_levels_)), self.n_levels_)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the frequency of each level, half a row for one that no row holds."""
        cells = cell_weights(X, weight)
        place = (np.nan_to_num(self.to_model(X)) + self.offset_).astype(np.intp)
        count = np.bincount(
            place.ravel(), weights=cells.ravel(), minlength=len(self.column_)
        )
        # Weights that are fractions, such as those that sum to 1, count rows too.
        per_row = 1.0 if weight is None else min(1.0, float(np.mean(weight)))
        count = np.maximum(count, 0.5 * per_row)
        self.frequency_ = count / np.bincount(self.column_, weights=count)[self.column_]

    def _count(self, X: Tensor, compare: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Number of levels of its column that each cell compares with."""
        import torch

        levels = torch.tensor(np.concatenate(self.levels_)).to(X)
        found = compare(columns_of(X, self.column_), levels).to(X.dtype)
        column = self.tensor("column_", X).expand(found.shape)
        return torch.zeros_like(X).scatter_add(-1, column, found)

    def to_model(self, X: Any) -> Any:
        """Codes of levels."""
        if not isinstance(X, np.ndarray):
            import torch

            return torch.where(X.isnan(), torch.nan, self._count(X, torch.gt))
        codes = np.empty_like(X)
        for d, levels in enumerate(self.levels_):
            code = np.searchsorted(levels, X[:, d])
            codes[:, d] = np.where(np.isnan(X[:, d]), np.nan, code)
        return codes

    def to_user(self, x: Any) -> Any:
        """Levels of codes, of shape (..., n_features)."""
        if not isinstance(x, np.ndarray):
            import torch

            levels = torch.tensor(np.concatenate(self.levels_)).to(x)
            return levels[x.long() + self.tensor("offset_", x)]
        flat = np.concatenate(self.levels_)
        is_missing = np.isnan(x)
        place = (np.where(is_missing, 0.0, x) + self.offset_).astype(np.intp)
        return np.where(is_missing, np.nan, flat[place]).astype(x.dtype)

    def reconstruction(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        center: PerColumn | Tensor = 0.0,
        scale: PerColumn | Tensor = 1.0,
    ) -> Tensor:
        """Most probable level of each cell."""
        mode = self.distribution(parameters, variance).mode
        level: Tensor = self.to_user(mode.double())
        return level

    def expectation(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        weight: Tensor,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Level that is most probable over all draws of a row."""
        import torch

        distribution = self.distribution(parameters, variance)
        best = code = weight.new_zeros(())
        for level in range(int(self.n_levels_.max())):
            # Columns with fewer levels have their last one once more.
            levels = np.minimum(level, self.n_levels_ - 1)
            shape = distribution.batch_shape
            value = torch.as_tensor(levels, device=weight.device).expand(shape)
            probability = distribution.log_prob(value.to(weight)).exp()[0]
            probability = (
                probability.unflatten(0, weight.shape) * weight[..., None]
            ).sum(dim=0)
            code = torch.where(probability > best, float(level), code)
            best = probability.maximum(best)
        return self.to_user(code.cpu().numpy())

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X, or raise ValueError where a level was not seen by `fit`."""
        if not isinstance(X, np.ndarray):
            import torch

            return torch.where(self._count(X, torch.eq) > 0.0, X, torch.nan)
        for d, (levels, column) in enumerate(zip(self.levels_, X.T, strict=True)):
            place = np.minimum(np.searchsorted(levels, column), len(levels) - 1)
            is_new = (levels[place] != column) & ~np.isnan(column)
            if is_new.any() and self.handle_unknown == "missing":
                X = X.copy()
                X[is_new, d] = np.nan
            elif is_new.any():
                known = ", ".join(f"{level:g}" for level in levels[:5])
                more = ", ..." if len(levels) > 5 else ""
                raise ValueError(
                    f"The {type(self).__name__} likelihood has the levels {known}"
                    f"{more} of {column_name(d, names)}, which now holds "
                    f"{column[is_new][0]:g}. Fit on rows that hold all levels, or "
                    "mark the value as missing (NaN)."
                )
        return X
