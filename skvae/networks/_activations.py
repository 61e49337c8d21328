"""Activations, each with its derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Activation(NamedTuple):
    """What follows a layer.

    The derivative is written down because a step of training has little else to do
    than matrix products: recording each operation to differentiate it later would
    take as long as the operations.
    """

    gain: float
    """Of start values that roughly keep the variance of what passes through."""
    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]
    """From the gradient of the output, the input and the output to the gradient of
    the input. May overwrite the gradient that it is given."""


def _relu(x: Tensor) -> Tensor:
    return x.relu()


def _relu_backward(gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
    import torch

    return torch.ops.aten.threshold_backward.grad_input(
        gradient, y, 0.0, grad_input=gradient
    )


def _silu(x: Tensor) -> Tensor:
    from torch.nn.functional import silu

    return silu(x)


def _silu_backward(gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
    import torch

    return torch.ops.aten.silu_backward.grad_input(gradient, x, grad_input=gradient)


def _gelu(x: Tensor) -> Tensor:
    from torch.nn.functional import gelu

    return gelu(x)


def _gelu_backward(gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
    import torch

    return torch.ops.aten.gelu_backward.grad_input(gradient, x, grad_input=gradient)


def _tanh(x: Tensor) -> Tensor:
    return x.tanh()


def _tanh_backward(gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
    import torch

    return torch.ops.aten.tanh_backward.grad_input(gradient, y, grad_input=gradient)


ACTIVATIONS = {
    "silu": Activation(math.sqrt(2.0), _silu, _silu_backward),
    "relu": Activation(math.sqrt(2.0), _relu, _relu_backward),
    "gelu": Activation(math.sqrt(2.0), _gelu, _gelu_backward),
    "tanh": Activation(1.0, _tanh, _tanh_backward),
}
