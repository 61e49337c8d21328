"""Error messages about values that a likelihood does not admit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.data._refuse import column_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from skvae.likelihoods._base import Likelihood


def refuse(
    likelihood: Likelihood,
    is_impossible: NDArray[np.bool_] | Tensor,
    X: Any,
    names: Sequence[str] | None,
    *,
    needed: str,
    remedy: str,
) -> None:
    """Raise ValueError about the first impossible value of a table, if there is one.

    Parameters
    ----------
    likelihood : Likelihood
        Its class is named in the message.
    is_impossible : ndarray of shape (n_samples, n_features), dtype=bool
        Cells that the likelihood does not admit. Of a tensor nothing is refused: a
        model that was exported raises no error.
    X : ndarray of shape (n_samples, n_features)
        The table.
    names : sequence of str or None
        Names of the columns.
    needed : str
        Values that the likelihood needs.
    remedy : str
        Sentence that ends the message.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.likelihoods import Poisson, refuse
    >>> X = np.array([[1.0, -2.0]])
    >>> refuse(Poisson(), X < 0, X, None, needed="counts", remedy="Drop it.")
    Traceback (most recent call last):
    ValueError: The Poisson likelihood needs counts, but column 1 holds -2. Drop it.
    """
    if isinstance(is_impossible, np.ndarray) and is_impossible.any():
        row, column = np.argwhere(is_impossible)[0]
        raise ValueError(
            f"The {type(likelihood).__name__} likelihood needs {needed}, but "
            f"{column_name(int(column), names)} holds {X[row, column]:g}. {remedy}"
        )
