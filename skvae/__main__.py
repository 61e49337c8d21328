"""`python -m skvae`: versions of everything that a result depends on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from skvae.ground._version import __version__

REQUIRED = ("torch", "numpy", "scipy", "scikit-learn", "joblib")

# What tables, plots and files can be made of.
OPTIONAL = (
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "cloudpickle",
    "skops",
    "onnx",
    "onnxscript",
    "onnxruntime",
)


def facts() -> Iterator[tuple[str, str]]:
    """Names and values, in the order in which they are printed."""
    yield "skvae", __version__
    yield "Python", " ".join(sys.version.split())
    yield "platform", platform.platform()
    for name in REQUIRED:
        yield name, version_of(name) or "not installed"
    for name in OPTIONAL:
        version = version_of(name)
        if version is not None:
            yield name, version
    yield from facts_of_torch()


def version_of(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def facts_of_torch() -> Iterator[tuple[str, str]]:
    """Devices and threads, or the reason why torch cannot be imported."""
    try:
        import torch
    # A library that is missing or damaged is an OSError.
    except (ImportError, OSError) as error:
        yield "torch cannot be imported", str(error)
        return
    if torch.cuda.is_available():
        yield "CUDA", f"{torch.version.cuda}, {torch.cuda.get_device_name()}"
    else:
        yield "CUDA", "not available"
    yield "torch threads", str(torch.get_num_threads())


def main() -> None:
    """Print one fact a line."""
    for name, value in facts():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
