"""The fitted model of an estimator, and rows that are checked against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skvae.data._checks import checked_numbers
from skvae.data._large import blocks_of, in_memory
from skvae.fitted._fitted import Fitted
from skvae.likelihoods._unknown import NewLevels, admitted_numbers

if TYPE_CHECKING:
    from skvae.fitted._inference import Model

Floats: TypeAlias = NDArray[np.floating]


def fitted_of(vae: Any) -> Fitted:
    """The fitted model of an estimator, or `NotFittedError`."""
    check_is_fitted(vae)
    return vae._fitted


def admitted(vae: Any, X: Any) -> tuple[Fitted, Floats]:
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
    X = in_memory(X)
    columns = fitted.view.columns
    numbers, _ = checked_numbers(vae, X, columns)
    return fitted, admitted_numbers(fitted.spec.likelihood, columns, numbers, X)


def of_rows(
    vae: Any, X: Any, method: Callable[[Model, Floats], tuple[Floats, ...]]
) -> tuple[Floats, ...]:
    """Arrays with an entry for each row, from a method of the trained model.

    A table that is too large for memory goes through it block by block.

    Parameters
    ----------
    vae : BalancedVAE
        Fitted.
    X : array-like of shape (n_samples, n_features)
    method : callable
        Gets the model and admitted numbers.
    """
    blocks = blocks_of(X)
    if blocks is None:
        fitted, numbers = admitted(vae, X)
        return method(fitted.on(vae.device, numbers.dtype), numbers)
    fitted = fitted_of(vae)
    columns = fitted.view.columns
    new = NewLevels(fitted.spec.likelihood, columns)
    whole: tuple[Floats, ...] = ()
    for start, table in blocks.read():
        rows = slice(start, start + len(table))
        place = np.arange(rows.start, rows.stop)
        numbers, _ = checked_numbers(vae, table, columns, place)
        numbers = new.admit(numbers, table)
        parts = method(fitted.on(vae.device, numbers.dtype), numbers)
        if not whole:
            whole = tuple(
                np.empty((blocks.n_rows, *part.shape[1:]), part.dtype) for part in parts
            )
        for array, part in zip(whole, parts, strict=True):
            array[rows] = part
    new.report()
    return whole
