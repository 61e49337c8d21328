"""The user's table as numbers, checked in scikit-learn's way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skvae.data._columns import Columns, holds_numbers_alone
from skvae.data._frames import container_of
from skvae.data._refuse import refuse_infinite

_PLAIN_TYPES = (np.dtype(np.float64), np.dtype(np.float32))


def checked_numbers(
    estimator: Any,
    X: Any,
    columns: Columns | None = None,
    place: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.floating], Columns]:
    """Check a table, and return it as numbers with the contents of its columns.

    Parameters
    ----------
    estimator : BalancedVAE
        Gets the number and names of the features, or is asked for them.
    X : array-like or DataFrame of shape (n_samples, n_features)
        As `readable` returns it.
    columns : Columns or None, default=None
        Those of the table of `fit`; None learns them.
    place : ndarray of shape (n_samples,) or None, default=None
        Number of each row in the user's table, where X is a part of it.

    Returns
    -------
    numbers : ndarray of shape (n_samples, n_features)
        NaN where a cell is missing, and `UNKNOWN` where a category is new.
    columns : Columns
    """
    if columns is not None and _is_plain(X, columns):
        return X, columns
    reset = columns is None
    if (columns is None or columns.holds_numbers) and holds_numbers_alone(X):
        numbers = validate_data(
            estimator,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            reset=reset,
        )
        if columns is None:
            columns = (
                Columns.of_numbers(numbers.shape[1])
                if container_of(X) == "array"
                else Columns.of(X)
            )
    else:
        if container_of(X) == "array":
            # Of objects: scikit-learn checks its shape.
            check_array(
                X,
                dtype=object,
                ensure_all_finite=False,
                input_name="X",
                estimator=estimator,
            )
        validate_data(estimator, X, skip_check_array=True, reset=reset)
        columns = Columns.of(X) if columns is None else columns
        numbers = check_array(columns.to_numbers(X), ensure_all_finite=False)
    refuse_infinite(numbers, columns.names, place)
    return numbers, columns


def _is_plain(X: Any, columns: Columns) -> bool:
    """True for an array that scikit-learn's checks would return as it is.

    The checks take several times as long as a small network takes for one row.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in _PLAIN_TYPES
        and X.shape[1] == len(columns.kinds)
        and len(X) > 0
        and columns.is_array_of_numbers
        and not np.isinf(X).any()
    )
