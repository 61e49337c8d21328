"""What a fit plans before it starts: the rows to judge on, steps and batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae import training
from skvae.divergences._base import Divergence

# An epoch has at least this many optimiser steps: a table of one or two batches
# needs as many steps as any other, and its rows are visited several times an epoch.
_MIN_STEPS_PER_EPOCH = 20

# "auto": rows needed before some of them are held out.
_MIN_ROWS_TO_HOLD_OUT = 50


def held_out(vae: Any, n_rows: int, seed: int) -> NDArray[np.intp]:
    """Indices of the rows to judge on."""
    wanted = vae.early_stopping
    if wanted == "auto":
        wanted = n_rows >= _MIN_ROWS_TO_HOLD_OUT
    if not wanted:
        return np.empty(0, dtype=np.intp)
    if n_rows < 2:
        raise ValueError(
            "early_stopping=True needs at least 2 distinct rows of positive "
            "weight, one to train on and one to hold out, but X has one sample of "
            "that kind. Pass more rows, or early_stopping=False."
        )
    n_held_out = min(math.ceil(vae.validation_fraction * n_rows), n_rows - 1)
    # Not the global generator: a private one of the same seed.
    order = np.random.RandomState(seed).permutation(n_rows)
    return np.sort(order[:n_held_out])


def plan(
    vae: Any, n_rows: int, divergence: Divergence, *, is_partial: bool
) -> training.Plan:
    """How long and how fast to train on `n_rows` rows."""
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
    n_steps = math.ceil(n_rows / batch_size)
    if not is_partial:
        n_steps = max(n_steps, _MIN_STEPS_PER_EPOCH)
    # A small table in a single batch has time to spare for less noise.
    n_draws = 1
    if batch_size == n_rows:
        n_draws = 2 * int(np.clip(256 // n_rows, 1, 4))
    # A divergence that takes several draws at a time takes them to be independent.
    n_draws = divergence.n_draws * math.ceil(n_draws / divergence.n_draws)
    return training.Plan(
        n_epochs=1 if is_partial else vae.max_iter,
        n_planned_epochs=vae.max_iter,
        steps_per_epoch=n_steps,
        batch_size=batch_size,
        n_draws=n_draws,
        schedule="constant" if is_partial else vae.learning_rate,
        learning_rate=vae.learning_rate_init,
        weight_decay=vae.alpha,
        patience=None if is_partial else vae.n_iter_no_change,
        tolerance=vae.tol,
        is_paired=divergence.n_draws == 1,
    )
