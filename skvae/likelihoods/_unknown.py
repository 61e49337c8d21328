"""Values that are new to a likelihood: an error, or missing cells and one warning."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.data._columns import UNKNOWN
from skvae.data._refuse import capital, listed
from skvae.exceptions import ColumnWarning
from skvae.likelihoods._groups import member_at
from skvae.likelihoods._open_levels import open_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skvae.data._columns import Columns
    from skvae.likelihoods._base import Floats, Likelihood

# A few rows may well hold new levels alone; from so many on, a column of nothing but
# new ones is one in another form.
_FEWEST = 10

# Columns that a message lists.
_LISTED = 5

# How levels become known that rows do not hold.
_DECLARE = (
    "Declare levels that a first table lacks by the type of its column, "
    "pandas.CategoricalDtype([...])."
)


def admitted_numbers(
    likelihood: Likelihood, columns: Columns, numbers: Floats, X: Any
) -> Floats:
    """Numbers that a likelihood admits; new levels are errors or missing cells.

    Parameters
    ----------
    likelihood : Likelihood
        Fitted, or at least with its levels.
    columns : Columns
        Contents of the columns of the user's table.
    numbers : ndarray of shape (n_samples, n_features)
        The table as numbers.
    X : array or DataFrame of shape (n_samples, n_features)
        The user's table, which messages cite.

    Returns
    -------
    numbers : ndarray of shape (n_samples, n_features)
        NaN where a cell is missing, or holds a level that is new and taken for missing;
        a `ColumnWarning` counts the latter.

    Raises
    ------
    ValueError
        If a value is impossible, or a level is new and `handle_unknown` is "error", or
        a column holds nothing but new levels.
    """
    if columns.is_category.any():
        _refuse_unknown(likelihood, columns, numbers, X)
    admitted = likelihood.admit(numbers, columns.names)
    if admitted is numbers:
        return numbers
    is_new = np.isnan(admitted) & ~np.isnan(numbers)
    if is_new.any():
        _refuse_other_form(likelihood, columns, numbers, is_new, X)
        _warn(columns, numbers, is_new, X)
    return admitted


def _refuse_unknown(
    likelihood: Likelihood, columns: Columns, numbers: Floats, X: Any
) -> None:
    """Raise ValueError about a category that is new where that is an error."""
    is_new = (numbers == UNKNOWN).any(axis=0) & columns.is_category
    for d in np.flatnonzero(is_new).tolist():
        member: Any = member_at(likelihood, numbers.shape[1], d)
        if member.handle_unknown == "error":
            raise ValueError(
                f"{capital(columns.name(d))} holds the category "
                f"{columns.unknown(X, d)!r}, which the table of fit did not: "
                f"{_known(columns, d)}. {_remedy(member)} {_DECLARE}"
            )


def _remedy(member: Any) -> str:
    """Settings with which new levels of a column are missing cells."""
    return (
        "Set handle_unknown='missing' of the estimator to take new categories for "
        f"missing, or {type(member).__name__}(handle_unknown='missing') where the "
        "likelihood of the column is given in a list."
    )


def _refuse_other_form(
    likelihood: Likelihood,
    columns: Columns,
    numbers: Floats,
    is_new: NDArray[np.bool_],
    X: Any,
) -> None:
    """Raise ValueError about a column all of whose cells hold new levels."""
    n_observed = (~np.isnan(numbers)).sum(axis=0)
    n_new = is_new.sum(axis=0)
    # A name of its own in every row is new in every new row, and a column of a single
    # level has no form to compare with.
    exempt = open_columns(likelihood, numbers.shape[1])
    for d in np.flatnonzero((n_new == n_observed) & (n_new >= _FEWEST)).tolist():
        levels = columns.levels(d)
        if d not in exempt and (levels is None or len(levels) > 1):
            raise ValueError(
                f"None of the {n_new[d]} cells of {columns.name(d)} holds a value that "
                f"it had in the table of fit: they hold "
                f"{_example(columns, numbers, is_new, X, d)}, and "
                f"{_known(columns, d)}. Bring the column into the form of that table, "
                "leave its cells missing (NaN or None), or give it another likelihood "
                "in a list, such as [('gaussian', [...]), ('categorical', [...])]."
            )


def _warn(columns: Columns, numbers: Floats, is_new: NDArray[np.bool_], X: Any) -> None:
    """Warn once about all cells that are taken for missing."""
    changed = np.flatnonzero(is_new.any(axis=0)).tolist()
    counts = [
        f"{is_new[:, d].sum()} of {columns.name(d)} (such as "
        f"{_example(columns, numbers, is_new, X, d)})"
        for d in changed[:_LISTED]
    ]
    more = f", and of {len(changed) - _LISTED} more columns" * (len(changed) > _LISTED)
    declare = f" {_DECLARE}" * bool(columns.is_category[changed].any())
    warnings.warn(
        "Cells with values that the table of fit did not hold are taken for missing: "
        f"{', '.join(counts)}{more}. To make this an error, set "
        f"handle_unknown='error'.{declare}",
        ColumnWarning,
        stacklevel=4,
    )


def _example(
    columns: Columns, numbers: Floats, is_new: NDArray[np.bool_], X: Any, d: int
) -> str:
    """A new value of a column."""
    if columns.levels(d) is not None:
        return repr(columns.unknown(X, d))
    # All digits: 1.0000001 is new where 1 is known.
    return str(numbers[is_new[:, d], d][0]).removesuffix(".0")


def _known(columns: Columns, d: int) -> str:
    """Some of the levels that are known."""
    levels = columns.levels(d)
    if levels is None:
        return "known are other numbers"
    return f"known are {listed(list(levels), _LISTED)}"
