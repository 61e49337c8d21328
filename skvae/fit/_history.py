"""Histories of trainings: in the units of X, and one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def joined(
    first: dict[str, NDArray[np.floating]], then: dict[str, NDArray[np.floating]]
) -> dict[str, NDArray[np.floating]]:
    """Histories one after the other; nan where one lacks what the other has."""
    lengths = [len(history["rate"]) for history in (first, then)]
    return {
        name: np.concatenate(
            [
                history.get(name, np.full(length, np.nan))
                for history, length in zip((first, then), lengths, strict=True)
            ]
        )
        for name in {**first, **then}
    }


def in_units_of_x(
    history: dict[str, NDArray[np.floating]],
    jacobian: float,
    validation_jacobian: float,
) -> dict[str, NDArray[np.floating]]:
    """History of the only replica, in the units of X."""
    history = {name: entries[:, 0].astype(float) for name, entries in history.items()}
    if "variance" in history:
        history["theta"] = history["beta"] * history["variance"]
    for name in ("distortion", "objective"):
        history[name] += jacobian
    if "validation_distortion" in history:
        history["validation_distortion"] += validation_jacobian
    for prefix in ("", "validation_"):
        if f"{prefix}rate" in history:
            history[f"{prefix}elbo"] = -(
                history[f"{prefix}rate"] + history[f"{prefix}distortion"]
            )
    return history
