"""Detect posterior collapse after a fit, from the rate of each latent."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skvae.exceptions import PosteriorCollapseWarning
from skvae.fitted._predicted_collapse import n_directions
from skvae.linear._model import LinearModel

if TYPE_CHECKING:
    import torch

    from skvae.fitted._fitted import Fitted
    from skvae.fitted._inference import Model

Floats = NDArray[np.floating]

# A latent has collapsed if its rate is below the first, in nats, on all rows but this
# fraction of them.
MIN_RATE, RARE = 0.01, 0.01

# Explained nats below which a model explains nothing.
MIN_EXPLAINED = 0.1

# Rows examined after a fit. Fewer may not distinguish structure from noise, which is no
# fault of the model; a table of more is subsampled.
MIN_ROWS, MAX_ROWS = 50, 2000

# Numbers that a layer may hold for these rows; only columns of very many levels need
# more.
MAX_CELLS = 2**21


def warn_after_fit(
    fitted: Fitted, device: str | torch.device, X: Floats, weight: NDArray[np.float64]
) -> None:
    """Warn if a fitted model, or most of its latents, have collapsed.

    Parameters
    ----------
    fitted : Fitted
        The model.
    device : str or torch.device
        Where to compute.
    X : ndarray of shape (n_rows, n_features)
        Rows that it was fitted to, as admitted numbers.
    weight : ndarray of shape (n_rows,)
        Above 0.
    """
    if len(X) < MIN_ROWS or ((X[0] == X) | np.isnan(X)).all():
        return
    index = subsample(len(X), MAX_ROWS, seed=0)
    found = _found(fitted, device, X[index], weight[index] / weight[index].sum())
    if found:
        warnings.warn(
            f"{found} {fitted.spec.remedy(fitted.beta)} skvae.metrics.latent_report "
            "shows each latent.",
            PosteriorCollapseWarning,
            stacklevel=2,
        )


def _found(
    fitted: Fitted, device: str | torch.device, X: Floats, weight: Floats
) -> str:
    """Sentence on the latents that have collapsed; empty where none have."""
    model, n_components = fitted.on(device), fitted.spec.n_components
    kl = model.posterior(X).kl()[0].numpy()
    rate = float(weight @ kl.sum(axis=1))
    if rate < MIN_RATE and has_collapsed(rate, _explained(model, X, weight)):
        return (
            f"The model has collapsed to the prior: its rate is below {MIN_RATE} nats "
            "per row, and transform gives next to the same for all rows."
        )
    is_collapsed = collapsed(kl, weight)
    n_active = (~is_collapsed).sum()
    if 2 * n_active >= n_components:
        return ""
    # Latents beyond the rank of the rows cannot be active, and do no harm.
    x, _ = fitted.view.seen(X)
    linear = LinearModel.from_rows(x, weight, n_components)
    if 2 * n_active >= n_directions(linear.eigenvalues):
        return ""
    return (
        f"Most latents have collapsed to the prior, {is_collapsed.sum()} of "
        f"{n_components}: their rate is below {MIN_RATE} nats on "
        f"{1.0 - RARE:.0%} of the rows."
    )


def _explained(model: Model, rows: Floats, weight: Floats) -> float:
    """Nats that all latents together explain of a row, from as many as is quick."""
    n_rows = max(MIN_ROWS, MAX_CELLS // model.module.cells_per_row)
    index = subsample(len(rows), n_rows, seed=0)
    nats = model.explained(rows[index], by_each=False)[:, 0]
    return float(weight[index] @ nats / weight[index].sum())


def subsample(n_rows: int, max_rows: int, seed: int) -> NDArray[np.intp]:
    """Ascending indices of at most `max_rows` rows, all of them if that is enough."""
    if n_rows <= max_rows:
        return np.arange(n_rows)
    # RandomState: the streams of newer generators may change with numpy.
    return np.sort(np.random.RandomState(seed).permutation(n_rows)[:max_rows])


def collapsed(kl: Floats, weight: Floats) -> NDArray[np.bool_]:
    """Latents whose rate is next to nothing on all but a few rows.

    Parameters
    ----------
    kl : ndarray of shape (n_rows, n_components)
        Rate of each row and latent, in nats.
    weight : ndarray of shape (n_rows,)
        Sums to 1.
    """
    # Tolerance for a weight that equals the threshold but for rounding.
    return weight @ (kl >= MIN_RATE) <= RARE * (1.0 + 1e-9)


def has_collapsed(rate: float, explained: float) -> bool:
    """True where a model carries no information: low rate, and nothing explained."""
    return rate < MIN_RATE and explained < MIN_EXPLAINED
