"""Activations, each with its derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from skvae._torch_compat import gelu_backward

if TYPE_CHECKING:
    from torch import Tensor


# Slope of the leaky ReLU below zero, as in torch.
_LEAK = 0.01


class Activation(NamedTuple):
    """An activation function and its derivative.

    The derivative is written down because a step of training has little else to do
    than matrix products: recording each operation to differentiate it later would
    take as long as the operations.
    """

    gain: float
    """Initialisation gain that preserves the variance."""
    function: Callable[[Tensor], Tensor]
    """The function; it may overwrite its argument, as may the next one."""
    with_slope: Callable[[Tensor], tuple[Tensor, Tensor]]
    """The function and its derivative."""


def _relu(x: Tensor) -> Tensor:
    return x.relu_()


def _relu_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x.relu_()
    return y, y.sign()


def _silu(x: Tensor) -> Tensor:
    from torch.nn.functional import silu

    return silu(x, inplace=True)


def _silu_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    # The exponential is what costs, and torch's own derivative computes it again.
    sigmoid = x.sigmoid()
    y = x * sigmoid
    return y, sigmoid.addcmul_(sigmoid, x.sub_(y))


def _gelu(x: Tensor) -> Tensor:
    from torch.nn.functional import gelu

    return gelu(x)


def _gelu_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    return _gelu(x), gelu_backward(torch.ones_like(x), x)


def _tanh(x: Tensor) -> Tensor:
    return x.tanh_()


def _tanh_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x.tanh()
    return y, x.fill_(1.0).addcmul_(y, y, value=-1.0)


def _leaky_relu(x: Tensor) -> Tensor:
    from torch.nn.functional import leaky_relu_

    return leaky_relu_(x, _LEAK)


def _leaky_relu_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    y = _leaky_relu(x)
    return y, y.sign().clamp_(min=_LEAK)


def _elu(x: Tensor) -> Tensor:
    from torch.nn.functional import elu_

    return elu_(x)


def _elu_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    # Below zero the function is exp(x) - 1.
    y = _elu(x)
    return y, y.clamp(max=0.0).add_(1.0)


def _softplus(x: Tensor) -> Tensor:
    from torch.nn.functional import softplus

    return softplus(x)


def _softplus_with_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    return _softplus(x), x.sigmoid_()


ACTIVATIONS = {
    "silu": Activation(math.sqrt(2.0), _silu, _silu_with_slope),
    "relu": Activation(math.sqrt(2.0), _relu, _relu_with_slope),
    "gelu": Activation(math.sqrt(2.0), _gelu, _gelu_with_slope),
    "tanh": Activation(1.0, _tanh, _tanh_with_slope),
    "leaky_relu": Activation(
        math.sqrt(2.0 / (1.0 + _LEAK**2)), _leaky_relu, _leaky_relu_with_slope
    ),
    # These keep a mean square of about 1.
    "elu": Activation(1.25, _elu, _elu_with_slope),
    "softplus": Activation(1.0, _softplus, _softplus_with_slope),
}
