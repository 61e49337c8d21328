"""The fitted model of an estimator, and rows that are checked against it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skvae.data._checks import checked_numbers
from skvae.data._columns import UNKNOWN
from skvae.fitted._fitted import Fitted
from skvae.likelihoods._groups import member_at


def fitted_of(vae: Any) -> Fitted:
    """The fitted model of an estimator, or `NotFittedError`."""
    check_is_fitted(vae)
    return vae._fitted


def admitted(vae: Any, X: Any) -> tuple[Fitted, NDArray[np.floating]]:
    """Fitted model of an estimator, and the user's rows as admitted numbers.

    Parameters
    ----------
    vae : BalancedVAE
        Fitted.
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    fitted : Fitted
    X : ndarray of shape (n_samples, n_features)
        Admitted numbers; NaN where a cell is missing.
    """
    fitted = fitted_of(vae)
    numbers, _ = checked_numbers(vae, X, fitted.view.columns)
    if fitted.view.columns.is_category.any():
        numbers = _with_known_categories(fitted, numbers, X)
    return fitted, fitted.view.admit(numbers)


def _with_known_categories(
    fitted: Fitted, numbers: NDArray[np.floating], X: Any
) -> NDArray[np.floating]:
    """Numbers, with NaN for new categories where these are allowed, or ValueError."""
    columns = fitted.view.columns
    is_new = (numbers == UNKNOWN).any(axis=0) & columns.is_category
    for d in np.flatnonzero(is_new).tolist():
        member: Any = member_at(fitted.spec.likelihood, fitted.spec.n_features, d)
        if member.handle_unknown == "error":
            name = d if columns.names is None else columns.names[d]
            raise ValueError(
                f"Column {name!r} holds the category {columns.unknown(X, d)!r}, "
                "which the table of fit did not. Use Categorical("
                "handle_unknown='missing') to take new categories for missing."
            )
        numbers[numbers[:, d] == UNKNOWN, d] = np.nan
    return numbers
