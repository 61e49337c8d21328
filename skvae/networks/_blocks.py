"""Layers that a network is composed of, and their derivatives.

Weights and rows have the replica axis first. A pullback may overwrite the gradient that
it is given, except that of `Affine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from skvae._torch_compat import layer_norm, layer_norm_backward
from skvae.networks._activations import ACTIVATIONS
from skvae.networks._base import Around, Function, Pullback, Weights
from skvae.networks._start_values import uniform, zeros

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from skvae.linear._model import LinearWeights


class Affine(Function):
    """Affine map of rows by each replica's weights."""

    uses_autograd = False
    gain = 1.0

    def __init__(self, name: str, n_in: int, n_out: int) -> None:
        self.weight, self.bias = f"{name}.weight", f"{name}.bias"
        self.shapes = {self.weight: (n_in, n_out), self.bias: (n_out,)}

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw a weight that roughly preserves the variance of rows; no bias."""
        return {
            self.weight: uniform(self.shapes[self.weight], self.gain, generator),
            self.bias: zeros(self.shapes[self.bias]),
        }

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows."""
        return weights[self.bias].unsqueeze(1).baddbmm(x, weights[self.weight])

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        import torch

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            torch.bmm(x.mT, to_output, out=gradients[self.weight])
            torch.sum(to_output, dim=1, out=gradients[self.bias])
            return torch.bmm(to_output, weights[self.weight].mT) if to_rows else None

        return Affine.__call__(self, weights, x), pullback


class Dense(Affine):
    """Affine map, then the activation."""

    def __init__(self, name: str, n_in: int, n_out: int, activation: str) -> None:
        super().__init__(name, n_in, n_out)
        self.activation = activation
        self.gain = ACTIVATIONS[activation].gain

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows."""
        return ACTIVATIONS[self.activation].function(super().__call__(weights, x))

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        before, from_before = super().vjp(weights, x, to_rows=to_rows)
        output, slope = ACTIVATIONS[self.activation].with_slope(before)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            return from_before(to_output.mul_(slope), gradients)

        return output, pullback


class Dropped(Around):
    """A function some of whose outputs are left out at random while it is trained.

    The others are scaled up for that, so that the function itself is the mean.
    """

    def __init__(self, inner: Function, name: str, width: int, rate: float) -> None:
        super().__init__(inner)
        self.name, self.width, self.kept = name, width, 1.0 - rate
        # Below it is this fraction of standard normal noise.
        self.bound = NormalDist().inv_cdf(rate)

    @property
    def noise_widths(self) -> dict[str, int]:
        """A number for each output of a row."""
        return {self.name: self.width}

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output with some of it left out, and its derivatives in closed form."""
        output, from_inner = self.inner.vjp(weights, x, to_rows=to_rows)
        is_kept = weights[self.name] >= self.bound
        scale = is_kept.to(output.dtype).div_(self.kept)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            return from_inner(to_output.mul_(scale), gradients)

        return output * scale, pullback


class Normed(Around):
    """A function of rows that are standardized, each over its features.

    There is no scale and shift as in LayerNorm: they would only change the weights of
    the layer that follows.
    """

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows."""
        return self.inner(weights, layer_norm(x)[0])

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        normed, mean, inverse_scale = layer_norm(x)
        output, from_inner = self.inner.vjp(weights, normed, to_rows=to_rows)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            to_normed = from_inner(to_output, gradients)
            if to_normed is None:
                return None
            return layer_norm_backward(to_normed, x, mean, inverse_scale)

        return output, pullback


class Residual(Around):
    """Rows, and a function of them added."""

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows."""
        return x + self.inner(weights, x)

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        added, from_inner = self.inner.vjp(weights, x, to_rows=to_rows)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            # The inner pullback may overwrite what it is given.
            beside = to_output.clone() if to_rows else to_output
            to_x = from_inner(to_output, gradients)
            return None if to_x is None else to_x.add_(beside)

        return x + added, pullback


class HiddenLayers(NamedTuple):
    """Settings of hidden layers, and the functions that follow from them."""

    activation: str
    residual: bool
    """True to add its input to each layer but the first that has the width of it."""
    layer_norm: bool
    """True to standardize the input of each layer but the first."""
    dropout: float
    """Fraction of the units of each layer that a training step leaves out."""

    def build(self, name: str, widths: Sequence[int]) -> list[Function]:
        """Functions from rows to hidden units, `widths` with that of a row first."""
        layers: list[Function] = []
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            layer: Function = Dense(f"{name}.{i}", n_in, n_out, self.activation)
            if i > 0 and self.layer_norm:
                layer = Normed(layer)
            if self.dropout > 0.0:
                layer = Dropped(layer, f"{name}.{i}.noise", n_out, self.dropout)
            if i > 0 and self.residual and n_in == n_out:
                layer = Residual(layer)
            layers.append(layer)
        return layers
