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
    """Numbers of a table that a likelihood admits, as `NewLevels` has them."""
    new = NewLevels(likelihood, columns)
    admitted = new.admit(numbers, X)
    new.report()
    return admitted


class NewLevels:
    """New levels in a table, counted over the blocks of its rows.

    Parameters
    ----------
    likelihood : Likelihood
        Fitted, or at least with its levels.
    columns : Columns
        Contents of the columns of the user's table.
    """

    def __init__(self, likelihood: Likelihood, columns: Columns) -> None:
        self.likelihood, self.columns = likelihood, columns
        n_features = len(columns.kinds)
        #: Cells of each column that hold new levels.
        self.n_new = np.zeros(n_features, dtype=np.intp)
        self._has_known = np.zeros(n_features, dtype=bool)
        self._examples: dict[int, str] = {}

    def admit(self, numbers: Floats, X: Any) -> Floats:
        """Numbers of a block that the likelihood admits, with its new levels counted.

        Parameters
        ----------
        numbers : ndarray of shape (n_samples, n_features)
            The block as numbers.
        X : array or DataFrame of shape (n_samples, n_features)
            The block itself, which messages cite.

        Returns
        -------
        numbers : ndarray of shape (n_samples, n_features)
            NaN where a cell is missing, or holds a level that is new and taken for
            missing.

        Raises
        ------
        ValueError
            If a value is impossible, or a level is new and `handle_unknown` is "error".
        """
        if self.columns.is_category.any():
            _refuse_unknown(self.likelihood, self.columns, numbers, X)
        admitted = self.likelihood.admit(numbers, self.columns.names)
        if not self._has_known.all():
            self._has_known |= ~np.isnan(admitted).all(axis=0)
        if admitted is numbers:
            return numbers
        is_new = np.isnan(admitted) & ~np.isnan(numbers)
        self.n_new += is_new.sum(axis=0)
        for d in np.flatnonzero(is_new.any(axis=0)).tolist():
            if d not in self._examples:
                self._examples[d] = _example(self.columns, numbers, is_new, X, d)
        return admitted

    def report(self) -> None:
        """Warn once about all cells that are taken for missing.

        Raises
        ------
        ValueError
            If a column holds nothing but new levels.
        """
        if self.n_new.any():
            self._refuse_other_form()
            self._warn()

    def _refuse_other_form(self) -> None:
        """Raise ValueError about a column all of whose cells hold new levels."""
        columns, n_new = self.columns, self.n_new
        # A name of its own in every row is new in every new row, and a column of a
        # single level has no form to compare with.
        exempt = open_columns(self.likelihood, len(n_new))
        for d in np.flatnonzero(~self._has_known & (n_new >= _FEWEST)).tolist():
            levels = columns.levels(d)
            if d not in exempt and (levels is None or len(levels) > 1):
                raise ValueError(
                    f"None of the {n_new[d]} cells of {columns.name(d)} holds a value "
                    f"that it had in the table of fit: they hold {self._examples[d]}, "
                    f"and {_known(columns, d)}. Bring the column into the form of that "
                    "table, leave its cells missing (NaN or None), or give it another "
                    "likelihood in a list, such as [('gaussian', [...]), "
                    "('categorical', [...])]."
                )

    def _warn(self) -> None:
        """Warn of new levels, by column."""
        columns, changed = self.columns, np.flatnonzero(self.n_new).tolist()
        counts = [
            f"{self.n_new[d]} of {columns.name(d)} (such as {self._examples[d]})"
            for d in changed[:_LISTED]
        ]
        n_more = len(changed) - _LISTED
        more = f", and of {n_more} more columns" * (n_more > 0)
        declare = f" {_DECLARE}" * bool(columns.is_category[changed].any())
        warnings.warn(
            "Cells with values that the table of fit did not hold are taken for "
            f"missing: {', '.join(counts)}{more}. To make this an error, set "
            f"handle_unknown='error'.{declare}",
            ColumnWarning,
            stacklevel=5,
        )


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
