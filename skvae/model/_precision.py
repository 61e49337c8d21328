"""Precision of a training: of its weights, and of the products in its steps.

Only a step asks for derivatives. Whatever a call of a network computes, such as the
elbo of held-out rows, has the precision of the weights.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skvae._torch_compat import set_matmul_precision
from skvae.networks._base import Around, Function, Pullback, Weights

if TYPE_CHECKING:
    from skvae.model._module import Module

#: Type of rows, weights and everything that is computed from them, by precision.
WEIGHTS = {
    "float32": "float32",
    "float64": "float64",
    "bfloat16": "float32",
    "tf32": "float32",
}


class InBfloat16(Around):
    """A network that computes in bfloat16 in a training step.

    Its weights and rows are rounded for the step. Outputs and gradients come back in
    the type of the rows.
    """

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its vector-Jacobian product, both computed in bfloat16."""
        noise = {name: weights[name] for name in self.noise_widths}
        rounded = {name: weights[name].bfloat16() for name in self.shapes}
        with _needs_bfloat16():
            output, from_inner = self.inner.vjp(
                {**noise, **rounded}, x.bfloat16(), to_rows=to_rows
            )

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            own = {name: torch.empty_like(each) for name, each in rounded.items()}
            with _needs_bfloat16():
                to_x = from_inner(to_output.bfloat16(), own)
            for name, gradient in own.items():
                gradients[name].copy_(gradient)
            return None if to_x is None else to_x.to(to_output)

        return output.to(x), pullback


@contextmanager
def _needs_bfloat16() -> Iterator[None]:
    """Context whose errors name the precision, where a network cannot compute in it."""
    try:
        yield
    except RuntimeError as error:
        if "bfloat16" not in str(error).lower():
            raise
        raise ValueError(
            "precision='bfloat16' gives encoder and decoder their weights and rows in "
            f"bfloat16, and one of them cannot compute with these: {error} Create its "
            "tensors with dtype=x.dtype, or use precision='float32'."
        ) from error


class _TF32:
    """TF32 for the products of CUDA, as long as anyone needs it.

    torch has one setting for the process. The first of several threads changes it, and
    the last one restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Context in which products may use TF32."""
        with self._lock:
            if self._n_users == 0:
                self._before = set_matmul_precision("tf32")
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0:
                    set_matmul_precision(self._before)


_tf32 = _TF32()


class InTF32(Around):
    """A network whose products may use TF32 in a training step."""

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output, and its vector-Jacobian product, both with TF32 allowed."""
        with _tf32.allowed():
            output, from_inner = self.inner.vjp(weights, x, to_rows=to_rows)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            with _tf32.allowed():
                return from_inner(to_output, gradients)

        return output, pullback


_REDUCED: dict[str, Callable[[Function], Function]] = {
    "bfloat16": InBfloat16,
    "tf32": InTF32,
}


def for_steps(module: Module, precision: str) -> Module:
    """Module whose networks compute in a precision in a training step.

    Parameters
    ----------
    module : Module
    precision : {"float32", "float64", "bfloat16", "tf32"}
    """
    reduced = _REDUCED.get(precision)
    if reduced is None:
        return module
    changed = copy(module)
    changed.encoder = reduced(module.encoder)
    changed.decoder = reduced(module.decoder)
    return changed
