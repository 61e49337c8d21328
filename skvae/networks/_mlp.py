"""Multilayer perceptrons with a leading replica axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skvae._sklearn_compat import StrOptions
from skvae.networks._base import Function, Network, Weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from skvae._linear_model import LinearWeights

Floats = NDArray[np.floating]

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

    linear_path : bool, default=True
        Whether a linear map stands beside the layers, from the row to the posterior
        mean and from the latents to the decoder's output. With a Gaussian likelihood
        it starts in closed form at the linear model of the same size, probabilistic
        PCA or factor analysis, and the last layers start at zero: training starts
        from what those reach, and the layers add what is not linear. False starts
        at random, without the linear map.

    posterior : {"diagonal", "full"}, default="diagonal"
        Covariance of the latents given a row. A full one costs the encoder
        M (M - 1) / 2 more outputs for M latents. Use it where the bound is loose
        because latents that are independent a priori are correlated given a row; a
        diagonal one instead turns the latents until they are not, which keeps them
        easier to tell apart. Without hidden layers the correlations are the same
        for all rows, as the variances are.

    See Also
    --------
    skvae.balance.RunningAverage : Its `scope` decides which linear model the start is.

    Notes
    -----
    Linear models have the closed forms of [1]_ [2]_. Their weights are those of
    probabilistic PCA where one decoder variance serves all features, of factor analysis
    where each has its own, and of the optimum at beta times the variance where that is
    fixed. With held-out rows, `fit` counts the start among the weights to choose from.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic principal component
       analysis", JRSS B 61(3), 1999. https://doi.org/10.1111/1467-9868.00196
    .. [2] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469

    Examples
    --------
    >>> from skvae.networks import MLP
    >>> MLP((64, 32))
    MLP(hidden_layer_sizes=(64, 32))
    """

    _parameter_constraints = {
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "linear_path": ["boolean"],
        "posterior": [StrOptions({"diagonal", "full"})],
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        activation: str = "silu",
        linear_path: bool = True,
        posterior: str = "diagonal",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.linear_path = linear_path
        self.posterior = posterior

    @property
    def starts_linear(self) -> bool:
        """Whether training starts at a linear model where the likelihood has one."""
        return self.linear_path

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
            n_inputs,
            self._widths(),
            n_components,
            self.activation,
            self.linear_path,
            n_below,
        )

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder."""
        widths = (n_components, *reversed(self._widths()), n_outputs)
        n_linear = n_outputs if self.linear_path else 0
        return _Decoder("decoder", widths, self.activation, n_linear)


class _Layers:
    """Dense layers with an activation between two, and a linear map beside them.

    The linear map leads to the first `n_linear` outputs; a single layer needs none.
    """

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
        """Weights that about keep the variance of rows; all else is zero."""
        weights = {}
        for layer in self.names:
            gain = _GAINS[self.activation] if layer != self.names[-1] else 1.0
            shape = self.shapes[f"{layer}.weight"]
            weights[f"{layer}.weight"] = _uniform(shape, gain, generator)
            weights[f"{layer}.bias"] = _zeros(self.shapes[f"{layer}.bias"])
        if self.n_linear:
            weights[self.linear] = _zeros(self.shapes[self.linear])
        return weights

    def start_at(self, weights: Weights, weight: Floats, bias: Floats) -> None:
        """Set the weights to those of an affine map to the first outputs."""
        last = self.names[-1]
        weights[f"{last}.weight"].zero_()
        target = self.linear if self.n_linear else f"{last}.weight"
        n_outputs = len(bias)
        weights[target][:, :n_outputs] = _tensor(weight)
        weights[f"{last}.bias"][:n_outputs] = _tensor(bias)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows through the layers."""
        first, last = x, self.names[-1]
        for layer in self.names[:-1]:
            x = _activate(dense(weights, layer, x), self.activation)
        if not self.n_linear:
            return dense(weights, last, x)
        bias = weights[f"{last}.bias"][:, None, :]
        beside = dense_map(bias, first, self._padded(weights))
        return dense_map(beside, x, weights[f"{last}.weight"])

    def _padded(self, weights: Weights) -> Tensor:
        """The linear map to all outputs, zero to those that it does not lead to."""
        from torch.nn.functional import pad

        linear = weights[self.linear]
        n_outputs = self.shapes[f"{self.names[-1]}.bias"][0]
        if self.n_linear == n_outputs:
            return linear
        return pad(linear, (0, n_outputs - self.n_linear))


class _Decoder(_Layers):
    """Layers that can start at a linear decoder."""

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values, or begin at those of a linear model."""
        weights = self.draw(generator)
        if start is not None:
            self.start_at(weights, start.decoder, start.center)
        return weights


class _Encoder:
    """Hidden layers below linear heads: posterior mean, log-variance, correlations."""

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        n_components: int,
        activation: str,
        linear_path: bool,
        n_below: int,
    ) -> None:
        # One matrix product serves all heads. Without a hidden layer the
        # log-variance has nothing to read but the raw row, where a linear function
        # of it could only extrapolate, so that it is a bias alone.
        self.n_components = n_components
        self.is_linear = not hidden
        n_outputs = n_components if self.is_linear else 2 * n_components + n_below
        self.layers = _Layers(
            "encoder",
            (n_inputs, *hidden, n_outputs),
            activation,
            # A log-variance that is linear in the row could only extrapolate.
            n_components if linear_path else 0,
        )
        self.shapes = dict(self.layers.shapes)
        self.constants: dict[str, tuple[int, ...]] = {}
        if self.is_linear:
            self.constants["encoder.log_variance"] = (n_components,)
            if n_below:
                self.constants["encoder.below_diagonal"] = (n_below,)
        self.shapes |= self.constants

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values, or begin at those of a linear model.

        Drawn, the posterior covariance starts at the prior's.
        """
        weights, last = self.layers.draw(generator), self.layers.names[-1]
        for name, shape in self.constants.items():
            weights[name] = _zeros(shape)
        if self.is_linear:
            log_variance = weights["encoder.log_variance"]
        else:
            weights[f"{last}.weight"][:, self.n_components :] = 0.0
            heads = slice(self.n_components, 2 * self.n_components)
            log_variance = weights[f"{last}.bias"][heads]
        if start is not None:
            self.layers.start_at(weights, start.encoder, -start.center @ start.encoder)
            log_variance.copy_(_tensor(start.log_variance))
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
    bias = weights[f"{layer}.bias"][:, None, :]
    return dense_map(bias, x, weights[f"{layer}.weight"])


def dense_map(beside: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Product of rows and each replica's weight, added to what stands beside it."""
    if x.ndim == 2:
        x = x.expand(len(weight), -1, -1)
    return beside.baddbmm(x, weight)


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


def _tensor(array: Floats) -> Tensor:
    import torch

    return torch.tensor(array, dtype=torch.float64)


def _zeros(shape: tuple[int, ...]) -> Tensor:
    import torch

    return torch.zeros(shape, dtype=torch.float64)
