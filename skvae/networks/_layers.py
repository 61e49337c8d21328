"""Hidden layers and a last one, with a linear skip connection."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skvae.networks._base import Function, Pullback, Weights
from skvae.networks._blocks import Affine, HiddenLayers
from skvae.networks._start_values import Floats, float64, zeros

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Layers(Function):
    """Hidden layers, an affine map of the last one, and a linear skip connection.

    The linear map is added to the first `n_linear` outputs; a single layer needs none.
    """

    uses_autograd = False

    def __init__(
        self, name: str, widths: Sequence[int], hidden: HiddenLayers, n_linear: int
    ) -> None:
        self.hidden = hidden.build(name, widths[:-1])
        self.last = Affine(f"{name}.{len(self.hidden)}", *widths[-2:])
        self.n_linear = n_linear if self.hidden else 0
        self.linear = f"{name}.linear"
        self.shapes: dict[str, tuple[int, ...]] = {}
        for layer in (*self.hidden, self.last):
            self.shapes |= layer.shapes
        if self.n_linear:
            self.shapes[self.linear] = (widths[0], self.n_linear)

    @functools.cached_property
    def noise_widths(self) -> dict[str, int]:
        """Noise of all layers."""
        widths: dict[str, int] = {}
        for layer in self.hidden:
            widths |= layer.noise_widths
        return widths

    def draw(self, generator: torch.Generator) -> Weights:
        """Draw weights that roughly preserve the variance of rows; the rest is zero."""
        weights: Weights = {}
        for layer in (*self.hidden, self.last):
            weights |= layer.init(generator)
        if self.n_linear:
            weights[self.linear] = zeros(self.shapes[self.linear])
        return weights

    def start_at(self, weights: Weights, weight: Floats, bias: Floats) -> None:
        """Set the weights to those of an affine map of the first inputs and outputs.

        Other inputs and outputs do not take part at first.
        """
        weights[self.last.weight].zero_()
        target = self.linear if self.n_linear else self.last.weight
        n_outputs = len(bias)
        weights[target][: len(weight), :n_outputs] = float64(weight)
        weights[self.last.bias][:n_outputs] = float64(bias)

    def set_bias(self, weights: Weights, bias: Tensor) -> None:
        """Set the bias of the last layer."""
        weights[self.last.bias].copy_(bias)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows through the layers."""
        hidden = x = self._of_each(weights, x)
        for layer in self.hidden:
            hidden = layer(weights, hidden)
        return self._with_linear(weights, x, self.last(weights, hidden))

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        import torch

        hidden = x = self._of_each(weights, x)
        pullbacks: list[Pullback] = []
        for layer in (*self.hidden, self.last):
            # The rows of a layer are the output of another, except for the first.
            to_hidden = to_rows or bool(pullbacks)
            hidden, from_layer = layer.vjp(weights, hidden, to_rows=to_hidden)
            pullbacks.append(from_layer)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            gradient: Tensor | None = to_output
            for from_layer in reversed(pullbacks):
                assert gradient is not None
                gradient = from_layer(gradient, gradients)
            if self.n_linear:
                beside = to_output[..., : self.n_linear]
                torch.bmm(x.mT, beside, out=gradients[self.linear])
                if gradient is not None:
                    gradient.baddbmm_(beside, weights[self.linear].mT)
            return gradient

        return self._with_linear(weights, x, hidden), pullback

    def _of_each(self, weights: Weights, x: Tensor) -> Tensor:
        """Rows for each replica; without an axis for replicas they are the same."""
        if x.ndim == 3:
            return x
        return x.expand(len(weights[self.last.bias]), -1, -1)

    def _with_linear(self, weights: Weights, x: Tensor, output: Tensor) -> Tensor:
        """Output of the layers, and the linear map added in place."""
        if self.n_linear:
            output[..., : self.n_linear].baddbmm_(x, weights[self.linear])
        return output
