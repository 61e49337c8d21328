"""Public attributes of a fitted estimator, from the model and its evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.fitted._fitted import Fitted

# A latent whose posterior mean varies less over rows carries nothing (Burda et al.).
MIN_ACTIVITY = 0.01


def attributes_of(
    fitted: Fitted, activity: NDArray[np.floating], rate: float, distortion: float
) -> dict[str, Any]:
    """Attributes of an estimator that follow from the weights of its model.

    Parameters
    ----------
    fitted : Fitted
        The model.
    activity : ndarray of shape (n_components,)
        Variance of the posterior mean over the training rows.
    rate, distortion : float
        Means over the rows that the model is scored on, in nats and in the units of X.
    """
    return {
        "n_components_": fitted.spec.n_components,
        "variance_": variance_of_columns(fitted),
        "active_units_": activity > MIN_ACTIVITY,
        "rate_": rate,
        "distortion_": distortion,
        "elbo_": -(rate + distortion),
        "_fitted": fitted,
    }


def variance_of_columns(fitted: Fitted) -> Any:
    """Dispersion of each column, NaN where it has none; one number where shared."""
    spec, variance = fitted.spec, fitted.variance[0]
    dispersion = spec.likelihood.column_dispersion(spec.n_features)
    if dispersion is None:
        return None
    if len(variance) == 1 or dispersion.columns.all():
        return number(variance)
    found = np.full(spec.n_features, np.nan)
    found[dispersion.columns] = variance
    return found


def number(values: NDArray[np.floating]) -> Any:
    """Float where there is one value, else the values in float64."""
    if len(values) > 1:
        return values.astype(np.float64)
    # By way of its shortest decimal: 0.1 in float32 is 0.1, not 0.10000000149.
    return float(str(values[0]))
