"""Fitted models for other runtimes: torch modules and ONNX files."""

from skvae.export._onnx import to_onnx
from skvae.export._torch import to_torch

__all__ = ["to_onnx", "to_torch"]
