"""A step that is recorded once and replayed, for devices that wait for the host."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from skvae.balance._base import map_state, tensors_of
from skvae.training._snapshot import Snapshot, outputs_agree
from skvae.training._state import PolicyState
from skvae.training._step import Step
from skvae.training._stepper import Stepper

# Libraries set up their workspaces in the first calls, which must not be recorded.
_WARM_UP_STEPS = 3

# Replays that are compared with eager steps: the first has the batch of the recording,
# so that only the second shows whether a replay reads its own.
_VERIFIED_REPLAYS = 2


def cuda_graph(function: Callable[[], Step]) -> tuple[Step, Callable[[], None]]:
    """Record a function; return its result, and a function that runs it again."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step = function()
    return step, graph.replay


class CapturedStepper(Stepper):
    """Steps as one graph of kernels, started with a single call.

    A step of a small network is some hundred kernels of a few microseconds each, and a
    host that starts them one by one takes longer than they run. Recorded, they read
    their inputs from fixed places and leave the policy's state where the next step
    reads it.

    The first replays are compared with eager steps from the same state on the same
    batches. Where they differ, or where a policy, likelihood or network of the user's
    own cannot be recorded because it reads numbers from the device, training goes on
    with eager steps after one warning.
    """

    #: Records a function; tests put a stand-in here.
    record = staticmethod(cuda_graph)

    _replay: Callable[[], None] | None = None
    _is_possible = True
    _n_taken = 0
    _n_verified = 0

    def __call__(
        self,
        index: Tensor,
        noise: Tensor,
        learning_rate: float | Tensor,
        progress: float | Tensor,
    ) -> Step:
        """Take a step; the next one overwrites the tensors returned."""
        self._n_taken += 1
        if self._is_possible and self._n_taken > _WARM_UP_STEPS:
            if self._replay is None:
                self._record(index, noise)
            if self._n_verified < _VERIFIED_REPLAYS and self._replay is not None:
                return self._verified(index, noise, learning_rate, progress)
        if self._replay is None:
            return super().__call__(index, noise, learning_rate, progress)
        return self._replayed(index, noise, learning_rate, progress)

    def _replayed(
        self,
        index: Tensor,
        noise: Tensor,
        learning_rate: float | Tensor,
        progress: float | Tensor,
    ) -> Step:
        """Take a step by replaying the recording."""
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

    def _verified(
        self,
        index: Tensor,
        noise: Tensor,
        learning_rate: float | Tensor,
        progress: float | Tensor,
    ) -> Step:
        """Take a step both ways; where they differ, keep the eager one for good."""
        before = Snapshot.of(self)
        step = super().__call__(index, noise, learning_rate, progress)
        eager = Snapshot.of(self)
        before.restore(self)
        replayed = self._replayed(index, noise, learning_rate, progress)
        if outputs_agree(replayed, step) and eager.agrees(Snapshot.of(self), before):
            self._n_verified += 1
            return replayed
        eager.restore(self)
        self._give_up("replayed as a CUDA graph", "its results differ from eager steps")
        return step

    def _record(self, index: Tensor, noise: Tensor) -> None:
        """Record a step, if that is possible."""
        zero = noise.new_zeros(())
        self._index, self._noise = index.clone(), noise.clone()
        self._learning_rate, self._progress = zero.clone(), zero.clone()
        self._static: PolicyState = map_state(torch.clone, self.balance)
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
            self._give_up("recorded as a CUDA graph", str(error))
        finally:
            self.balance, self.n_steps = before, n_steps

    def _give_up(self, action: str, reason: str) -> None:
        """Warn, and take eager steps from now on."""
        self._is_possible, self._replay = False, None
        warnings.warn(
            f"The steps of balance={self.policy} cannot be {action} ({reason}). "
            "Training continues with eager steps, which are slower. A policy, "
            "likelihood or network of your own must compute with tensors alone: it "
            "must not read numbers from the device, nor keep any between steps.",
            RuntimeWarning,
            stacklevel=4,
        )

    @staticmethod
    def _write(target: PolicyState, source: PolicyState) -> None:
        """Copy the tensors of a policy's state into those of another."""
        if source is target:
            return
        for old, new in zip(tensors_of(target), tensors_of(source), strict=True):
            old.copy_(new)
