"""Every private name of torch, in one place.

All of it behaves the same in torch 2.6 to 2.13. Torch is imported by the functions, as
`import skvae` does without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import timedelta

    from torch import Tensor, device
    from torch.types import _size

    Size = _size

# Added to the variance of a row, as in `torch.nn.LayerNorm`.
_LAYER_NORM_EPS = 1e-5


def add_each(totals: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Add tensors to others in place, in one call."""
    import torch

    torch._foreach_add_(list(totals), list(values))


def adam_step(
    values: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    n_steps: Tensor,
    *,
    learning_rate: float | Tensor,
    decay_mean: float,
    decay_square: float,
) -> None:
    """Take one step of Adam in place, by one kernel.

    The optimiser classes import torch's compiler stack, which takes longer than a small
    fit.
    """
    import torch

    torch._fused_adamw_(
        [values],
        [gradient],
        [mean],
        [square],
        [],
        [n_steps],
        lr=learning_rate,
        beta1=decay_mean,
        beta2=decay_square,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


def clamp_backward(gradient: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """Gradient of x where it lies between the bounds, 0 elsewhere."""
    import torch

    return torch.ops.aten.hardtanh_backward(gradient, x, low, high)


def gelu_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """Gradient of x from that of its GELU."""
    import torch

    return torch.ops.aten.gelu_backward(gradient, x)


def layer_norm(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standardize rows over their features; the mean and inverse scale of each row.

    torch's public function keeps the last two to itself.
    """
    import torch

    return torch.native_layer_norm(x, x.shape[-1:], None, None, _LAYER_NORM_EPS)


def layer_norm_backward(
    gradient: Tensor, x: Tensor, mean: Tensor, inverse_scale: Tensor
) -> Tensor:
    """Gradient of x from that of its standardized rows."""
    import torch

    found: Tensor = torch.ops.aten.native_layer_norm_backward(
        gradient,
        x,
        x.shape[-1:],
        mean,
        inverse_scale,
        None,
        None,
        [True, False, False],
    )[0]
    return found


def operator(name: str) -> Any:
    """Function of tensors, as graphs of operations name it.

    Parameters
    ----------
    name : str
        Such as "lgamma", and "searchsorted.Tensor" where it has several forms.
    """
    import torch

    name, _, form = name.partition(".")
    return getattr(getattr(torch.ops.aten, name), form or "default")


def set_matmul_precision(precision: str) -> str:
    """Set that of float32 products on CUDA, "tf32" or another; return the one before.

    Of the two settings that torch 2.9 has for it, reading the older one is an error
    where the newer has been used.
    """
    import torch

    matmul = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if precision == "tf32" else precision)
        return before
    before = matmul.fp32_precision
    if before == torch.backends.fp32_precision:  # type: ignore[attr-defined]
        # It follows that of all products.
        before = "none"
    matmul.fp32_precision = precision
    return before


def has_tf32_products() -> bool:
    """True where the current CUDA device has products of TF32."""
    import torch

    if hasattr(torch.cuda, "is_tf32_supported"):
        return torch.cuda.is_tf32_supported()
    return torch.version.hip is None and torch.cuda.get_device_capability()[0] >= 8


def timeout_of(group: Any, device: device) -> timedelta | None:
    """Timeout of a process group; None where the backend does not tell it."""
    options = getattr(group._get_backend(device), "options", None)
    found: timedelta | None = getattr(options, "_timeout", None)
    return found


__all__ = [
    "adam_step",
    "add_each",
    "clamp_backward",
    "gelu_backward",
    "has_tf32_products",
    "layer_norm",
    "layer_norm_backward",
    "operator",
    "set_matmul_precision",
    "timeout_of",
]
