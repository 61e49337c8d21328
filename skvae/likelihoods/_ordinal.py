"""Ordinal likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.likelihoods._levels import Levels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class Ordinal(Levels):
    r"""Distribution of columns that hold levels in an order, such as grades.

    .. math:: p(x = k \mid z) = s(t_k - m(z)) - s(t_{k-1} - m(z))

    with the logistic function s: the proportional-odds model [1]_. The decoder gives
    one location m for each column; its rising thresholds t are the same for all rows
    and trained beside the networks. A column of K levels costs the decoder one number
    where `Categorical` takes K.

    Parameters
    ----------
    n_levels : int, array-like of shape (n_features,) or None, default=None
        Number of levels of each column, whose values are then the codes 0 to
        ``n_levels - 1``. None takes the distinct values that `fit` finds, in
        increasing order.

    handle_unknown : {"error", "missing"}, default="error"
        Treatment of a level that `fit` did not see: an error, or a missing cell.

    See Also
    --------
    Categorical : For levels without an order.

    References
    ----------
    .. [1] P. McCullagh, "Regression models for ordinal data", Journal of the Royal
       Statistical Society B 42, 1980.
       https://doi.org/10.1111/j.2517-6161.1980.tb01109.x

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.likelihoods import Ordinal
    >>> X = np.array([[1.0], [2.0], [3.0], [3.0]])
    >>> ordinal = Ordinal().fit(X)
    >>> ordinal.n_parameters(1), ordinal.feature_parameters()["thresholds"].shape
    (1, (1, 2))
    """

    parameter_names = ("location",)

    def __init__(
        self,
        n_levels: int | ArrayLike | None = None,
        handle_unknown: str = "error",
    ) -> None:
        super().__init__(n_levels, handle_unknown)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the frequency of levels, and mean and standard deviation of codes."""
        super().learn(X, weight)
        code = np.arange(len(self.column_)) - self.offset_[self.column_]
        mean = np.bincount(self.column_, weights=self.frequency_ * code)
        square = np.bincount(self.column_, weights=self.frequency_ * code**2)
        variance = square - mean**2
        self.input_center_ = mean
        self.input_scale_ = np.where(variance > 1e-12, np.sqrt(abs(variance)), 1.0)

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Codes of mean zero and variance one over the rows of `fit`."""
        center = self.tensor("input_center_", x)
        return super().inputs((x - center) / self.tensor("input_scale_", x), observed)

    def feature_parameters(
        self,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> dict[str, Floats]:
        """First threshold, and unconstrained distances from each to the next.

        They are padded with zeros for columns of fewer levels. At location 0 they give
        each level its frequency.
        """
        n_thresholds = max(1, self.n_levels_.max() - 1)
        code = np.arange(n_thresholds)
        is_used = code < self.n_levels_[:, None] - 1
        place = np.where(is_used, self.offset_[:, None] + code, 0)
        below = np.cumsum(np.where(is_used, self.frequency_[place], 0.0), axis=1)
        # The same sum from above: one minus `below` is inexact where little is left.
        above = np.cumsum(
            np.where(is_used, self.frequency_[place + is_used], 0.0)[:, ::-1], axis=1
        )[:, ::-1]
        used = np.where(is_used, below, 0.5), np.where(is_used, above, 0.5)
        threshold = np.log(used[0]) - np.log(used[1])
        distance = np.diff(threshold, axis=1, prepend=0.0)
        distance[:, 1:] = _inverse_softplus(
            np.where(is_used[:, 1:], distance[:, 1:], 1.0)
        )
        return {"thresholds": np.where(is_used, distance, 0.0)}

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Cumulative logit distribution of every cell."""
        from skvae.likelihoods._level_distributions import CumulativeLogit

        location = parameters["location"]
        return CumulativeLogit(
            location, parameters["thresholds"], self.tensor("n_levels_", location)
        )


def _inverse_softplus(y: Floats) -> Floats:
    return y + np.log(-np.expm1(-np.maximum(y, 1e-30)))
