"""Several fits in one training: which can be, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skvae import training
from skvae._fitting import Fitting

# A step of several folds on a CPU makes at most this many numbers at a time. From half
# of that on nothing is gained. With much more, what one operation leaves is gone from
# the cache before the next one reads it. A GPU is the faster per replica the more there
# are.
_CELLS_OF_A_STEP = 2**19


def go_together(fittings: Sequence[Fitting]) -> bool:
    """Whether fits of one estimator to several tables can be one training, and pay.

    They can where the steps are the same but for rows, weights and noise. That is not
    so for a likelihood whose steps read what it learned of its table, nor for a
    divergence other than the rate, which compares the rows of a batch.
    """
    first = fittings[0]
    module, device = first.module, first.device.type
    return (
        module.divergence.is_rate
        and not module.likelihood.reads_fit
        and all(_steps(fitting) == _steps(first) for fitting in fittings)
        and (device != "cpu" or sum(map(_cells, fittings)) <= _CELLS_OF_A_STEP)
    )


def _steps(fitting: Fitting) -> tuple[Any, ...]:
    """All that must be the same for steps to be taken together."""
    return (
        fitting.plan,
        fitting.state.shapes,
        fitting.replicas,
        type(fitting.parts.likelihood),
        fitting.parts.masked,
        fitting.has_gaps,
        fitting.held_out is None,
    )


def _cells(fitting: Fitting) -> int:
    """Numbers that the widest layers hold in a step."""
    n_rows = fitting.plan.batch_size * fitting.plan.n_draws
    return len(fitting.replicas) * n_rows * fitting.module.cells_per_row


def train_together(
    fittings: Sequence[Fitting], on_epoch: Callable[..., bool] | None
) -> list[list[dict[str, Any]]]:
    """Train fits that `go_together`, and return the attributes of each one's models."""
    first = fittings[0]
    outcomes = training.train(
        first.module,
        first.parts.policy,
        [fitting.task for fitting in fittings],
        first.plan,
        on_epoch,
    )
    return [
        fitting.fitted(outcome)
        for fitting, outcome in zip(fittings, outcomes, strict=True)
    ]
