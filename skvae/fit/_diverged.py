"""Training that diverged: what to change, for the fit at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.data._refuse import column_name

if TYPE_CHECKING:
    from skvae.fit._prepared import Prepared

# Settings below these have not made training diverge, so that lowering them is no help.
_LOW_LEARNING_RATE = 1e-4
_LOW_BETA = 100.0

# Weight of a row relative to the mean, distance of a cell from the mean in standard
# deviations, and ratio of two standard deviations, above which they are named.
_HEAVY, _FAR, _UNLIKE = 30.0, 30.0, 1e3


def remedies(vae: Any, prepared: Prepared, beta: float) -> str:
    """Sentences on what may keep the training of an estimator from diverging.

    Parameters
    ----------
    vae : BalancedVAE
        Its settings.
    prepared : Prepared
        The table.
    beta : float
        Weight of the rate.
    """
    found = []
    rate = vae.learning_rate_init
    if beta > _LOW_BETA:
        found.append(f"Lower beta (now {beta:g}).")
    if vae.alpha * rate >= 1.0:
        found.append(f"Lower alpha (now {vae.alpha:g}), which undoes each step.")
    if rate >= _LOW_LEARNING_RATE:
        found.append(f"Lower learning_rate_init (now {rate:g}).")
    found += _of_weights(prepared) + _of_scales(vae, prepared) + _of_cells(prepared)
    if vae.precision != "float64":
        found.append("Or use precision='float64'.")
    return " ".join(found)


def _of_weights(prepared: Prepared) -> list[str]:
    """Sentence about a row that outweighs the others, if there is one."""
    weight = prepared.admitted.weight
    ratio = weight.max() / weight.mean()
    if ratio < _HEAVY:
        return []
    return [f"Even out sample_weight: one row has {ratio:.3g} times the mean weight."]


def _of_scales(vae: Any, prepared: Prepared) -> list[str]:
    """Sentence about columns that differ in scale, where they are left so."""
    names, scaling = prepared.view.columns.names, prepared.view.scaling
    places = np.flatnonzero(np.isfinite(scaling.farthest))
    if vae.standardize is not False or not len(places):
        return []
    sizes = np.sqrt(scaling.variance[places])
    if sizes.max() < _UNLIKE * sizes.min():
        return []
    least, most = int(places[sizes.argmin()]), int(places[sizes.argmax()])
    return [
        "Pass standardize=True, as the columns differ in scale: the standard deviation "
        f"of {column_name(least, names)} is {sizes.min():.3g}, that of "
        f"{column_name(most, names)} {sizes.max():.3g}."
    ]


def _of_cells(prepared: Prepared) -> list[str]:
    """Sentence about the column whose cell is furthest from the mean, if it is far."""
    view, X = prepared.view, prepared.admitted.X[prepared.admitted.rows]
    scaling = view.scaling
    places = np.flatnonzero(np.isfinite(scaling.farthest))
    if not len(places):
        return []
    x, _ = view.seen(X)
    std = np.sqrt(scaling.variance[places])
    distance = (np.abs(x[:, places] - scaling.mean[places]) / std).max(axis=0)
    if distance.max() < _FAR:
        return []
    column = int(places[distance.argmax()])
    low, high = np.nanmin(X[:, column]), np.nanmax(X[:, column])
    return [
        f"Look at {column_name(column, view.columns.names)}, from {low:g} to {high:g}, "
        f"of which a value is {distance.max():.3g} standard deviations from the mean: "
        "correct it, or use likelihood='student_t' for the column."
    ]
