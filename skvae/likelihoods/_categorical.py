"""Categorical likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.likelihoods._blocks import blocks_of
from skvae.likelihoods._levels import Levels
from skvae.linear._columns import LinearColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from skvae.likelihoods._base import Floats, PerColumn
    from skvae.likelihoods._level_distributions import SegmentedCategorical


class Categorical(Levels):
    r"""Distribution of columns that hold levels without an order.

    .. math:: \log p(x = k \mid z) = l_k(z) - \log \sum_j e^{l_j(z)}

    The decoder gives a logit l for each level of each column; a column of K levels
    counts as one feature, not as K. Columns stand side by side in one block of logits,
    however many there are and whatever their numbers of levels. The encoder sees an
    indicator of each level, made batch by batch.

    Parameters
    ----------
    n_levels : int, array-like of shape (n_features,) or None, default=None
        Number of levels of each column, whose values are then the codes 0 to
        ``n_levels - 1``. None takes the distinct values that `fit` finds.

    handle_unknown : {"error", "missing"}, default="error"
        Treatment of a level that `fit` did not see: an error, or a missing cell.

    See Also
    --------
    Ordinal : For levels with an order.
    Bernoulli : For two levels, in half of the logits.

    Notes
    -----
    The logarithm of a sum is over the segments of the block, relative to the largest
    logit of each; a column of 64 levels or more is a call of its own. Categories have
    no mean: a row is reconstructed as the most probable ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.likelihoods import Categorical
    >>> X = np.array([[0.0, 5.0], [1.0, 7.0], [2.0, 5.0]])
    >>> categorical = Categorical().fit(X)
    >>> categorical.n_parameters(2)
    5
    >>> categorical.to_model(X)
    array([[0., 0.],
           [1., 1.],
           [2., 0.]])
    """

    parameter_names = ("logits",)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the frequency of each level, half a row for one that no row holds."""
        super().learn(X, weight)
        self.blocks_ = blocks_of(self.n_levels_)
        # Within their block, so that no step counts again.
        self.block_offset_ = self.offset_.copy()
        self.block_column_ = self.column_.copy()
        for block in self.blocks_:
            self.block_offset_[block.columns] -= block.places.start
            self.block_column_[block.places] -= block.columns.start

    def n_parameters(self, n_features: int) -> int:
        """Width of the decoder's output: all levels of all columns."""
        check_is_fitted(self)
        return len(self.column_)

    def input_columns(self, n_features: int) -> NDArray[np.intp]:
        """Column that each input of the encoder stands for: one for each level."""
        return self.column_

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Indicators of levels; none is set where a cell is missing."""
        place = x.long() + self.tensor("offset_", x)
        source = x.new_ones(()).expand_as(x) if observed is None else observed.to(x)
        width = len(self.column_)
        return x.new_zeros((*x.shape[:-1], width)).scatter(-1, place, source)

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Logarithm of each level's frequency."""
        return np.log(self.frequency_)

    def linear_columns(self, n_features: int) -> LinearColumns:
        """Indicators of levels in units of the root of their frequency."""
        return LinearColumns.of_levels(
            self.column_, self.frequency_, np.sqrt(self.frequency_)
        )

    def expectation(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        weight: Tensor,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Level that is most probable over all draws of a row."""
        distribution = self.distribution(parameters, variance)
        probability = distribution.probabilities[0].unflatten(0, weight.shape)
        code = distribution.highest((probability * weight[..., None]).sum(dim=0))
        return self.to_user(code.cpu().numpy())

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> SegmentedCategorical:
        """Categorical distribution of every cell."""
        from skvae.likelihoods._level_distributions import SegmentedCategorical

        logits = parameters["logits"]
        return SegmentedCategorical(
            logits,
            self.tensor("block_offset_", logits),
            self.tensor("block_column_", logits),
            self.blocks_,
        )
