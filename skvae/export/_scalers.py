"""scikit-learn's scalers as affine maps, to be composed with a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)


class Scaler(NamedTuple):
    """A step of a pipeline: (x - center) / scale, within two bounds."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: float = -np.inf
    high: float = np.inf


def scalers_of(steps: Sequence[Pipeline], needed_by: str) -> list[Scaler]:
    """Scalers that rows pass before they reach the model.

    Parameters
    ----------
    steps : sequence of Pipeline
        As `model_in` returns them.
    needed_by : str
        Function that the user called.

    Raises
    ------
    ValueError
        If a step is none of the scalers that are known to be affine.
    """
    found = []
    for pipeline in steps:
        for name, step in pipeline.steps:
            if isinstance(step, Pipeline):
                found += scalers_of([step], needed_by)
            elif step is not None and step != "passthrough":
                found.append(_scaler(name, step, needed_by))
    return found


def _scaler(name: str, step: Any, needed_by: str) -> Scaler:
    # The class itself: one that derives from it may do anything.
    if type(step) not in _SCALERS:
        known = ", ".join(kind.__name__ for kind in _SCALERS)
        raise ValueError(
            f"{needed_by} composes the model with the scalers {known}, and the step "
            f"{name!r} is a {type(step).__name__}. Export the last step of the "
            "pipeline alone, and apply the steps before it where the model is used. "
            "The model scales its columns itself and needs no scaler."
        )
    return _SCALERS[type(step)](step)


def _standard(step: Any) -> Scaler:
    return Scaler(*_units(step, step.mean_ if step.with_mean else None, step.scale_))


def _robust(step: Any) -> Scaler:
    return Scaler(*_units(step, step.center_, step.scale_))


def _min_max(step: Any) -> Scaler:
    bounds = step.feature_range if step.clip else (-np.inf, np.inf)
    return Scaler(-step.min_ / step.scale_, 1.0 / step.scale_, *map(float, bounds))


def _max_abs(step: Any) -> Scaler:
    # It has had no clip before scikit-learn 1.9.
    bound = 1.0 if getattr(step, "clip", False) else np.inf
    return Scaler(*_units(step, None, step.scale_), -bound, bound)


def _units(
    step: Any, center: Any, scale: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and scale of each column, where None stands for 0 and 1."""
    shape = step.n_features_in_
    return (
        np.zeros(shape) if center is None else np.asarray(center, dtype=np.float64),
        np.ones(shape) if scale is None else np.asarray(scale, dtype=np.float64),
    )


_SCALERS: dict[type, Callable[[Any], Scaler]] = {
    StandardScaler: _standard,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    RobustScaler: _robust,
}
