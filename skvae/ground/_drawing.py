"""Draws of torch's distributions and start values from a private generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# Every operation of torch that draws and takes a generator.
_TAKES_A_GENERATOR = frozenset(
    {
        *("bernoulli", "binomial", "multinomial", "normal", "poisson"),
        *("rand", "randint", "randn", "randperm"),
        *("_sample_dirichlet", "_standard_gamma"),
        *("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_"),
        *("normal_", "random_", "uniform_"),
        # Those of `torch.nn.init`, inside of which the context is off.
        *("kaiming_normal_", "kaiming_uniform_", "orthogonal_", "sparse_"),
        *("trunc_normal_", "xavier_normal_", "xavier_uniform_"),
    }
)
# Those that take none, and what draws the same with one.
_LIKE: dict[str, Callable[..., torch.Tensor]] = {
    "rand_like": torch.rand,
    "randn_like": torch.randn,
}


class PrivateDraws(TorchFunctionMode):
    """Context in which torch draws from a generator of its own, in this thread alone.

    `torch.distributions.Distribution.sample` has no argument for one, and draws from
    the global generator, which all threads share, as modules do for their start values.
    To seed that and restore it would need a lock, which code outside of this package
    does not take.

    Parameters
    ----------
    seed : int
        The same seed gives the same draws, on the CPU.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Normal
    >>> with PrivateDraws(0):
    ...     first = Normal(0.0, 1.0).sample()
    >>> with PrivateDraws(0):
    ...     again = Normal(0.0, 1.0).sample()
    >>> bool(first == again)
    True
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, with the generator where it takes one."""
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in _LIKE:
            like, *rest = args or (given.pop("input"),)
            given = {"dtype": like.dtype, "device": like.device, **given}
            func, args, name = _LIKE[name], (like.shape, *rest), "rand"
        if name in _TAKES_A_GENERATOR and given.get("generator") is None:
            given["generator"] = self._generator
        return func(*args, **given)
