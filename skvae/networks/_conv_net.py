"""Convolutional networks, for rows that are pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval, StrOptions
from skvae.networks._activations import ACTIVATIONS
from skvae.networks._base import Function, Network, Widths
from skvae.networks._offset import Offset
from skvae.networks._sizes import positive_integers

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.networks._convolutions import Layout


class ConvNet(Network):
    """Strided convolutions with residual blocks, for rows that are pictures.

    A row is a picture, flattened with its channels first:
    ``X = pictures.reshape(len(pictures), -1)`` for an array of shape
    (n_samples, channels, height, width).

    Parameters
    ----------
    image_shape : tuple of three int
        Channels, height and width of the pictures, such as (1, 28, 28). Their product
        is the number of columns.

    channels : tuple of int, default=(16, 32)
        Channels of each scale. A scale starts with a convolution of 4 x 4 pixels
        that halves height and width, rounded down.

    n_blocks : int, default=1
        Residual blocks of each scale: two convolutions of 3 x 3 pixels, each after the
        activation, are added to the picture.

    hidden_layer_sizes : tuple of int, default=(128,)
        Widths of the dense layers between the last scale and the latents.

    activation : str, default="silu"
        One of those of `MLP`.

    posterior : {"diagonal", "full"}, default="diagonal"
        Covariance of the latents given a row, as in `MLP`.

    See Also
    --------
    TorchNetwork : Any other layers.

    Notes
    -----
    The decoder mirrors the encoder, with transposed convolutions, and a bias of its own
    for each pixel, so that training starts at the distribution of each pixel. Any
    likelihood will do that is one for all columns and has the same number of
    parameters for each. There is no linear start.

    Where cells are missing, a mask is an input beside the pixels: one channel more for
    each channel of the picture.

    The scales are those of [1]_ at a size of one's choice, with the blocks of [2]_.
    There is no BatchNorm, as rows would depend on those beside them.

    References
    ----------
    .. [1] A. Asperti and M. Trentin, "Balancing reconstruction error and
       Kullback-Leibler divergence in variational autoencoders", IEEE Access 8,
       2020. https://arxiv.org/abs/2002.07514
    .. [2] K. He, X. Zhang, S. Ren and J. Sun, "Identity mappings in deep residual
       networks", ECCV 2016. https://arxiv.org/abs/1603.05027

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import BalancedVAE
    >>> from skvae.networks import ConvNet
    >>> X = load_digits().data[:200]
    >>> vae = BalancedVAE(
    ...     4,
    ...     network=ConvNet((1, 8, 8), channels=(8, 16)),
    ...     likelihood="gaussian",
    ...     max_iter=3,
    ...     tol=1.0,
    ...     random_state=0,
    ... ).fit(X)
    >>> vae.inverse_transform(vae.transform(X)).shape
    (200, 64)
    """

    _parameter_constraints = {
        "image_shape": ["array-like"],
        "channels": ["array-like"],
        "n_blocks": [Interval(Integral, 0, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "posterior": [StrOptions({"diagonal", "full"})],
    }

    indicates_every_column = True

    def __init__(
        self,
        image_shape: Sequence[int],
        channels: Sequence[int] = (16, 32),
        n_blocks: int = 1,
        hidden_layer_sizes: Sequence[int] = (128,),
        activation: str = "silu",
        posterior: str = "diagonal",
    ) -> None:
        self.image_shape = image_shape
        self.channels = channels
        self.n_blocks = n_blocks
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.posterior = posterior

    def check(self, widths: Widths, like: Tensor) -> None:
        """Raise an error where rows are not such pictures."""
        n_channels, height, width = self._layout().image_shape
        n_features, n_pixels = widths.n_features, n_channels * height * width
        if n_features != n_pixels:
            raise ValueError(
                f"image_shape={self.image_shape} of ConvNet stands for rows of "
                f"{n_channels} * {height} * {width} = {n_pixels} columns, but the "
                f"table has {n_features}. Pass the image_shape of the pictures, and "
                "each picture as a row: X.reshape(len(X), -1) with channels first."
            )
        n_values = widths.n_inputs.n_values
        is_one = widths.n_likelihoods == 1
        if not is_one or n_values != n_features or widths.n_outputs % n_features:
            raise ValueError(
                "ConvNet needs one likelihood for all pixels, with one input and the "
                "same number of parameters for each, but the likelihood has "
                f"{widths.n_likelihoods} groups of columns, {n_values} inputs "
                f"and {widths.n_outputs} parameters for {n_features} pixels. Use "
                "likelihood='gaussian', 'continuous_bernoulli' or 'bernoulli' in place "
                "of 'auto', of a list or of levels."
            )

    def encoder(self, n_inputs: int, n_components: int) -> Function:
        """Build the encoder."""
        from skvae.networks._convolutions import picture_encoder
        from skvae.networks._module_function import ModuleFunction

        n_outputs = self.encoder_width(n_components)
        make = partial(picture_encoder, self._layout(), n_outputs)
        return ModuleFunction("encoder", make, (n_inputs, n_components))

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder."""
        from skvae.networks._convolutions import picture_decoder
        from skvae.networks._module_function import ModuleFunction

        make = partial(picture_decoder, self._layout())
        inner = ModuleFunction("decoder", make, (n_components, n_outputs))
        return Offset("decoder_offset", inner, n_components, n_outputs)

    def _layout(self) -> Layout:
        """Validated settings of the layers."""
        from skvae.networks._convolutions import Layout

        shape = positive_integers(
            "image_shape", self.image_shape, "channels, height and width of a picture"
        )
        if len(shape) != 3:
            raise ValueError(
                "image_shape must hold three numbers, channels, height and width of a "
                f"picture, got {self.image_shape}. Grey ones have one channel."
            )
        channels = positive_integers(
            "channels", self.channels, "the number of channels of each scale"
        )
        least = 2 ** len(channels)
        if not channels or min(shape[1:]) < least:
            raise ValueError(
                f"channels={self.channels} must hold at least one number, and no more "
                "than pictures can be halved: each halves height and width, and so "
                f"many need pictures of at least {least} x {least} pixels, got "
                f"image_shape={self.image_shape}."
            )
        hidden = positive_integers(
            "hidden_layer_sizes", self.hidden_layer_sizes, "the width of each layer"
        )
        return Layout(
            (shape[0], shape[1], shape[2]),
            channels,
            self.n_blocks,
            hidden,
            self.activation,
        )
