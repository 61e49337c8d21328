"""Plan of a training: its steps, batches and noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.learning_rates._base import LearningRate

# Noise that is drawn at once, in cells: a megabyte.
_NOISE_CELLS = 2**18


class Rung(NamedTuple):
    """Where the best groups of replicas go on, and the others leave."""

    fraction: float
    """Fraction of the planned epochs, of those that follow the policy's schedule."""
    group_size: int
    """Number of replicas of a group, which follow each other."""
    n_kept: int
    """Number of groups that go on."""


class Plan(NamedTuple):
    """Number of epochs and draws of a training, and its patience."""

    n_epochs: int
    """Epochs to run now."""
    n_planned_epochs: int
    """Epochs in a whole schedule."""
    steps_per_epoch: int
    batch_size: int
    n_draws: int
    """Latents drawn for each row and step; 1 or, if paired, an even number."""
    schedule: LearningRate
    """Factor of the learning rate at a fraction of the planned steps."""
    learning_rate: float
    weight_decay: float
    patience: int | None
    """Epochs without a better held-out elbo after which to stop; None for never."""
    tolerance: float
    is_paired: bool = True
    """True for several draws of a row in pairs of opposite sign."""
    rungs: tuple[Rung, ...] = ()
    """Where replicas leave; with held-out rows only, which compare them."""

    def progress(self, epoch: int, n_steps: int) -> float:
        """Fraction of the planned steps that is done, some steps into an epoch."""
        return min(
            1.0, (epoch + n_steps / self.steps_per_epoch) / self.n_planned_epochs
        )


def batches_of(
    n_rows: int, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Row indices of the batches of an epoch, all of one size.

    Passes over the rows in random order follow each other until the epoch is full,
    so that a last short batch neither is dropped nor counts more than the others.
    """
    n_drawn = plan.steps_per_epoch * plan.batch_size
    # In place and in few bytes: there may be many more rows than memory for copies.
    dtype = torch.int32 if n_rows < 2**31 else torch.int64
    rows = torch.empty(n_drawn, dtype=dtype)
    for start in range(0, n_drawn, n_rows):
        some = rows[start : start + n_rows]
        if len(some) == n_rows:
            torch.randperm(n_rows, generator=generator, out=some)
        else:
            order = torch.randperm(n_rows, generator=generator, dtype=dtype)
            some.copy_(order[: len(some)])
    return rows.split(plan.batch_size)


def noise_of(plan: Plan, n_rows: int, width: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise, of shape (n_draws, n_rows, width).

    Drawn in float32 on the CPU, so that the stream depends on neither precision nor
    device. Of several draws for a row half are the others' opposites, which takes
    the odd part of the noise out of the gradient, unless the plan says otherwise.
    """
    noise = torch.empty((plan.n_draws, n_rows, width), dtype=torch.float32)
    if not (plan.is_paired and plan.n_draws > 1):
        return noise.normal_(generator=generator)
    drawn, opposite = noise.chunk(2)
    torch.neg(drawn.normal_(generator=generator), out=opposite)
    return noise


def steps_of(
    n_rows: int, plan: Plan, width: int, generator: torch.Generator, like: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches and noise of an epoch, on the device and in the precision of a tensor.

    The noise of many steps is drawn and moved at once.
    """
    batches = batches_of(n_rows, plan, generator)
    size = plan.batch_size
    n_at_once = max(1, _NOISE_CELLS // (plan.n_draws * size * width))
    for start in range(0, len(batches), n_at_once):
        some = batches[start : start + n_at_once]
        noise = noise_of(plan, len(some) * size, width, generator).to(like)
        for i, index in enumerate(some):
            rows = slice(i * size, (i + 1) * size)
            yield index.to(like.device, torch.int64), noise[:, rows]
