"""Multilayer perceptrons that are told the beta of each row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from skvae.networks._base import Function, Network, Pullback, Weights
from skvae.networks._gates import (
    EPS,
    ROOT,
    SIGMOID,
    GatedLayers,
    affine,
    repeated,
    split,
    to_affine,
)
from skvae.networks._layers import Layers, float64, zeros

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from skvae._linear_model import LinearWeights
    from skvae.networks._mlp import MLP

# The log-variance of a latent whose gate is closed: as good as the prior's.
_CLOSED = math.log1p(-EPS)

# Of the gates of latents that have no closed form to start at: the posterior variance
# is below the prior's all over the range.
_SLOPE, _OFFSET = 0.5, -1.0

_ROOT_3 = math.sqrt(3.0)


class GatedMLP(Network):
    r"""An MLP for every beta of a range, with gates that open and close with it.

    Rows and latents have one more column, the last: eta, from -sqrt(3) at the lowest
    beta to sqrt(3) at the highest. It has no gradient, and the gradient of the rows
    has no column for it. At one eta, which `at` asks for, a gated function is the
    plain one with other weights.

    Parameters
    ----------
    plain : MLP
        The network at one beta.
    slope : float
        By how much log beta rises with eta.

    Notes
    -----
    With :math:`\theta_0` the lowest beta and :math:`a_j(\eta)` an affine map for each
    latent, the linear path of the encoder gives the posterior mean
    :math:`\sqrt{1 - e^{a_j}}\, (x V + c)_j` and adds :math:`\min(a_j, 0)` to the
    log-variance; that of the decoder reads :math:`\sqrt{1 - e^{a'_j}}\, z_j`. With
    :math:`a_j = a'_j = \log \beta - \log l_j` this is the optimum of the linear model
    at every beta.
    """

    def __init__(self, plain: MLP, slope: float) -> None:
        self.plain = plain
        self.slope = slope

    @property
    def posterior(self) -> str:  # type: ignore[override]
        """What the encoder describes."""
        return self.plain.posterior

    @property
    def starts_linear(self) -> bool:
        """Whether training starts at a linear model where the likelihood has one."""
        return self.plain.starts_linear

    @property
    def at_one_beta(self) -> Network:
        """The network that this is at one beta."""
        return self.plain

    def encoder(self, n_inputs: int, n_components: int) -> Function:
        """Build the encoder, of rows with one more column."""
        plain = self.plain
        n_below = 0
        if plain.posterior == "full":
            n_below = n_components * (n_components - 1) // 2
        return _GatedEncoder(
            n_inputs,
            plain.widths(),
            n_components,
            plain.activation,
            plain.linear_path,
            n_below,
            self.slope,
        )

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder, of latents with one more column."""
        plain = self.plain
        widths = (n_components, *reversed(plain.widths()), n_outputs)
        return _GatedDecoder(widths, plain.activation, plain.linear_path, self.slope)


class _Gated(Function):
    """What gated encoders and decoders have in common: gates of the latents."""

    def __init__(
        self, name: str, stack: GatedLayers | None, n_components: int, slope: float
    ) -> None:
        self.stack, self.slope = stack, slope
        self.gate = f"{name}.latent_gate"
        self.shapes = {} if stack is None else dict(stack.shapes)
        self.shapes[self.gate] = (2, n_components)
        self.gates = [self.gate] if stack is None else [self.gate, stack.gate]

    def _draw(self, generator: torch.Generator) -> Weights:
        """Weights of the layers, gates that are open, and zeros."""
        weights = {name: zeros(shape) for name, shape in self.shapes.items()}
        if self.stack is not None:
            weights |= self.stack.draw(generator)
        if self.gate in weights:
            weights[self.gate][0], weights[self.gate][1] = _SLOPE, _OFFSET
        return weights

    def _start_gate(self, weights: Weights, start: LinearWeights) -> Tensor:
        """Set the gate of each latent to what is optimal; return it at the start."""
        at_start = float64(start.log_variance)
        weights[self.gate][0] = self.slope
        # The start is the optimum at the lowest beta.
        weights[self.gate][1] = at_start + self.slope * _ROOT_3
        return ROOT.forward(at_start)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows whose last column is eta."""
        return self.vjp(weights, x, to_rows=False)[0]

    def at(self, weights: Weights, eta: Tensor) -> Weights:
        """Weights of the plain function at some etas.

        Parameters
        ----------
        weights : dict of str to Tensor
            Replica axis first.
        eta : Tensor of shape (n_etas,)

        Returns
        -------
        weights : dict of str to Tensor
            With n_replicas * n_etas replicas: all etas of the first, then of the next.
        """
        any_weight = next(iter(weights.values()))
        _, place = split(eta[:, None].to(any_weight), len(any_weight))
        at = {
            name: repeated(weights[name], place)
            for name in self.shapes
            if name != self.gate
        }
        if self.stack is not None:
            at |= self.stack.at(weights, place)
            del at[self.stack.gate]
        if self.gate in self.shapes:
            self._fold(at, affine(weights[self.gate], place).flatten(0, 1))
        return at

    def _fold(self, at: Weights, latent: Tensor) -> None:
        """Put the gates of the latents into repeated weights."""
        raise NotImplementedError


class _GatedEncoder(_Gated):
    """Gated layers below the heads, and a gated linear map to the mean beside them."""

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        n_components: int,
        activation: str,
        linear_path: bool,
        n_below: int,
        slope: float,
    ) -> None:
        stack = None
        if hidden:
            widths = (n_inputs, *hidden, 2 * n_components + n_below)
            stack = GatedLayers("encoder", widths, activation, SIGMOID)
        super().__init__("encoder", stack, n_components, slope)
        self.n_components = n_components
        # Names as in the plain encoder; the bias of the linear map is behind a gate
        # that the bias of the layers is not behind.
        self.linear, self.bias = "encoder.linear", "encoder.linear_bias"
        self.below = ""
        if stack is None:
            self.linear, self.bias = "encoder.0.weight", "encoder.0.bias"
            if n_below:
                self.below = "encoder.below_diagonal"
                self.shapes[self.below] = (n_below,)
        self.has_linear = linear_path or stack is None
        if self.has_linear:
            self.shapes[self.linear] = (n_inputs, n_components)
            self.shapes[self.bias] = (n_components,)

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values, or begin at those of the linear model at every beta."""
        weights = self._draw(generator)
        if self.stack is not None:
            last = weights[f"{self.stack.names[-1]}.weight"]
            last[:, self.n_components :] = 0.0
            if start is not None:
                last.zero_()
        elif start is None:
            plain = Layers("encoder", self.shapes[self.linear], "silu", 0)
            weights |= plain.draw(generator)
        if start is not None:
            encoder = float64(start.encoder) / self._start_gate(weights, start)
            # Inputs beyond those of the linear model count for nothing at first.
            weights[self.linear][len(encoder) :] = 0.0
            weights[self.linear][: len(encoder)] = encoder
            weights[self.bias] = -float64(start.center) @ encoder
        return weights

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        import torch

        n = self.n_components
        x, place = split(x, len(weights[self.gate]))
        latent = affine(weights[self.gate], place)
        log_variance, gate = latent.clamp(max=_CLOSED), ROOT.forward(latent)
        beside = None
        if self.has_linear:
            beside = weights[self.bias][:, None].baddbmm(x, weights[self.linear])
        if self.stack is None:
            assert beside is not None
            parts = [gate * beside, log_variance]
            if self.below:
                below = weights[self.below][:, None]
                parts.append(below.expand(-1, x.shape[1], -1))
            output = torch.cat(parts, dim=-1)
        else:
            output, tape = self.stack.forward_at(weights, x, place)
            output[..., n : 2 * n] += log_variance
            if beside is not None:
                output[..., :n].addcmul_(gate, beside)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            to_mean = to_output[..., :n]
            to_latent = to_output[..., n : 2 * n] * (latent < _CLOSED)
            to_x = None
            if self.stack is not None:
                to_x = self.stack.backward_at(
                    weights, tape, place, to_output, gradients, to_rows
                )
            if self.below:
                torch.sum(to_output[..., 2 * n :], dim=1, out=gradients[self.below])
            if beside is not None:
                to_latent += ROOT.backward(to_mean * beside, gate)
                to_beside = to_mean * gate
                torch.bmm(x.mT, to_beside, out=gradients[self.linear])
                torch.sum(to_beside, dim=1, out=gradients[self.bias])
                if to_rows:
                    of_linear = to_beside.bmm(weights[self.linear].mT)
                    to_x = of_linear if to_x is None else to_x + of_linear
            to_affine(place, to_latent, gradients[self.gate])
            return to_x

        return output, pullback

    def _fold(self, at: Weights, latent: Tensor) -> None:
        """Put the gates of the latents into repeated weights."""
        gate, log_variance = ROOT.forward(latent), latent.clamp(max=_CLOSED)
        if self.stack is None:
            at[self.linear] = at[self.linear] * gate[:, None]
            at[self.bias] = at[self.bias] * gate
            at["encoder.log_variance"] = log_variance
            return
        n, last = self.n_components, f"{self.stack.names[-1]}.bias"
        at[last] = at[last].clone()
        at[last][:, n : 2 * n] += log_variance
        if self.has_linear:
            at[self.linear] = at[self.linear] * gate[:, None]
            at[last][:, :n] += at.pop(self.bias) * gate


class _GatedDecoder(_Gated):
    """Gated layers, and a linear map of gated latents beside them."""

    def __init__(
        self,
        widths: tuple[int, ...],
        activation: str,
        linear_path: bool,
        slope: float,
    ) -> None:
        stack = None
        if len(widths) > 2:
            stack = GatedLayers("decoder", widths, activation, ROOT)
        super().__init__("decoder", stack, widths[0], slope)
        self.linear, self.bias = "decoder.linear", f"decoder.{len(widths) - 2}.bias"
        if stack is None:
            self.linear = "decoder.0.weight"
            self.shapes[self.bias] = (widths[-1],)
        self.has_linear = linear_path or stack is None
        if self.has_linear:
            self.shapes[self.linear] = (widths[0], widths[-1])
        else:
            del self.shapes[self.gate]

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values, or begin at those of the linear model at every beta."""
        weights = self._draw(generator)
        if self.stack is None and start is None:
            plain = Layers("decoder", self.shapes[self.linear], "silu", 0)
            weights |= plain.draw(generator)
        if start is not None:
            if self.stack is not None:
                weights[f"{self.stack.names[-1]}.weight"].zero_()
            gate = self._start_gate(weights, start)
            weights[self.linear] = float64(start.decoder) / gate[:, None]
            weights[self.bias] = float64(start.bias)
        return weights

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        import torch

        z, place = split(x, len(weights[self.bias]))
        if self.has_linear:
            gate = ROOT.forward(affine(weights[self.gate], place))
            gated = gate * z
        if self.stack is None:
            output = weights[self.bias][:, None].baddbmm(gated, weights[self.linear])
        else:
            output, tape = self.stack.forward_at(weights, z, place)
            if self.has_linear:
                output.baddbmm_(gated, weights[self.linear])

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            to_z = None
            if self.stack is None:
                torch.sum(to_output, dim=1, out=gradients[self.bias])
            else:
                to_z = self.stack.backward_at(
                    weights, tape, place, to_output, gradients, to_rows
                )
            if not self.has_linear:
                return to_z
            torch.bmm(gated.mT, to_output, out=gradients[self.linear])
            to_gated = to_output.bmm(weights[self.linear].mT)
            to_latent = ROOT.backward(to_gated * z, gate)
            to_affine(place, to_latent, gradients[self.gate])
            if not to_rows:
                return None
            to_gated.mul_(gate)
            return to_gated if to_z is None else to_z.add_(to_gated)

        return output, pullback

    def _fold(self, at: Weights, latent: Tensor) -> None:
        """Put the gates of the latents into repeated weights."""
        at[self.linear] = at[self.linear] * ROOT.forward(latent)[..., None]
