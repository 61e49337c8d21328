"""What a fitted estimator says of itself, from weights and what rows make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._columns import Columns
from skvae.data._scaling import Table
from skvae.model._calibration import Calibration
from skvae.model._evaluate import Evaluation
from skvae.model._spec import Parts


def attributes_of(
    parts: Parts,
    table: Table,
    values: NDArray[np.floating],
    shapes: dict[str, tuple[int, ...]],
    n_components: int,
    seen: Evaluation,
    held_out: Evaluation | None,
    calibration: Calibration | None,
    variance: torch.Tensor,
    jacobian: float,
    columns: Columns,
) -> dict[str, Any]:
    """Fitted attributes of one model.

    Parameters
    ----------
    parts : Parts
        What it is made of.
    table : Table
        Between X and what it sees.
    values : ndarray of shape (1, n_weights)
        Its weights.
    shapes : dict of str to tuple of int
        Their shapes.
    n_components : int
        Number of latents.
    seen, held_out : Evaluation
        Of the training rows and, if there are any, the held-out rows.
    calibration : Calibration or None
        How the decoder variance follows from them; None where it is fixed.
    variance : Tensor of shape (1, 1 or n_features)
        The fixed one.
    jacobian : float
        Nats per row that the distortion of the judged rows gains in the units of X.
    columns : Columns
        What the columns of X hold.
    """
    judged = seen if held_out is None else held_out
    if calibration is not None:
        assert seen.error is not None
        new_error = None if held_out is None else held_out.error
        variance = calibration(seen.error, new_error)
    module = parts.module(len(table.scale), n_components)
    rate = float(judged.rate[0])
    distortion = float(judged.distortion(module, variance)[0])
    distortion += jacobian
    scored = variance.cpu().numpy().astype(values.dtype, copy=False)
    has_variance = parts.likelihood.has_variance
    return {
        "n_components_": n_components,
        "variance_": None if not has_variance else _of_columns(parts, scored[0]),
        "active_units_": (seen.spread[0] > 0.01).cpu().numpy(),
        "rate_": rate,
        "distortion_": distortion,
        "elbo_": -(rate + distortion),
        "_parts": parts,
        "_table": table,
        "_columns": columns,
        "_shapes": shapes,
        "_values": values,
        "_variance": scored,
    }


def _of_columns(parts: Parts, variance: NDArray[np.floating]) -> Any:
    """Dispersion of each column, NaN where it has none; one number where shared."""
    if len(variance) == 1 or not parts.likelihood.has_rest:
        return number(variance)
    columns = parts.likelihood.dispersed(-1)
    found = np.full(len(columns), np.nan)
    found[columns] = variance
    return found


def number(values: NDArray[np.floating]) -> Any:
    """Float where there is one value, else the values in float64."""
    if len(values) > 1:
        return values.astype(np.float64)
    # By way of its shortest decimal: 0.1 in float32 is 0.1, not 0.10000000149.
    return float(str(values[0]))
