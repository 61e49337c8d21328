"""Columns of levels that latents do not explain, held at their frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skvae.likelihoods._categorical import Categorical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skvae.likelihoods._group import Group

# Strength of the pull of a column that is worse than its frequencies on held-out rows:
# its first value, the factors by which it grows or falls with each validation, and its
# largest value. At 1 the prior variance of the logits of K levels is 1 / K.
_FIRST, _GROWTH, _DECAY, _MOST = 4.0, 4.0, 0.5, 256.0


class LevelFrequencies:
    r"""Pull of the logits of levels to the logarithms of their frequencies.

    A column of many levels that latents do not explain is overfitted within a few
    epochs: it costs more nats on new rows than its frequencies do, which are the model
    without latents. Early stopping then ends the training before the other columns are
    learned. So the columns to which that happens get a Gaussian prior about their
    frequencies, with a penalty in nats per row of

    .. math:: \frac{u_c K_c}{2 n} \sum_k (l_k(z) - \log s_k)^2

    for column c with K levels and n rows. The strength u is 0 for all columns that
    explain held-out rows better than their frequencies, and these train as without it.

    Parameters
    ----------
    groups : sequence of Group
        Groups of columns of a table.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = [
            group for group in groups if isinstance(group.likelihood, Categorical)
        ]

    @property
    def n_columns(self) -> int:
        """Number of columns of levels."""
        return sum(len(group.columns) for group in self.groups)

    def excess(
        self, x: Tensor, parameters: dict[str, Tensor], weight: Tensor
    ) -> Tensor:
        """Nats per row that each column costs above what its frequencies cost.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)
        weight : Tensor of shape (n_rows, 1) or (n_rows, n_features)

        Returns
        -------
        nats : Tensor of shape (n_replicas, n_columns)
        """
        import torch

        found = []
        for group in self.groups:
            likelihood, cells = group.likelihood, group.of(x)
            log_prob = likelihood.log_prob(
                cells, group.own(parameters), x.new_empty((1, 0))
            )
            place = cells.long() + likelihood.tensor("offset_", x)
            frequencies = likelihood.tensor("frequency_", x).log()[place]
            found.append(((frequencies - log_prob) * group.of(weight)).sum(dim=1))
        return torch.cat(found, dim=1)

    def penalty(
        self, parameters: dict[str, Tensor], weight: Tensor, pull: Tensor, n_rows: int
    ) -> Tensor:
        """Penalty of each replica, of shape (n_replicas,), in nats per row.

        Parameters
        ----------
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)
        weight : Tensor of shape (n_rows, 1) or (n_rows, n_features)
        pull : Tensor of shape (n_replicas, n_columns)
            Strength of each column.
        n_rows : int
            Rows of the whole table.
        """
        strengths = pull.split([len(group.columns) for group in self.groups], dim=1)
        total = pull.new_zeros(len(pull))
        for group, strength in zip(self.groups, strengths, strict=True):
            likelihood = group.likelihood
            logits = group.own(parameters)["logits"]
            column = likelihood.tensor("column_", logits)
            n_levels = likelihood.tensor("n_levels_", logits)
            frequencies = likelihood.tensor("frequency_", logits).log()
            squares = (logits - frequencies).square()
            cells = group.of(weight)
            if cells.shape[1] > 1:
                cells = cells.index_select(1, column)
            factor = (strength * n_levels / n_rows).index_select(1, column)
            total = total + 0.5 * ((cells * squares).sum(dim=1) * factor).sum(dim=1)
        return total

    @staticmethod
    def moved(pull: Tensor, excess: Tensor) -> Tensor:
        """Strengths after a validation, in the shape of both."""
        import torch

        more = (pull * _GROWTH).clamp(_FIRST, _MOST)
        less = torch.where(pull > 1.0, pull * _DECAY, 0.0)
        return torch.where(excess > 0.0, more, less)
