"""Dense layers with a leading replica axis, and their derivatives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae.networks._activations import ACTIVATIONS
from skvae.networks._base import Function, Pullback, Weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = NDArray[np.floating]


class _Tape(NamedTuple):
    """Intermediate results of each layer for the backward pass."""

    rows: list[Tensor]
    """Its input, of shape (n_replicas, n_rows, n_in)."""
    slopes: list[Tensor]
    """Derivative of the activation after it, at its output."""


class Layers(Function):
    """Dense layers with activations between them, and a linear skip connection.

    The linear map is added to the first `n_linear` outputs; a single layer needs none.
    """

    uses_autograd = False

    def __init__(
        self, name: str, widths: tuple[int, ...], activation: str, n_linear: int
    ) -> None:
        self.activation = activation
        self.n_linear = n_linear if len(widths) > 2 else 0
        self.linear = f"{name}.linear"
        self.names = [f"{name}.{i}" for i in range(len(widths) - 1)]
        self.shapes: dict[str, tuple[int, ...]] = {}
        for layer, n_in, n_out in zip(self.names, widths[:-1], widths[1:], strict=True):
            self.shapes[f"{layer}.weight"] = (n_in, n_out)
            self.shapes[f"{layer}.bias"] = (n_out,)
        if self.n_linear:
            self.shapes[self.linear] = (widths[0], self.n_linear)

    def draw(self, generator: torch.Generator) -> Weights:
        """Draw weights that roughly preserve the variance of rows; the rest is zero."""
        weights = {}
        for layer in self.names:
            gain = ACTIVATIONS[self.activation].gain if layer != self.names[-1] else 1.0
            shape = self.shapes[f"{layer}.weight"]
            weights[f"{layer}.weight"] = _uniform(shape, gain, generator)
            weights[f"{layer}.bias"] = zeros(self.shapes[f"{layer}.bias"])
        if self.n_linear:
            weights[self.linear] = zeros(self.shapes[self.linear])
        return weights

    def start_at(self, weights: Weights, weight: Floats, bias: Floats) -> None:
        """Set the weights to those of an affine map of the first inputs and outputs.

        Other inputs and outputs do not take part at first.
        """
        last = self.names[-1]
        weights[f"{last}.weight"].zero_()
        target = self.linear if self.n_linear else f"{last}.weight"
        n_outputs = len(bias)
        weights[target][: len(weight), :n_outputs] = float64(weight)
        weights[f"{last}.bias"][:n_outputs] = float64(bias)

    def set_bias(self, weights: Weights, bias: Tensor) -> None:
        """Set the bias of the last layer."""
        weights[f"{self.names[-1]}.bias"].copy_(bias)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows through the layers."""
        activate = ACTIVATIONS[self.activation].function
        hidden = x = self._of_each(weights, x)
        for layer in self.names[:-1]:
            hidden = activate(dense(weights, layer, hidden))
        return self._output(weights, x, hidden)

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        with_slope = ACTIVATIONS[self.activation].with_slope
        tape = _Tape([self._of_each(weights, x)], [])
        for layer in self.names[:-1]:
            hidden, slope = with_slope(dense(weights, layer, tape.rows[-1]))
            tape.rows.append(hidden)
            tape.slopes.append(slope)
        output = self._output(weights, tape.rows[0], tape.rows[-1])

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            return self._backward(weights, tape, to_output, gradients, to_rows)

        return output, pullback

    def _of_each(self, weights: Weights, x: Tensor) -> Tensor:
        """Rows for each replica; without an axis for replicas they are the same."""
        if x.ndim == 3:
            return x
        return x.expand(len(weights[f"{self.names[0]}.bias"]), -1, -1)

    def _output(self, weights: Weights, x: Tensor, hidden: Tensor) -> Tensor:
        """Sum of the last layer and the linear map."""
        output = dense(weights, self.names[-1], hidden)
        if self.n_linear:
            output[..., : self.n_linear].baddbmm_(x, weights[self.linear])
        return output

    def _backward(
        self,
        weights: Weights,
        tape: _Tape,
        to_output: Tensor,
        gradients: Weights,
        to_rows: bool,
    ) -> Tensor | None:
        """Write the gradients of the weights, and return that of the rows."""
        import torch

        gradient = to_output
        for i in range(len(self.names) - 1, -1, -1):
            layer, rows = self.names[i], tape.rows[i]
            torch.bmm(rows.mT, gradient, out=gradients[f"{layer}.weight"])
            torch.sum(gradient, dim=1, out=gradients[f"{layer}.bias"])
            if i > 0 or to_rows:
                gradient = torch.bmm(gradient, weights[f"{layer}.weight"].mT)
            if i > 0:
                gradient.mul_(tape.slopes[i - 1])
        if self.n_linear:
            beside = to_output[..., : self.n_linear]
            torch.bmm(tape.rows[0].mT, beside, out=gradients[self.linear])
            if to_rows:
                gradient.baddbmm_(beside, weights[self.linear].mT)
        return gradient if to_rows else None


def dense(weights: Weights, layer: str, x: Tensor) -> Tensor:
    """Affine map of rows by each replica's weights."""
    bias = weights[f"{layer}.bias"].unsqueeze(1)
    return bias.baddbmm(x, weights[f"{layer}.weight"])


def _uniform(shape: tuple[int, ...], gain: float, generator: torch.Generator) -> Tensor:
    import torch

    bound = gain * math.sqrt(3.0 / shape[0])
    unit = torch.rand(shape, dtype=torch.float64, generator=generator)
    return bound * (2.0 * unit - 1.0)


def float64(array: Floats) -> Tensor:
    """Tensor of an array, in float64 on the CPU."""
    import torch

    return torch.tensor(array, dtype=torch.float64)


def zeros(shape: tuple[int, ...]) -> Tensor:
    """Zeros in float64 on the CPU."""
    import torch

    return torch.zeros(shape, dtype=torch.float64)
