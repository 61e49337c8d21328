"""Gates: factors in [0, 1] that move with what a whole row is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from skvae.networks._activations import ACTIVATIONS
from skvae.networks._base import Weights
from skvae.networks._layers import Layers, dense

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Smallest square of a `ROOT` gate. A gate of zero would have no gradient to what is
# behind it, and an infinite slope on the way there.
EPS = 1e-3


class Gate(NamedTuple):
    """A gate as a function of an affine map, with its derivative.

    It starts almost open, and closed nowhere in the range: a unit learns where it is
    of no use, and one that is closed everywhere would learn nothing.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    """From the gradient of the gate and the gate to the gradient of the map."""
    offset: float
    """Of the map at the start."""
    slope: float
    """The largest one at the start, either way."""
    in_the_middle: float
    """The gate at its offset."""


def _sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


def _sigmoid_backward(gradient: Tensor, gate: Tensor) -> Tensor:
    import torch

    return torch.ops.aten.sigmoid_backward(gradient, gate)


def _root(x: Tensor) -> Tensor:
    return (-x.expm1()).clamp(min=EPS).sqrt()


def _root_backward(gradient: Tensor, gate: Tensor) -> Tensor:
    import torch

    # Where the gate is closed it does not follow the map.
    closed = math.sqrt(EPS) * (1.0 + 1e-6)
    gradient = torch.ops.aten.threshold_backward(gradient, gate, closed)
    return (gradient * gate).addcdiv_(gradient, gate, value=-1.0).mul_(0.5)


SIGMOID = Gate(
    _sigmoid, _sigmoid_backward, 2.0, 1.0, in_the_middle=1.0 / (1.0 + math.exp(-2.0))
)
ROOT = Gate(
    _root, _root_backward, -2.0, 0.5, in_the_middle=math.sqrt(-math.expm1(-2.0))
)


def affine(weights: Tensor, place: Tensor) -> Tensor:
    """Affine map of the place of each row.

    Parameters
    ----------
    weights : Tensor of shape (n_replicas, 2, n_units)
        Slopes and offsets.
    place : Tensor of shape (n_replicas, n_rows, 2)
        As `split` gives it.
    """
    import torch

    return torch.addcmul(weights[:, 1:], place[..., :1], weights[:, :1])


def split(x: Tensor, n_replicas: int) -> tuple[Tensor, Tensor]:
    """Rows without their last column, and that one beside a column of ones."""
    import torch

    if x.ndim == 2:
        x = x.expand(n_replicas, -1, -1)
    eta = x[..., -1:]
    return x[..., :-1], torch.cat([eta, torch.ones_like(eta)], dim=-1)


class _Tape(NamedTuple):
    """What the way back needs of each layer."""

    rows: list[Tensor]
    before: list[Tensor]
    """What comes out of a layer, before its gate."""
    slopes: list[Tensor]
    """Derivative of the activation after the gate."""
    gates: Tensor
    """Of all hidden units, of shape (n_replicas, n_rows, n_units)."""


class GatedLayers(Layers):
    """Dense layers with a gate and an activation between two.

    The affine maps of all gates are one weight, so that they are one operation.
    """

    def __init__(
        self, name: str, widths: tuple[int, ...], activation: str, gate: Gate
    ) -> None:
        super().__init__(name, widths, activation, n_linear=0)
        self.kind = gate
        self.gate = f"{name}.gate"
        self.hidden = widths[1:-1]
        self.shapes[self.gate] = (2, sum(self.hidden))

    def draw(self, generator: torch.Generator) -> Weights:
        """Weights that about keep the variance of rows, and gates that are open."""
        import torch

        weights = super().draw(generator)
        # The middle of the range starts as the plain network does.
        for layer in self.names[:-1]:
            weights[f"{layer}.weight"] /= self.kind.in_the_middle
        shape = self.shapes[self.gate]
        unit = torch.rand(shape, dtype=torch.float64, generator=generator)
        unit[0] = self.kind.slope * (2.0 * unit[0] - 1.0)
        unit[1] = self.kind.offset
        weights[self.gate] = unit
        return weights

    def forward_at(
        self, weights: Weights, x: Tensor, place: Tensor
    ) -> tuple[Tensor, _Tape]:
        """Output at the places of the rows, and what the way back needs."""
        with_slope = ACTIVATIONS[self.activation].with_slope
        gates = self.kind.forward(affine(weights[self.gate], place))
        tape = _Tape([x], [], [], gates)
        parts = gates.split(self.hidden, dim=-1)
        for layer, gate in zip(self.names[:-1], parts, strict=True):
            tape.before.append(dense(weights, layer, tape.rows[-1]))
            hidden, slope = with_slope(tape.before[-1] * gate)
            tape.rows.append(hidden)
            tape.slopes.append(slope)
        return dense(weights, self.names[-1], tape.rows[-1]), tape

    def backward_at(
        self,
        weights: Weights,
        tape: _Tape,
        place: Tensor,
        to_output: Tensor,
        gradients: Weights,
        to_rows: bool,
    ) -> Tensor | None:
        """Write the gradients of the weights, and return that of the rows."""
        import torch

        gradient, to_gates = to_output, torch.empty_like(tape.gates)
        gates = tape.gates.split(self.hidden, dim=-1)
        parts = to_gates.split(self.hidden, dim=-1)
        for i in range(len(self.names) - 1, -1, -1):
            layer, rows = self.names[i], tape.rows[i]
            torch.bmm(rows.mT, gradient, out=gradients[f"{layer}.weight"])
            torch.sum(gradient, dim=1, out=gradients[f"{layer}.bias"])
            if i > 0 or to_rows:
                gradient = torch.bmm(gradient, weights[f"{layer}.weight"].mT)
            if i > 0:
                gradient.mul_(tape.slopes[i - 1])
                torch.mul(gradient, tape.before[i - 1], out=parts[i - 1])
                gradient.mul_(gates[i - 1])
        to_map = self.kind.backward(to_gates, tape.gates)
        to_affine(place, to_map, gradients[self.gate])
        return gradient if to_rows else None

    def at(self, weights: Weights, place: Tensor) -> Weights:
        """Weights of `Layers` at some places, one after the other for each replica."""
        at = {name: repeated(weights[name], place) for name in self.shapes}
        del at[self.gate]
        gates = self.kind.forward(affine(weights[self.gate], place))
        parts = gates.split(self.hidden, dim=-1)
        for layer, gate in zip(self.names[:-1], parts, strict=True):
            gate = gate.flatten(0, 1)
            at[f"{layer}.weight"] = at[f"{layer}.weight"] * gate[:, None]
            at[f"{layer}.bias"] = at[f"{layer}.bias"] * gate
        return at


def repeated(weight: Tensor, place: Tensor) -> Tensor:
    """Weight of each replica once for each place."""
    return weight.repeat_interleave(place.shape[1], dim=0)


def to_affine(place: Tensor, gradient: Tensor, out: Tensor) -> None:
    """Write the gradient of the weights of an affine map."""
    import torch

    torch.bmm(place.mT, gradient, out=out)
