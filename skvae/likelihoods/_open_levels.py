"""Columns with about as many levels as rows, which are names rather than categories."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from skvae.data._refuse import capital
from skvae.exceptions import ColumnWarning
from skvae.likelihoods._groups import groups_of
from skvae.likelihoods._levels import Levels

if TYPE_CHECKING:
    from skvae.data._columns import Columns
    from skvae.likelihoods._base import Floats, Likelihood


# Levels from which on a column is reported.
_FEWEST = 20


def open_columns(likelihood: Likelihood, n_features: int) -> list[int]:
    """Columns whose new rows are likely to hold new levels.

    Parameters
    ----------
    likelihood : Likelihood
        With its levels.
    n_features : int
    """
    found: list[int] = []
    for group in groups_of(likelihood, n_features):
        if isinstance(group.likelihood, Levels):
            found += group.columns[group.likelihood.is_open_].tolist()
    return sorted(found)


def report_open_columns(likelihood: Likelihood, columns: Columns, X: Floats) -> None:
    """Warn about columns with about as many levels as rows.

    Parameters
    ----------
    likelihood : Likelihood
        With its levels.
    columns : Columns
        Contents of the columns of the user's table.
    X : ndarray of shape (n_samples, n_features)
        The table of fit as numbers.

    Raises
    ------
    ValueError
        If the levels of such a column are real numbers.
    """
    found = [
        d
        for d in open_columns(likelihood, X.shape[1])
        if len(np.unique(X[:, d][~np.isnan(X[:, d])])) >= _FEWEST
    ]
    for d in found:
        values = X[:, d][~np.isnan(X[:, d])]
        if columns.levels(d) is None and (values != np.rint(values)).any():
            raise ValueError(
                f"{capital(columns.name(d))} holds {len(np.unique(values))} "
                f"different real numbers in {len(values)} rows, which a likelihood of "
                "levels cannot describe. Use likelihood='auto', or give each column "
                "its likelihood in a list, such as [('categorical', [...]), "
                "('gaussian', [...])]."
            )
    if found:
        names = ", ".join(
            f"{columns.name(d)} ({len(np.unique(X[:, d][~np.isnan(X[:, d])]))} levels "
            f"in {(~np.isnan(X[:, d])).sum()} rows)"
            for d in found
        )
        warnings.warn(
            f"About as many levels as rows: {names}. New rows hold new levels, and the "
            "model has a logit for each that it can learn nothing for. Leave the "
            "column out, or replace it by what rows have in common, such as a title, a "
            "length or a part of a code.",
            ColumnWarning,
            stacklevel=2,
        )
