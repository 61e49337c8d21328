"""Numbers that the precision of a training, or of scores, cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.data._refuse import column_name
from skvae.likelihoods._groups import continuous

if TYPE_CHECKING:
    from skvae.fit._prepared import Scaled

# Sizes whose squares a precision holds, with room for a floor and for sums.
_SIZES = {"float32": (1e-12, 1e12), "float64": (1e-75, 1e100)}


def check_scales(table: Scaled, precision: str) -> None:
    """Raise ValueError where a column is too large or too small to be left unscaled.

    Parameters
    ----------
    table : Scaled
    precision : {"float32", "float64"}
        Of the weights. Rows are scored in their own, which may be less.
    """
    scaling = table.view.scaling
    dtype = min(precision, scaling.dtype)
    least, most = _SIZES[dtype]
    size = np.maximum(np.abs(scaling.mean), np.sqrt(scaling.variance))
    # Other columns have a natural unit, and their likelihood admits what is possible.
    is_number = continuous(table.spec.likelihood, table.spec.n_features)
    is_wrong = is_number & ((size > most) | (size < least))
    if not is_wrong.any():
        return
    column = int(is_wrong.argmax())
    cells = table.admitted.X[:, column]
    wider = ", precision='float64'" if dtype == "float32" else ""
    name = column_name(column, table.view.columns.names).removeprefix("column ")
    raise ValueError(
        f"Column {name} ranges from "
        f"{np.nanmin(cells):g} to {np.nanmax(cells):g}, and {dtype} cannot hold the "
        "squares of such numbers. Use standardize=True, which scales the column inside "
        f"the model{wider}, or another unit."
    )
