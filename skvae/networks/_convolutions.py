"""Modules of convolutions: rows that are pictures to numbers, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from skvae.networks._activations import ACTIVATIONS


class Layout(NamedTuple):
    """Settings of the layers, from pictures to latents; the decoder mirrors them."""

    image_shape: tuple[int, int, int]
    """Channels, height and width."""
    channels: tuple[int, ...]
    """Channels of each scale."""
    n_blocks: int
    """Residual blocks of each scale."""
    hidden: tuple[int, ...]
    """Widths of the dense layers between convolutions and latents."""
    activation: str

    @property
    def gain(self) -> float:
        """Initialisation gain that preserves the variance through the activation."""
        return ACTIVATIONS[self.activation].gain

    @property
    def sides(self) -> list[tuple[int, int]]:
        """Height and width of the picture and of each scale."""
        _, height, width = self.image_shape
        return [(height >> i, width >> i) for i in range(len(self.channels) + 1)]

    @property
    def last(self) -> tuple[int, int, int]:
        """Channels, height and width of the last scale."""
        return self.channels[-1], *self.sides[-1]

    def blocks(self, n_channels: int) -> list[nn.Module]:
        """Residual blocks of a scale, which add as much variance in all as they get."""
        gain = self.gain / math.sqrt(max(1, self.n_blocks * len(self.channels)))
        return [Block(self, n_channels, gain) for _ in range(self.n_blocks)]


class Activation(nn.Module):
    """An activation of torch, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """Map numbers."""
        y: Tensor = getattr(functional, self.name)(x)
        return y


class Block(nn.Sequential):
    """A picture, and two convolutions of it added, each after the activation."""

    def __init__(self, layout: Layout, n_channels: int, gain_of_last: float) -> None:
        layers: list[nn.Module] = []
        for gain in (layout.gain, gain_of_last):
            layer = nn.Conv2d(n_channels, n_channels, 3, padding=1)
            draw(layer, 9 * n_channels, gain)
            layers += [Activation(layout.activation), layer]
        super().__init__(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures of shape (n_rows, n_channels, height, width)."""
        added: Tensor = super().forward(x)
        return x + added


def picture_encoder(
    layout: Layout, n_outputs: int, n_inputs: int, n_components: int
) -> nn.Module:
    """Strided convolutions and residual blocks, then dense layers.

    Parameters
    ----------
    layout : Layout
    n_outputs : int
        Numbers for each row: mean, log-variance and correlations of `n_components`
        latents. All but the mean start at zero.
    n_inputs : int
        Width of a row: pixels of all channels, and with a mask twice as many.
    n_components : int
    """
    sides = layout.sides[0]
    widths = n_inputs // math.prod(sides), *layout.channels
    layers: list[nn.Module] = [nn.Unflatten(1, (widths[0], *sides))]
    gain = 1.0
    for n_in, n_out in pairwise(widths):
        down = nn.Conv2d(n_in, n_out, 4, stride=2, padding=1)
        draw(down, 16 * n_in, gain)
        layers += [down, *layout.blocks(n_out), Activation(layout.activation)]
        gain = layout.gain
    layers += [nn.Flatten(), *dense(layout, (math.prod(layout.last), *layout.hidden))]
    last = nn.Linear([math.prod(layout.last), *layout.hidden][-1], n_outputs)
    draw(last, last.in_features, gain)
    with torch.no_grad():
        last.weight[n_components:] = 0.0
    return nn.Sequential(*layers, last)


def picture_decoder(layout: Layout, n_components: int, n_outputs: int) -> nn.Module:
    """Dense layers, then residual blocks and strided transposed convolutions.

    Parameters
    ----------
    layout : Layout
    n_components : int
    n_outputs : int
        Width of a row: pixels of all channels, for each parameter of the likelihood.
    """
    sides = layout.sides
    widths = n_outputs // math.prod(sides[0]), *layout.channels
    dense_widths = n_components, *layout.hidden[::-1], math.prod(layout.last)
    *layers, _ = dense(layout, dense_widths, 1.0)
    layers.append(nn.Unflatten(1, layout.last))
    for i in reversed(range(len(layout.channels))):
        n_out, n_in = widths[i : i + 2]
        # A side that is odd lost a pixel.
        odd = sides[i][0] % 2, sides[i][1] % 2
        up = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, output_padding=odd)
        draw(up, 4 * n_in, layout.gain)
        layers += [*layout.blocks(n_in), Activation(layout.activation), up]
    return nn.Sequential(*layers, nn.Flatten())


def dense(
    layout: Layout, widths: Sequence[int], first: float | None = None
) -> list[nn.Module]:
    """Dense layers, each with an activation.

    Parameters
    ----------
    layout : Layout
    widths : sequence of int
    first : float or None, default=None
        Gain of the first layer; None where that follows an activation too.
    """
    layers: list[nn.Module] = []
    gain = layout.gain if first is None else first
    for n_in, n_out in pairwise(widths):
        layer = nn.Linear(n_in, n_out)
        draw(layer, n_in, gain)
        layers += [layer, Activation(layout.activation)]
        gain = layout.gain
    return layers


def draw(layer: nn.Module, n_inputs: int, gain: float) -> None:
    """Draw a layer's weights so that the variance of what it is given is preserved.

    Parameters
    ----------
    layer : nn.Module
        With `weight` and `bias`, which is set to zero.
    n_inputs : int
        Numbers that each of its outputs is a sum over.
    gain : float
    """
    bound = gain * math.sqrt(3.0 / n_inputs)
    nn.init.uniform_(layer.get_parameter("weight"), -bound, bound)
    nn.init.zeros_(layer.get_parameter("bias"))
