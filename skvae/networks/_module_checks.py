"""Checks that a torch module can be one of the functions of a network."""

from __future__ import annotations

import pickle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from skvae.networks._module_function import (
    Make,
    ModuleFunction,
    build,
    constants,
    trained,
)

# Rows that a module is tried on, and the largest difference that is rounding, relative
# to its output.
_N_ROWS, _ROUNDING = 4, 1e-2


def check_module(
    argument: str,
    make: Make,
    widths: tuple[int, int],
    n_outputs: int,
    output: str,
    like: Tensor,
) -> None:
    """Raise an error that has the remedy in it if a module cannot work.

    Parameters
    ----------
    argument : str
        Name of the parameter that holds the function that builds the module.
    make : callable
        The function.
    widths : tuple of two int
        Its arguments; the first is the width of a row.
    n_outputs : int
        Width of the module's output.
    output : str
        Meaning of the output, for messages.
    like : Tensor
        A tensor on the device and in the precision of the training.
    """
    _ModuleCheck(argument, make, widths, n_outputs, output, like)()


class _ModuleCheck:
    """One check after the other, each with an error of its own."""

    def __init__(
        self,
        argument: str,
        make: Make,
        widths: tuple[int, int],
        n_outputs: int,
        output: str,
        like: Tensor,
    ) -> None:
        self.argument, self.make, self.widths = argument, make, widths
        self.n_outputs, self.output = n_outputs, output
        self.name = f"The module of {argument}"
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(_N_ROWS, widths[0], generator=generator).to(like)

    def __call__(self) -> None:
        """Raise the first error."""
        self._can_build()
        self._can_be_pickled()
        module = build(self.make, self.widths, seed=0)
        self._is_a_module(module)
        self.name += f", {type(module).__name__},"
        self._has_weights(module)
        self._follows_from_a_seed(module)
        module.to(self.x)
        with torch.no_grad():
            before = {name: each.clone() for name, each in module.named_buffers()}
            output = self._call(module)
            self._has_the_widths(output)
            self._leaves_its_buffers(module, before)
            self._is_a_function(module, output)
            self._maps_rows_one_by_one(module, output)
        self._works_for_several_replicas()

    def _can_build(self) -> None:
        if isinstance(self.make, nn.Module):
            raise TypeError(
                f"{self.argument} must be a class or a function that builds a module, "
                f"got a module, {type(self.make).__name__}, whose weights all fits "
                "would have in common. Pass its class, or a function that returns a "
                "new one."
            )

    def _can_be_pickled(self) -> None:
        try:
            pickle.dumps(self.make)
        except Exception as error:
            if "<" not in getattr(self.make, "__qualname__", "<"):
                # At the top of a session or a notebook, which pickle may not look in.
                return
            raise ValueError(
                f"{self.argument}={self.make!r} cannot be pickled, so that the fitted "
                f"model could not be stored or sent to another process: {error}. Use a "
                "class or a function that is defined at the top of a module, or "
                "functools.partial of one, in place of a lambda or of what is defined "
                "inside of another function."
            ) from error

    def _is_a_module(self, module: Any) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"{self.argument} must return a torch.nn.Module, got "
                f"{type(module).__name__}. Return the module itself, not its output."
            )

    def _has_weights(self, module: nn.Module) -> None:
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
                raise ValueError(
                    f"{self.name} is lazy: {name!r} has no shape yet. Use the numbers "
                    f"that {self.argument} is called with, here {self.widths}, "
                    "such as nn.Linear in place of nn.LazyLinear."
                )
        for name, parameter in module.named_parameters():
            if not parameter.is_floating_point():
                raise ValueError(
                    f"{self.name} has a parameter {name!r} of {parameter.dtype}, but "
                    "weights must be floating. Use register_buffer for what is not "
                    "trained."
                )
        if not trained(module):
            raise ValueError(
                f"{self.name} has no parameters to train. Use layers with weights, "
                "such as nn.Linear, with requires_grad=True."
            )

    def _follows_from_a_seed(self, module: nn.Module) -> None:
        again, other = (build(self.make, self.widths, seed) for seed in range(2))
        for name, value in constants(module).items():
            if not torch.equal(value, constants(other)[name]):
                raise ValueError(
                    f"{self.name} has a constant {name!r} that differs from one call "
                    f"of {self.argument} to the next, while a fitted model keeps "
                    "weights alone. Make it an nn.Parameter, or compute it from fixed "
                    "numbers."
                )
        for name, weight in trained(module).items():
            if not torch.equal(weight, trained(again)[name]):
                raise ValueError(
                    f"{self.name} has start values {name!r} that do not follow from "
                    "random_state. Draw them with torch.nn.init or the methods of a "
                    "tensor, not with numpy or a generator of its own."
                )

    def _call(self, module: nn.Module) -> Any:
        try:
            return module(self.x)
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self.name} fails on rows of shape {tuple(self.x.shape)} and "
                f"{self.x.dtype}: {error}. {self.argument} was called with "
                f"{self.widths}. The module must take rows of "
                f"{self.widths[0]} numbers, in the precision and on the device of its "
                "weights."
            ) from error

    def _has_the_widths(self, output: Any) -> None:
        expected = _N_ROWS, self.n_outputs
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{self.name} must return one tensor of shape {expected}, got "
                f"{type(output).__name__}. Return {self.output}, side by side."
            )
        if output.shape != expected:
            raise ValueError(
                f"{self.name} must return {self.n_outputs} numbers a row, "
                f"{self.output}: shape {expected} for {_N_ROWS} rows, got "
                f"{tuple(output.shape)}. Change the width of its last layer."
            )
        if output.dtype != self.x.dtype:
            raise ValueError(
                f"{self.name} must return {self.x.dtype}, the precision of its rows, "
                f"got {output.dtype}. Create tensors with dtype=x.dtype, or as buffers."
            )

    def _leaves_its_buffers(self, module: nn.Module, before: dict[str, Tensor]) -> None:
        for name, buffer in module.named_buffers():
            if not torch.equal(buffer, before[name]):
                raise ValueError(
                    f"{self.name} changes its buffer {name!r} when it is called, as "
                    "BatchNorm does: then rows depend on those beside them. Use "
                    "nn.LayerNorm or nn.GroupNorm, or a module in its eval() mode."
                )

    def _is_a_function(self, module: nn.Module, output: Tensor) -> None:
        if self._differ(output, self._call(module)):
            raise ValueError(
                f"{self.name} returns different numbers for the same rows, as with "
                "nn.Dropout: then scores could not be repeated. Leave it out, and use "
                "alpha of BalancedVAE against overfitting."
            )

    def _maps_rows_one_by_one(self, module: nn.Module, output: Tensor) -> None:
        try:
            alone = torch.cat([module(row) for row in self.x.split(1)])
        except (RuntimeError, ValueError):
            alone = None
        if alone is None or self._differ(output, alone):
            raise ValueError(
                f"{self.name} returns other numbers for a row alone than for the same "
                "row among others. Normalize over the numbers of a row, with "
                "nn.LayerNorm or nn.GroupNorm in place of BatchNorm, and keep the axis "
                "of rows, as in x.flatten(1)."
            )

    def _works_for_several_replicas(self) -> None:
        function = ModuleFunction(self.argument, self.make, self.widths)
        starts = [
            function.init(torch.Generator().manual_seed(seed)) for seed in range(2)
        ]
        weights = {
            name: torch.stack([start[name] for start in starts]).to(self.x)
            for name in function.shapes
        }
        gradients = {name: torch.empty_like(each) for name, each in weights.items()}
        x = self.x.expand(2, -1, -1)
        try:
            output, pullback = function.vjp(weights, x, to_rows=True)
            pullback(torch.ones_like(output), gradients)
        except RuntimeError as error:
            raise ValueError(
                f"{self.name} cannot be computed and differentiated for several models "
                "at once, by torch.func.vmap as models are trained side by side: "
                f"{error}. Compute with tensors alone: torch.where in place of an if "
                "on the values of a tensor, no .item(), .numpy() or .detach(), and no "
                "random numbers."
            ) from error

    @staticmethod
    def _differ(one: Tensor, other: Tensor) -> bool:
        """True where outputs differ by more than rounding."""
        scale = 1.0 + one.abs().max()
        return bool((one - other).abs().max() > _ROUNDING * scale)
