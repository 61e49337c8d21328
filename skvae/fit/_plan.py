"""The plan of a fit: held-out rows, epochs, steps and batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skvae import training
from skvae.divergences._base import Divergence
from skvae.learning_rates import LEARNING_RATES, Constant, LearningRate
from skvae.learning_rates._curve import Curve
from skvae.model._parts import resolved
from skvae.model._settings import Settings

# An epoch has at least this many optimiser steps: a table of one or two batches
# needs as many steps as any other, and its rows are visited several times an epoch.
_MIN_STEPS_PER_EPOCH = 20

# A start with rows that are kept trains for at most as many epochs of `fit`.
_MAX_EPOCHS_OF_A_START = 20

# Learning rates of a schedule that their mean is computed of.
_N_RATES = 100

# "auto": rows needed before some of them are held out.
_MIN_ROWS_TO_HOLD_OUT = 50


def holds_out(vae: Settings, n_rows: int, n_before: int = 0) -> bool:
    """Return whether some rows of a table are to be held out.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    n_rows : int
        Number of distinct rows of the table.
    n_before : int, default=0
        Number of distinct rows that are kept of earlier tables.
    """
    wanted = vae.early_stopping
    if wanted == "auto":
        wanted = n_before + n_rows >= _MIN_ROWS_TO_HOLD_OUT
    if not wanted or (n_before and n_rows < 2):
        return False
    if n_rows < 2:
        raise ValueError(
            "early_stopping=True needs at least 2 distinct rows of positive "
            "weight, one to train on and one to hold out, but X has one sample of "
            "that kind. Pass more rows, or early_stopping=False."
        )
    return True


def held_out(
    vae: Settings, n_rows: int, random: np.random.RandomState
) -> NDArray[np.bool_]:
    """Mask of the rows of `fit` to score on.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    n_rows : int
        Number of distinct rows of the table.
    random : RandomState
        Chooses them.
    """
    mask = np.zeros(n_rows, dtype=bool)
    if not holds_out(vae, n_rows):
        return mask
    n_held_out = min(math.ceil(vae.validation_fraction * n_rows), n_rows - 1)
    order = random.permutation(n_rows)
    mask[order[:n_held_out]] = True
    return mask


def whole(vae: Settings, n_rows: int, divergence: Divergence) -> training.Plan:
    """Plan of `fit`: all epochs, none of them of few steps."""
    batch_size = vae.batch_size
    if batch_size == "auto":
        batch_size = int(np.clip(n_rows // 64, 128, 1024))
    batch_size = min(batch_size, n_rows)
    if batch_size < divergence.min_rows:
        raise ValueError(
            f"divergence={vae.divergence!r} compares the rows of a batch, and needs "
            f"at least {divergence.min_rows} of them, but a batch has {batch_size} "
            f"(distinct rows: {n_rows}, batch_size={vae.batch_size!r}). Use a larger "
            "batch_size, more rows, or divergence='kl'."
        )
    n_steps = max(math.ceil(n_rows / batch_size), _MIN_STEPS_PER_EPOCH)
    # A small table in a single batch has time to spare for less noise.
    n_draws = 1
    if batch_size == n_rows:
        n_draws = 2 * int(np.clip(256 // n_rows, 1, 4))
    # A divergence that takes several draws at a time takes them to be independent.
    n_draws = divergence.n_draws * math.ceil(n_draws / divergence.n_draws)
    return training.Plan(
        n_epochs=vae.max_iter,
        n_planned_epochs=vae.max_iter,
        steps_per_epoch=n_steps,
        batch_size=batch_size,
        n_draws=n_draws,
        schedule=_schedule(vae.learning_rate),
        learning_rate=vae.learning_rate_init,
        weight_decay=vae.alpha,
        patience=vae.n_iter_no_change,
        tolerance=vae.tol,
        is_paired=divergence.n_draws == 1,
    )


def _schedule(
    learning_rate: str | LearningRate | Callable[[float], float],
) -> LearningRate:
    """Learning rate over the planned steps, checked."""
    schedule: LearningRate
    if isinstance(learning_rate, (str, LearningRate)):
        schedule = resolved(learning_rate, LEARNING_RATES)
    else:
        schedule = Curve(learning_rate)
    schedule.check()
    return schedule


def one_pass(
    vae: Settings, n_rows: int, divergence: Divergence, n_steps: int = 0
) -> training.Plan:
    """Plan of `partial_fit`: one pass over the rows, without a planned end.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    n_rows : int
        Number of training rows.
    divergence : Divergence
    n_steps : int, default=0
        Number of steps that earlier passes have taken.
    """
    plan = whole(vae, n_rows, divergence)
    n_now = math.ceil(n_rows / plan.batch_size)
    factor = plan.schedule.without_end(n_steps + 0.5 * n_now)
    return plan._replace(
        n_epochs=1,
        steps_per_epoch=n_now,
        schedule=Constant(),
        learning_rate=plan.learning_rate * factor,
        patience=None,
    )


def as_long(
    vae: Settings, n_rows: int, divergence: Divergence, *, n_steps: int
) -> training.Plan:
    """Plan of a start that competes with a model of some steps: with as many of them.

    They are at least an epoch of `fit`, and have the mean of its learning rates.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    n_rows : int
        Number of training rows.
    divergence : Divergence
    n_steps : int
        Number of steps of the other model.
    """
    plan, epoch = one_pass(vae, n_rows, divergence), whole(vae, n_rows, divergence)
    most = _MAX_EPOCHS_OF_A_START * epoch.steps_per_epoch
    factor = np.mean([epoch.schedule(i / _N_RATES) for i in range(_N_RATES)])
    return plan._replace(
        steps_per_epoch=max(epoch.steps_per_epoch, min(n_steps, most)),
        learning_rate=epoch.learning_rate * float(factor),
    )
