"""Distributions of levels, as codes, for many columns at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid, softplus

from skvae.likelihoods._blocks import Block

if TYPE_CHECKING:
    from skvae._torch_compat import Size


class _Few(NamedTuple):
    """Columns of few levels each, whose logits stand side by side: one call for all."""

    offset: Tensor
    """First logit of each column, of shape (n_columns,)."""
    column: Tensor
    """Column of each logit, of shape (n_logits,)."""

    def _reduce(self, values: Tensor, reduction: str) -> Tensor:
        """Largest value or sum of each segment."""
        column = self.column.expand(values.shape)
        reduced = values.new_zeros((*values.shape[:-1], len(self.offset)))
        return reduced.scatter_reduce(-1, column, values, reduction, include_self=False)

    def highest(self, values: Tensor) -> Tensor:
        largest = self._reduce(values, "amax")[..., self.column]
        code = torch.arange(len(self.column), device=values.device)
        code = (code - self.offset[self.column]).to(values.dtype)
        return self._reduce(torch.where(values == largest, code, torch.inf), "amin")

    def log_prob(self, logits: Tensor, code: Tensor) -> Tensor:
        largest = self._reduce(logits.detach(), "amax")
        shifted = logits - largest[..., self.column]
        column = self.column.expand(shifted.shape)
        total = torch.zeros_like(largest).scatter_add(-1, column, shifted.exp())
        return shifted.gather(-1, code + self.offset) - total.log()

    def probabilities(self, logits: Tensor) -> Tensor:
        largest = self._reduce(logits, "amax")
        weight = (logits - largest[..., self.column]).exp()
        return weight / self._reduce(weight, "sum")[..., self.column]


class _Many:
    """One column of many levels, which has a call of its own."""

    def highest(self, values: Tensor) -> Tensor:
        return values.argmax(dim=-1, keepdim=True).to(values.dtype)

    def log_prob(self, logits: Tensor, code: Tensor) -> Tensor:
        return logits.log_softmax(dim=-1).gather(-1, code)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=-1)


class SegmentedCategorical(Distribution):
    """Categorical distributions whose logits stand side by side.

    Parameters
    ----------
    logits : Tensor of shape (..., n_logits)
    offset : Tensor of shape (n_columns,)
        Where each column's logits begin in its block.
    column : Tensor of shape (n_logits,)
        Which column of its block each logit belongs to.
    blocks : sequence of Block
        Columns that are one call each.
    """

    def __init__(
        self, logits: Tensor, offset: Tensor, column: Tensor, blocks: Sequence[Block]
    ) -> None:
        self.logits = logits
        self.blocks = blocks
        self._segments: list[_Few | _Many] = [
            _Many()
            if block.is_wide
            else _Few(offset[block.columns], column[block.places])
            for block in blocks
        ]
        shape = torch.Size((*logits.shape[:-1], len(offset)))
        super().__init__(shape, validate_args=False)

    def highest(self, values: Tensor) -> Tensor:
        """Code of the largest value of each segment, the first of equal ones."""
        return self._joined("highest", values)

    def log_prob(self, value: Tensor) -> Tensor:
        code = value.long().expand(self.batch_shape)
        codes = [code[..., block.columns] for block in self.blocks]
        return self._joined("log_prob", self.logits, codes)

    @property
    def probabilities(self) -> Tensor:
        """Probability of every level, in the shape of the logits."""
        return self._joined("probabilities", self.logits)

    def _joined(self, method: str, values: Tensor, *more: Sequence[Tensor]) -> Tensor:
        """Apply a method to each block, and join the results side by side."""
        parts = [values[..., block.places] for block in self.blocks]
        found = [
            getattr(segments, method)(*own)
            for segments, *own in zip(self._segments, parts, *more, strict=True)
        ]
        return found[0] if len(found) == 1 else torch.cat(found, dim=-1)

    @property
    def mean(self) -> Tensor:
        # Codes of levels without an order have none.
        return torch.full_like(self.mode, torch.nan)

    @property
    def mode(self) -> Tensor:
        return self.highest(self.logits)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        # The largest logit with Gumbel noise is a draw from the distribution.
        noise = torch.empty(
            (*sample_shape, *self.logits.shape),
            dtype=self.logits.dtype,
            device=self.logits.device,
        ).exponential_()
        return self.highest(self.logits - noise.log())


class CumulativeLogit(Distribution):
    """Levels as intervals of a logistic variable between rising thresholds.

    Parameters
    ----------
    location : Tensor of shape (n_replicas, n_rows, n_columns)
    thresholds : Tensor of shape (n_replicas, 1, n_columns, n_thresholds)
        The first one, and the distances as inverses of the softplus function.
    n_levels : Tensor of shape (n_columns,)
        Number of levels of each column; the thresholds beyond these are not used.
    """

    def __init__(self, location: Tensor, thresholds: Tensor, n_levels: Tensor) -> None:
        self.location = location
        self.n_levels = n_levels
        smallest = torch.finfo(location.dtype).tiny
        self._distance = softplus(thresholds[..., 1:]).clamp_min(smallest)
        self._threshold = torch.cat(
            [thresholds[..., :1], thresholds[..., :1] + self._distance.cumsum(-1)], -1
        )
        super().__init__(location.shape, validate_args=False)

    def _pick(self, per_column: Tensor, code: Tensor) -> Tensor:
        """One of a column's numbers for each cell."""
        n_columns, width = per_column.shape[-2:]
        if not width:
            return torch.ones_like(self.location)
        # Every column's numbers in one line: expanded to all cells instead, their
        # gradient would be a tensor of that size.
        line = per_column.flatten(-3).expand(len(self.location), -1)
        first = width * torch.arange(n_columns, device=code.device)
        place = (first + code.clamp(0, width - 1)).flatten(1)
        return line.gather(-1, place).view_as(self.location)

    def log_prob(self, value: Tensor) -> Tensor:
        code = value.long().expand(self.location.shape)
        has_upper, has_lower = code < self.n_levels - 1, code > 0
        below_upper = logsigmoid(self._pick(self._threshold, code) - self.location)
        above_lower = logsigmoid(self.location - self._pick(self._threshold, code - 1))
        distance = self._pick(self._distance, code - 1)
        # s(b) - s(a) is s(b) s(-a) (1 - exp(a - b)), of which nothing cancels.
        between = torch.log(-torch.expm1(-distance))
        return (
            torch.where(has_upper, below_upper, 0.0)
            + torch.where(has_lower, above_lower, 0.0)
            + torch.where(has_upper & has_lower, between, 0.0)
        )

    @property
    def _is_used(self) -> Tensor:
        """Mask of the thresholds of each column, (n_columns, n_thresholds)."""
        code = torch.arange(self._threshold.shape[-1], device=self.location.device)
        return code < self.n_levels[:, None] - 1

    @property
    def mean(self) -> Tensor:
        """Mean code: the sum of the probabilities to be above each threshold."""
        above = (self.location[..., None] - self._threshold).sigmoid()
        return (above * self._is_used).sum(dim=-1)

    @property
    def mode(self) -> Tensor:
        codes = range(self._threshold.shape[-1] + 1)
        log_prob = torch.stack(
            [self.log_prob(torch.full_like(self.location, code)) for code in codes], -1
        )
        code = torch.arange(len(codes), device=self.location.device)
        log_prob = log_prob.masked_fill(code >= self.n_levels[:, None], -torch.inf)
        return log_prob.argmax(dim=-1).to(self.location.dtype)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(
            shape, dtype=self.location.dtype, device=self.location.device
        )
        variable = (self.location + torch.logit(uniform, eps=1e-7))[..., None]
        is_above = (variable > self._threshold) & self._is_used
        return is_above.sum(dim=-1).to(self.location.dtype)
