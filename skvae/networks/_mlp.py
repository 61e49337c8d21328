"""Multilayer perceptrons with a leading replica axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from skvae._sklearn_compat import StrOptions
from skvae.networks._base import Function, Network, Weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: The activations, and gains that roughly keep the variance of what passes through.
_GAINS = {"silu": math.sqrt(2.0), "relu": math.sqrt(2.0), "gelu": math.sqrt(2.0)}
_GAINS["tanh"] = 1.0

ACTIVATIONS = tuple(_GAINS)


class MLP(Network):
    """Dense layers; the decoder mirrors the encoder.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's hidden layers, in order; the decoder has them in
        reverse. The empty tuple gives a linear encoder and decoder, with a posterior
        variance that is one number for each latent, as in probabilistic PCA.

    activation : {"silu", "relu", "gelu", "tanh"}, default="silu"
        What follows each hidden layer.

    posterior : {"diagonal", "full"}, default="diagonal"
        Covariance of the latents given a row. A full one costs the encoder
        M (M - 1) / 2 more outputs for M latents. Use it where the bound is loose
        because latents that are independent a priori are correlated given a row; a
        diagonal one instead turns the latents until they are not, which keeps them
        easier to tell apart. Without hidden layers the correlations are the same
        for all rows, as the variances are.

    Examples
    --------
    >>> from skvae.networks import MLP
    >>> MLP((64, 32))
    MLP(hidden_layer_sizes=(64, 32))
    """

    _parameter_constraints = {
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "posterior": [StrOptions({"diagonal", "full"})],
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        activation: str = "silu",
        posterior: str = "diagonal",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.posterior = posterior

    def _widths(self) -> tuple[int, ...]:
        """Hidden widths, or ValueError."""
        widths: tuple[Any, ...] = tuple(self.hidden_layer_sizes)
        if not all(isinstance(width, Integral) and int(width) > 0 for width in widths):
            raise ValueError(
                "hidden_layer_sizes must hold positive integers, the width of each "
                f"hidden layer, got {widths}."
            )
        return widths

    def encoder(self, n_inputs: int, n_components: int) -> Function:
        """Build the encoder."""
        n_below = 0
        if self.posterior == "full":
            n_below = n_components * (n_components - 1) // 2
        return _Encoder(
            n_inputs, self._widths(), n_components, self.activation, n_below
        )

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder."""
        widths = (n_components, *reversed(self._widths()), n_outputs)
        return _Layers("decoder", widths, self.activation)


class _Layers:
    """Dense layers; an activation stands between two, none after the last."""

    def __init__(self, name: str, widths: tuple[int, ...], activation: str) -> None:
        self.activation = activation
        self.names = [f"{name}.{i}" for i in range(len(widths) - 1)]
        self.shapes: dict[str, tuple[int, ...]] = {}
        for layer, n_in, n_out in zip(self.names, widths[:-1], widths[1:], strict=True):
            self.shapes[f"{layer}.weight"] = (n_in, n_out)
            self.shapes[f"{layer}.bias"] = (n_out,)

    def init(self, generator: torch.Generator) -> Weights:
        """Draw weights that about keep the variance of rows; biases are zero."""
        weights = {}
        for layer in self.names:
            gain = _GAINS[self.activation] if layer != self.names[-1] else 1.0
            shape = self.shapes[f"{layer}.weight"]
            weights[f"{layer}.weight"] = _uniform(shape, gain, generator)
            weights[f"{layer}.bias"] = _zeros(self.shapes[f"{layer}.bias"])
        return weights

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows through the layers."""
        for layer in self.names[:-1]:
            x = _activate(dense(weights, layer, x), self.activation)
        return dense(weights, self.names[-1], x)


class _Encoder:
    """Hidden layers below linear heads: posterior mean, log-variance, correlations."""

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        n_components: int,
        activation: str,
        n_below: int,
    ) -> None:
        # One matrix product serves all heads. Without a hidden layer the
        # log-variance has nothing to read but the raw row, where a linear function
        # of it could only extrapolate, so that it is a bias alone.
        self.n_components = n_components
        self.is_linear = not hidden
        n_outputs = n_components if self.is_linear else 2 * n_components + n_below
        self.layers = _Layers("encoder", (n_inputs, *hidden, n_outputs), activation)
        self.shapes = dict(self.layers.shapes)
        self.constants: dict[str, tuple[int, ...]] = {}
        if self.is_linear:
            self.constants["encoder.log_variance"] = (n_components,)
            if n_below:
                self.constants["encoder.below_diagonal"] = (n_below,)
        self.shapes |= self.constants

    def init(self, generator: torch.Generator) -> Weights:
        """Draw weights; the posterior covariance starts at the prior's."""
        weights = self.layers.init(generator)
        for name, shape in self.constants.items():
            weights[name] = _zeros(shape)
        if not self.is_linear:
            last = weights[f"{self.layers.names[-1]}.weight"]
            last[:, self.n_components :] = 0.0
        return weights

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Posterior mean, log-variance and any correlations side by side."""
        output = self.layers(weights, x)
        if not self.is_linear:
            return output
        constants = [weights[name][:, None, :] for name in self.constants]
        return _side_by_side(
            output,
            *(part.expand(-1, output.shape[1], -1) for part in constants),
        )


def dense(weights: Weights, layer: str, x: Tensor) -> Tensor:
    """Affine map of rows by each replica's weights.

    Rows without a replica axis are the same for all replicas.
    """
    weight = weights[f"{layer}.weight"]
    bias = weights[f"{layer}.bias"][:, None, :]
    if x.ndim == 2:
        x = x.expand(len(weight), -1, -1)
    return bias.baddbmm(x, weight)


def _activate(x: Tensor, activation: str) -> Tensor:
    from torch.nn import functional

    return x.tanh() if activation == "tanh" else getattr(functional, activation)(x)


def _side_by_side(*parts: Tensor) -> Tensor:
    import torch

    return torch.cat(parts, dim=-1)


def _uniform(shape: tuple[int, ...], gain: float, generator: torch.Generator) -> Tensor:
    import torch

    bound = gain * math.sqrt(3.0 / shape[0])
    unit = torch.rand(shape, dtype=torch.float64, generator=generator)
    return bound * (2.0 * unit - 1.0)


def _zeros(shape: tuple[int, ...]) -> Tensor:
    import torch

    return torch.zeros(shape, dtype=torch.float64)
