"""Torch devices by their names, and what they lack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from skvae._torch_compat import has_tf32_products

# What torch calls an operation, or a type, that a device does not have.
_MISSING = re.compile(r"\w+::[\w.]+|Tensor to float64|aspect fp64")

_FALLBACK = {"mps": " or set PYTORCH_ENABLE_MPS_FALLBACK=1 before Python starts,"}


def torch_device(name: str | torch.device) -> torch.device:
    """Return the torch device of a name, or raise ValueError if it is not here."""
    if name == "auto":
        # Others lack double precision, or operations of some likelihoods.
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        _reach(device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(
            f"device={str(name)!r} is not available here: expected a device that torch "
            f"sees on this machine, which are {', '.join(devices_here())}. Use "
            "device='cpu', device='auto' or another of these; any but the CPU needs a "
            "build of torch for it, and a driver."
        ) from error
    return device


def device_of_use(name: str | torch.device) -> torch.device:
    """Device for a fitted model: the CPU where its own is not here, or falls short.

    Scores and reconstructions need double precision.
    """
    try:
        device = torch_device(name)
    except ValueError:
        return torch.device("cpu")
    return device if has_float64(device) else torch.device("cpu")


def _reach(device: torch.device) -> None:
    """Raise the error of torch where a device cannot be used."""
    # There and back: the meta device takes tensors but holds no numbers.
    torch.empty(0, device=device).cpu()


def devices_here() -> list[str]:
    """Names of the devices that torch sees on this machine."""
    found = ["cpu"]
    found += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    found += [f"xpu:{i}" for i in range(torch.xpu.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return found


def has_float64(device: torch.device) -> bool:
    """Return whether a device computes in double precision."""
    try:
        torch.ones(1, dtype=torch.float64, device=device).mul(2.0).cpu()
    except (RuntimeError, TypeError):
        return False
    return True


def has_tf32(device: torch.device) -> bool:
    """Return whether a device has products of TF32 that torch can turn on and off."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return has_tf32_products()


def training_device(name: str | torch.device, precision: str) -> torch.device:
    """Device for a training in a precision.

    Parameters
    ----------
    name : str or torch.device
    precision : {"float32", "float64", "bfloat16", "tf32"}

    Raises
    ------
    ValueError
        If there is no such device, or it lacks the precision.
    """
    device = torch_device(name)
    if precision == "float64" and not has_float64(device):
        raise ValueError(
            f"precision='float64' needs a device with double precision, and "
            f"device={str(device)!r} has none. Use precision='float32', or "
            "device='cpu'."
        )
    if precision == "tf32" and not has_tf32(device):
        raise ValueError(
            "precision='tf32' needs an NVIDIA GPU of compute capability 8.0 or newer, "
            f"and the training is on device={str(device)!r}. Use precision='float32', "
            "or precision='bfloat16'."
        )
    return device


@contextmanager
def missing_named(device: torch.device) -> Iterator[None]:
    """Context whose errors name the operation that a device lacks.

    Raises
    ------
    NotImplementedError
        In place of the error of torch, which is its cause. On the CPU errors are left
        as they are.
    """
    try:
        yield
    except (NotImplementedError, RuntimeError, TypeError) as error:
        found = _MISSING.search(str(error))
        is_type = found is not None and "::" not in found[0]
        is_missing = isinstance(error, NotImplementedError) or is_type
        if device.type == "cpu" or found is None or not is_missing:
            raise
        what = "double precision" if is_type else f"the operation {found[0]}"
        raise NotImplementedError(
            f"device={str(device)!r} lacks {what}, which this model needs. Use "
            f"device='cpu',{_FALLBACK.get(device.type, '')} or another likelihood, "
            "balance or network."
        ) from error
