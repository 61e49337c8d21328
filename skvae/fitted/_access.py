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
from skvae.likelihoods._unknown import admitted_numbers

if TYPE_CHECKING:
    from skvae.fitted._inference import Model

Floats: TypeAlias = NDArray[np.floating]


def fitted_of(vae: Any) -> Fitted:
    """The fitted model of an estimator, or `NotFittedError`."""
    check_is_fitted(vae)
    return vae._fitted


def admitted(
    vae: Any, X: Any, place: NDArray[np.intp] | None = None
) -> tuple[Fitted, Floats]:
    """Fitted model of an estimator, and the user's rows as admitted numbers.

    Parameters
    ----------
    vae : BalancedVAE
        Fitted.
    X : array-like of shape (n_samples, n_features)
    place : ndarray of shape (n_samples,) or None, default=None
        Number of each row in the user's table, where X is a part of it.

    Returns
    -------
    fitted : Fitted
    X : ndarray of shape (n_samples, n_features)
        Admitted numbers; NaN where a cell is missing.
    """
    fitted = fitted_of(vae)
    X = in_memory(X)
    view = fitted.view
    numbers, _ = checked_numbers(vae, X, view.columns, place)
    return fitted, admitted_numbers(fitted.spec.likelihood, view.columns, numbers, X)


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

    def found(table: Any, place: NDArray[np.intp] | None) -> tuple[Floats, ...]:
        fitted, numbers = admitted(vae, table, place)
        return method(fitted.on(vae.device, numbers.dtype), numbers)

    blocks = blocks_of(X)
    if blocks is None:
        return found(X, None)
    whole: tuple[Floats, ...] = ()
    for start, table in blocks.read():
        rows = slice(start, start + len(table))
        parts = found(table, np.arange(rows.start, rows.stop))
        if not whole:
            whole = tuple(
                np.empty((blocks.n_rows, *part.shape[1:]), part.dtype) for part in parts
            )
        for array, part in zip(whole, parts, strict=True):
            array[rows] = part
    return whole
