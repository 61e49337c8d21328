"""Multilayer perceptrons with a leading replica axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval, StrOptions
from skvae.networks._activations import ACTIVATIONS
from skvae.networks._base import Function, Network, Pullback, Weights
from skvae.networks._blocks import HiddenLayers
from skvae.networks._layers import Layers
from skvae.networks._sizes import positive_integers
from skvae.networks._start_values import float64, zeros

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from skvae.linear._model import LinearWeights


class MLP(Network):
    """Dense layers, of which each after the first may be a residual layer.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's hidden layers, in order. The empty tuple gives a
        linear encoder, with a posterior variance that is one number for each latent,
        as in probabilistic PCA.

    activation : str, default="silu"
        Activation after each hidden layer: "silu", "relu", "leaky_relu", "elu", "gelu",
        "tanh" or "softplus".

    linear_path : bool, default=True
        If True, a linear map is added to the layers, from the row to the posterior
        mean and from the latents to the decoder's output. With a Gaussian likelihood
        it starts in closed form at the linear model of the same size, probabilistic
        PCA or factor analysis, and the last layers start at zero: training starts at
        the fit of that model, and the layers add what is not linear. Categorical
        columns take part as indicators. If False, there is no linear map, and
        training starts at random.

    posterior : {"diagonal", "full"}, default="diagonal"
        Covariance of the latents given a row. A full one costs the encoder
        M (M - 1) / 2 more outputs for M latents. Use it where the bound is loose
        because latents that are independent a priori are correlated given a row; a
        diagonal one instead turns the latents until they are not, which keeps them
        easier to tell apart. Without hidden layers the correlations are the same
        for all rows, as the variances are.

    residual : bool, default=False
        If True, a hidden layer adds its input to its output where both have the same
        width: h + f(h) in place of f(h). The first hidden layer, and one whose width
        differs from that of the layer before it, are plain. So (128, 64, 64) has one
        such layer. (128, 64) has none, which is an error.

    layer_norm : bool, default=False
        If True, the input of each hidden layer but the first is standardized, each
        row over its units, as in LayerNorm: f(norm(h)), or h + f(norm(h)) with
        `residual`. Rows themselves, latents and the input of the last layer are not.
        Fewer than two hidden layers in both encoder and decoder are an error.

    decoder_layer_sizes : tuple of int or None, default=None
        Widths of the decoder's hidden layers, in order from the latents to the row.
        If None, it mirrors the encoder: its widths in reverse. The empty tuple gives
        a linear decoder.

    dropout : float, default=0.0
        Fraction of the units of each hidden layer, in [0, 1), that a training step
        leaves out at random for each row. Latents, the linear map and fitted models
        lose nothing, so that scores are the same at every call.

    See Also
    --------
    skvae.balance.RunningAverage : Its `scope` decides which linear model the start is.

    Notes
    -----
    Linear models have the closed forms of [1]_ [2]_. Their weights are those of
    probabilistic PCA where one decoder variance serves all features, of factor analysis
    where each has its own, and of the optimum at beta times the variance where that is
    fixed. With held-out rows, the start is one of the candidates for the best weights.

    Residual layers follow [3]_, with the activation inside of what is added; the
    normalization is that of [4]_ without its scale and shift, which the weights of the
    next layer stand for. Dropout is that of [5]_, with what is left scaled up in
    training; which units are left out is the same for models that are trained side by
    side. With `residual` it acts on what is added.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic principal component
       analysis", JRSS B 61(3), 1999. https://doi.org/10.1111/1467-9868.00196
    .. [2] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469
    .. [3] K. He, X. Zhang, S. Ren and J. Sun, "Identity mappings in deep residual
       networks", ECCV 2016. https://arxiv.org/abs/1603.05027
    .. [4] J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016.
       https://arxiv.org/abs/1607.06450
    .. [5] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov,
       "Dropout: A simple way to prevent neural networks from overfitting", JMLR
       15(56), 2014. https://jmlr.org/papers/v15/srivastava14a.html

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
        "residual": ["boolean"],
        "layer_norm": ["boolean"],
        "decoder_layer_sizes": ["array-like", None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        activation: str = "silu",
        linear_path: bool = True,
        posterior: str = "diagonal",
        residual: bool = False,
        layer_norm: bool = False,
        decoder_layer_sizes: Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.linear_path = linear_path
        self.posterior = posterior
        self.residual = residual
        self.layer_norm = layer_norm
        self.decoder_layer_sizes = decoder_layer_sizes
        self.dropout = dropout

    @property
    def starts_linear(self) -> bool:
        """True if training starts at the linear model of the likelihood, if any."""
        return self.linear_path

    def encoder(self, n_inputs: int, n_components: int) -> Function:
        """Build the encoder."""
        n_below = self.encoder_width(n_components) - 2 * n_components
        return _Encoder(
            n_inputs,
            self._encoder_widths(),
            n_components,
            self._hidden(),
            self.linear_path,
            n_below,
        )

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder."""
        widths = (n_components, *self._decoder_widths(), n_outputs)
        n_linear = n_outputs if self.linear_path else 0
        return _Decoder("decoder", widths, self._hidden(), n_linear)

    def _encoder_widths(self) -> tuple[int, ...]:
        return _widths("hidden_layer_sizes", self.hidden_layer_sizes)

    def _decoder_widths(self) -> tuple[int, ...]:
        if self.decoder_layer_sizes is None:
            return self._encoder_widths()[::-1]
        return _widths("decoder_layer_sizes", self.decoder_layer_sizes)

    def _hidden(self) -> HiddenLayers:
        if self.residual or self.layer_norm or self.dropout:
            self._refuse_idle_settings(self._encoder_widths(), self._decoder_widths())
        return HiddenLayers(
            self.activation, self.residual, self.layer_norm, self.dropout
        )

    def _refuse_idle_settings(self, *both: tuple[int, ...]) -> None:
        """Raise ValueError about a setting that would change no hidden layer."""
        layers = "the hidden layers of encoder {} and decoder {}".format(*both)
        if self.dropout and not any(both):
            raise ValueError(
                f"dropout={self.dropout!r} leaves out units of the hidden layers, and "
                "there are none. Add one, as in hidden_layer_sizes=(128,), or set "
                "dropout=0.0."
            )
        if self.layer_norm and max(map(len, both)) < 2:
            raise ValueError(
                "layer_norm=True standardizes the input of each hidden layer but the "
                f"first, and {layers} have no second one. Add a hidden layer, as in "
                "hidden_layer_sizes=(128, 128), or set layer_norm=False."
            )
        neighbours = [pair for widths in both for pair in pairwise(widths)]
        if self.residual and not any(n_in == n_out for n_in, n_out in neighbours):
            raise ValueError(
                "residual=True adds its input to a hidden layer that has the width of "
                f"the one before it, and {layers} have no such layer. Give two "
                "neighbouring layers one width, as in hidden_layer_sizes=(128, 128), "
                "or set residual=False."
            )


def _widths(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Validated widths of hidden layers."""
    return positive_integers(name, sizes, "the width of each hidden layer")


class _Decoder(Layers):
    """Layers that can start at a linear decoder."""

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values, or take those of a linear model."""
        weights = self.draw(generator)
        if start is not None:
            self.start_at(weights, start.decoder, start.bias)
        return weights


class _Encoder(Function):
    """Hidden layers below linear heads: posterior mean, log-variance, correlations."""

    uses_autograd = False

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[int, ...],
        n_components: int,
        layers: HiddenLayers,
        linear_path: bool,
        n_below: int,
    ) -> None:
        # One matrix product serves all heads. Without a hidden layer the
        # log-variance has nothing to read but the raw row, where a linear function
        # of it could only extrapolate, so that it is a bias alone.
        self.n_components = n_components
        self.is_linear = not hidden
        n_outputs = n_components if self.is_linear else 2 * n_components + n_below
        self.layers = Layers(
            "encoder",
            (n_inputs, *hidden, n_outputs),
            layers,
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

    @property
    def noise_widths(self) -> dict[str, int]:
        """Noise of the layers."""
        return self.layers.noise_widths

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values, or take those of a linear model.

        If drawn, the posterior covariance starts at that of the prior.
        """
        weights, last = self.layers.draw(generator), self.layers.last
        for name, shape in self.constants.items():
            weights[name] = zeros(shape)
        if self.is_linear:
            log_variance = weights["encoder.log_variance"]
        else:
            weights[last.weight][:, self.n_components :] = 0.0
            heads = slice(self.n_components, 2 * self.n_components)
            log_variance = weights[last.bias][heads]
        if start is not None:
            self.layers.start_at(weights, start.encoder, -start.center @ start.encoder)
            log_variance.copy_(float64(start.log_variance))
        return weights

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Posterior mean, log-variance and any correlations side by side."""
        return self._with_constants(weights, self.layers(weights, x))

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its derivatives in closed form."""
        output, from_layers = self.layers.vjp(weights, x, to_rows=to_rows)
        if not self.is_linear:
            return output, from_layers

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            start = self.n_components
            for name, (size,) in self.constants.items():
                part = to_output[..., start : start + size]
                gradients[name].copy_(part.sum(dim=1))
                start += size
            to_mean = to_output[..., : self.n_components].contiguous()
            return from_layers(to_mean, gradients)

        return self._with_constants(weights, output), pullback

    def _with_constants(self, weights: Weights, output: Tensor) -> Tensor:
        """Output, and for a linear encoder the parts that all rows share."""
        import torch

        if not self.is_linear:
            return output
        constants = [weights[name][:, None, :] for name in self.constants]
        beside = [part.expand(-1, output.shape[1], -1) for part in constants]
        return torch.cat([output, *beside], dim=-1)
