"""The fitted model of an estimator, and rows that are checked against it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skvae.data._checks import checked_numbers
from skvae.data._frames import readable
from skvae.fitted._fitted import Fitted
from skvae.likelihoods._unknown import admitted_numbers


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
    X = readable(X)
    view = fitted.view
    numbers, _ = checked_numbers(vae, X, view.columns)
    return fitted, admitted_numbers(fitted.spec.likelihood, view.columns, numbers, X)
