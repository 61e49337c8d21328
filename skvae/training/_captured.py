"""A step that is recorded once and replayed, for devices that wait for the host."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skvae.balance._base import map_state, tensors_of
from skvae.training._step import Step
from skvae.training._stepper import Stepper

# Libraries set up what they need in the first calls, which must not be recorded.
_WARM_UP_STEPS = 3


def cuda_graph(function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """Record a function; return what it returned, and what runs it again."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = function()
    return found, graph.replay


class CapturedStepper(Stepper):
    """Steps as one graph of kernels, started with a single call.

    A step of a small network is some hundred kernels of a few microseconds each, and a
    host that starts them one by one takes longer than they run. Recorded, they read
    their inputs from fixed places and leave the policy's state where the next step
    reads it.

    Where a policy, likelihood or network of the user's own cannot be recorded, as it
    reads numbers from the device, training goes on step by step with one warning.
    """

    #: How a function is recorded; tests put a stand-in here.
    record = staticmethod(cuda_graph)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._replay: Callable[[], None] | None = None
        self._n_taken = 0
        self._is_possible = True

    def __call__(
        self,
        index: Tensor,
        noise: Tensor,
        learning_rate: float | Tensor,
        progress: float | Tensor,
    ) -> Step:
        """Take a step; what it returns is overwritten by the next one."""
        self._n_taken += 1
        if not self._is_possible or self._n_taken <= _WARM_UP_STEPS:
            return super().__call__(index, noise, learning_rate, progress)
        if self._replay is None and not self._recorded(index, noise):
            return super().__call__(index, noise, learning_rate, progress)
        assert self._replay is not None
        self._index.copy_(index)
        self._noise.copy_(noise)
        self._learning_rate.fill_(learning_rate)
        self._progress.fill_(progress)
        self._write(self._static, self.balance)
        n_steps = self.n_steps + 1
        self._replay()
        self.n_steps = n_steps
        self.balance = self._static
        return self._step

    def _recorded(self, index: Tensor, noise: Tensor) -> bool:
        """Record a step; False where that cannot be done."""
        zero = noise.new_zeros(())
        self._index, self._noise = index.clone(), noise.clone()
        self._learning_rate, self._progress = zero.clone(), zero.clone()
        self._static = map_state(torch.clone, self.balance)
        take = super().__call__
        before, n_steps = self.balance, self.n_steps

        def step() -> Step:
            self.balance = self._static
            taken = take(self._index, self._noise, self._learning_rate, self._progress)
            self._write(self._static, self.balance)
            return taken

        try:
            self._step, self._replay = self.record(step)
        except RuntimeError as error:
            self._is_possible = False
            warnings.warn(
                f"The steps of balance={self.policy} cannot be recorded as a CUDA "
                f"graph ({error}). Training goes on step by step, which is slower. "
                "A part of your own must not read numbers from the device.",
                RuntimeWarning,
                stacklevel=2,
            )
        finally:
            self.balance, self.n_steps = before, n_steps
        return self._is_possible

    @staticmethod
    def _write(target: Any, source: Any) -> None:
        """Copy the tensors of a policy's state to where another has its own."""
        if source is target:
            return
        for old, new in zip(tensors_of(target), tensors_of(source), strict=True):
            old.copy_(new)
