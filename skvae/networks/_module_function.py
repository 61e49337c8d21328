"""A torch module as a function of stacked weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from skvae.ground._drawing import PrivateDraws
from skvae.networks._base import Function, Weights

if TYPE_CHECKING:
    from skvae.linear._model import LinearWeights

# A module holds other parameters while it is called, for all threads.
_LOCK = threading.RLock()


#: Builds a module from the widths of its rows and of what they stand for.
Make = Callable[[int, int], nn.Module]


def build(make: Make, widths: tuple[int, int], seed: int) -> nn.Module:
    """Module with start values that follow from a seed, on the CPU."""
    with torch.device("cpu"), PrivateDraws(seed):
        return make(*widths)


class ModuleFunction(Function):
    """A torch module as a function of its parameters.

    Parameters
    ----------
    name : str
        Prefix of the names of the weights.
    make : callable
        Builds the module. Its parameters are the weights; its buffers, and parameters
        without a gradient, are constants.
    widths : tuple of two int
        Arguments of `make`; the first is the width of a row.
    """

    def __init__(self, name: str, make: Make, widths: tuple[int, int]) -> None:
        self.make, self.widths = make, widths
        self.module = build(make, widths, seed=0)
        own = trained(self.module)
        # Named here: a module has no parameters while another thread calls it.
        self.names = {key: f"{name}.{key}" for key in own}
        self.shapes = {self.names[key]: tuple(own[key].shape) for key in own}
        self.constants = constants(self.module)
        self.places = places(self.module)
        self._copies: dict[tuple[torch.device, torch.dtype], dict[str, Tensor]] = {}

    @cached_property
    def cells_per_row(self) -> int:
        """Numbers that the widest operation returns for a row."""
        return cells_per_row(self.module, self.widths[0])

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Start values of the module."""
        seed = int(torch.randint(2**62, (), generator=generator))
        parameters = trained(build(self.make, self.widths, seed))
        return {
            self.names[key]: parameter.detach().double()
            for key, parameter in parameters.items()
        }

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows, with one call for all replicas."""
        own = {key: weights[name] for key, name in self.names.items()}
        beside = self._constants_like(x)

        def call(parameters: Weights, rows: Tensor) -> Tensor:
            tensors = {**parameters, **beside}
            # Torch ties tensors of several names itself, but loses those of a module
            # of several names.
            found: Tensor = functional_call(
                self.module,
                {place: tensors[key] for place, key in self.places.items()},
                (rows,),
                tie_weights=False,
            )
            return found

        with _LOCK:
            if len(next(iter(own.values()))) > 1:
                return vmap(call, in_dims=(0, 0 if x.ndim == 3 else None))(own, x)
            rows = x[0] if x.ndim == 3 else x
            return call({key: value[0] for key, value in own.items()}, rows)[None]

    def _constants_like(self, x: Tensor) -> dict[str, Tensor]:
        """Constants on the device of rows, floats in their precision.

        They are copied there once: a copy at every step would make the device wait.
        """
        kind = x.device, x.dtype
        if kind not in self._copies:
            self._copies[kind] = {
                key: value.to(x) if value.is_floating_point() else value.to(x.device)
                for key, value in self.constants.items()
            }
        return self._copies[kind]


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of a module that are trained, by their names."""
    return {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def constants(module: nn.Module) -> dict[str, Tensor]:
    """Buffers and parameters of a module that are not trained, by their names."""
    fixed = {
        name: parameter.detach()
        for name, parameter in module.named_parameters()
        if not parameter.requires_grad
    }
    return {**fixed, **dict(module.named_buffers())}


def places(module: nn.Module) -> dict[str, str]:
    """Places of all parameters and buffers in a module, with the name of each.

    A tensor that is in several places has the name of the first one.
    """
    names: dict[int, str] = {}
    found = {}
    for prefix, part in module.named_modules():
        for key, tensor in (
            *part.named_parameters(recurse=False, remove_duplicate=False),
            *part.named_buffers(recurse=False, remove_duplicate=False),
        ):
            place = f"{prefix}.{key}" if prefix else key
            found[place] = names.setdefault(id(tensor), place)
    return found


def cells_per_row(module: nn.Module, n_inputs: int) -> int:
    """Numbers that the widest operation of a module returns for a row.

    The part of an output that grows with the rows: weights that are transposed, say,
    are operations too.
    """
    dtype = next(module.parameters()).dtype
    with torch.no_grad(), _LOCK:
        with _Sizes() as one:
            module(torch.zeros(1, n_inputs, dtype=dtype))
        with _Sizes() as two:
            module(torch.zeros(2, n_inputs, dtype=dtype))
    return max((b - a for a, b in zip(one.sizes, two.sizes, strict=False)), default=0)


class _Sizes(TorchFunctionMode):
    """Context that lists how many numbers each operation of torch returns."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.sizes.append(found.numel())
        return found
