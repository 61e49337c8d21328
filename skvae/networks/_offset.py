"""A function with an offset, so that training can start at any output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skvae.networks._base import Around, Function, Pullback, Weights
from skvae.networks._start_values import zeros

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from skvae.linear._model import LinearWeights


class Offset(Around):
    """A function of latents, and one number for each of its outputs added.

    The offset makes a decoder start at the distribution of each column, whatever the
    start values of the function are.
    """

    def __init__(self, name: str, inner: Function, n_inputs: int, n_out: int) -> None:
        super().__init__(inner)
        self.name, self.n_inputs = name, n_inputs
        self.shapes = {**inner.shapes, name: (n_out,)}

    @property
    def cells_per_row(self) -> int:
        """Numbers that the widest layer holds for a row."""
        return max(self.inner.cells_per_row, *self.shapes[self.name])

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values; no offset."""
        offset = zeros(self.shapes[self.name])
        return {**self.inner.init(generator, start), self.name: offset}

    def set_bias(self, weights: Weights, bias: Tensor) -> None:
        """Set the offset to what the function lacks of `bias`."""
        replica = {name: weight[None] for name, weight in weights.items()}
        at_zero = self.inner(replica, zeros((1, 1, self.n_inputs)))[0, 0]
        weights[self.name].copy_(bias - at_zero)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows."""
        return self.inner(weights, x) + weights[self.name].unsqueeze(1)

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its vector-Jacobian product."""
        output, from_inner = self.inner.vjp(weights, x, to_rows=to_rows)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            gradients[self.name].copy_(to_output.sum(dim=1))
            return from_inner(to_output, gradients)

        return output + weights[self.name].unsqueeze(1), pullback
