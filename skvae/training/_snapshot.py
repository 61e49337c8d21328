"""Copies of what a step changes, to compare two ways of taking it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.balance._base import map_state, tensors_of
from skvae.training._state import PolicyState
from skvae.training._step import Step
from skvae.training._stepper import Stepper

# Units of the last place that two results of a sum may differ by, relative to it.
_ROUNDING = 64.0


class Snapshot(NamedTuple):
    """Copy of everything that a step changes."""

    values: Tensor
    """Weights."""
    mean: Tensor
    """First moment of the gradient."""
    square: Tensor
    """Second moment of the gradient."""
    n_updates: Tensor
    """Number of steps, as the optimiser holds it on the device."""
    balance: PolicyState
    n_steps: int

    @classmethod
    def of(cls, stepper: Stepper) -> Snapshot:
        """Copy the tensors of a stepper."""
        values, mean, square, n_updates = (part.clone() for part in _moved(stepper))
        balance = map_state(torch.clone, stepper.balance)
        return cls(values, mean, square, n_updates, balance, stepper.n_steps)

    def restore(self, stepper: Stepper) -> None:
        """Take a stepper back to this state."""
        tensors = self.values, self.mean, self.square, self.n_updates
        for place, tensor in zip(_moved(stepper), tensors, strict=True):
            place.copy_(tensor)
        stepper.balance = map_state(torch.clone, self.balance)
        stepper.n_steps = self.n_steps

    def agrees(self, other: Snapshot, before: Snapshot) -> bool:
        """Compare two results of the same step, which began at a third state.

        Differences are measured by the change that the step made. Adam moves a weight
        whose gradient is rounding alone as far as the others, so weights are compared
        in units of their gradients.
        """
        scale = self.square.sqrt()
        return self.n_steps == other.n_steps and _agree(
            [*_tensors(other), scale * other.values],
            [*_tensors(self), scale * self.values],
            [*_tensors(before), scale * before.values],
        )


def outputs_agree(one: Step, other: Step) -> bool:
    """Compare what two ways of taking a step return, in nats per row."""
    outputs, expected = _outputs(one), _outputs(other)
    # Sums of nats may cancel: below 1, the difference itself counts.
    origins = [value - value.abs() - 1.0 for value in expected]
    return _agree(outputs, expected, origins)


def _moved(stepper: Stepper) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tensors that a step writes to."""
    optimizer = stepper.optimizer
    values = stepper.parameters.values
    return values, optimizer.mean, optimizer.square, optimizer.n_steps


def _tensors(snapshot: Snapshot) -> list[Tensor]:
    """Tensors that are compared as they are."""
    optimizer = [snapshot.mean, snapshot.square, snapshot.n_updates]
    return [*optimizer, *tensors_of(snapshot.balance)]


def _outputs(step: Step) -> list[Tensor]:
    """Tensors of a step but for those of the policy's state."""
    error = [] if step.error is None else [step.error]
    return [step.objective, step.rate, *tensors_of(step.terms), *error]


def _agree(
    found: Sequence[Tensor], expected: Sequence[Tensor], before: Sequence[Tensor]
) -> bool:
    """True where tensors differ by rounding alone, replica by replica."""
    are_close = [
        _is_close(one, other, start)
        for one, other, start in zip(found, expected, before, strict=True)
    ]
    return bool(torch.stack(are_close).all())


def _is_close(found: Tensor, expected: Tensor, before: Tensor) -> Tensor:
    """Compare two results relative to the change from before, as a bool tensor."""
    precision = torch.finfo(expected.dtype).eps
    # A replica that has diverged is no evidence about the others.
    is_finite = expected.isfinite() & before.isfinite()
    found, expected, before = (
        torch.where(is_finite, tensor, 0.0).reshape(*tensor.shape, 1, 1)
        for tensor in (found, expected, before)
    )
    difference, change, size = (
        torch.linalg.vector_norm(tensor.flatten(1), dim=1)
        for tensor in (found - expected, expected - before, expected)
    )
    bound = math.sqrt(precision) * change + _ROUNDING * precision * size
    return (difference <= bound).all()
