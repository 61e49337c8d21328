"""Torch devices by their names."""

from __future__ import annotations

import torch


def torch_device(name: str, *, or_cpu: bool = False) -> torch.device:
    """Return the torch device of a name; if unavailable, the CPU or ValueError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        # There and back: the meta device takes tensors but holds no numbers.
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        if or_cpu:
            return torch.device("cpu")
        n_gpus = torch.cuda.device_count()
        raise ValueError(
            f"device={name!r} is not available here: torch sees the CPU and {n_gpus} "
            "CUDA devices. Use device='cpu' or device='auto'."
        ) from error
    return device
