"""Groups of columns of any likelihood: one of a family, several of a mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.likelihoods._by_columns import ByColumns
from skvae.likelihoods._group import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skvae.likelihoods._base import Likelihood


def groups_of(likelihood: Likelihood, n_features: int) -> list[Group[Likelihood]]:
    """Groups of columns, each with one likelihood; a family by itself is one group."""
    if isinstance(likelihood, ByColumns):
        return likelihood.listed()
    return [Group(likelihood, np.arange(n_features), is_all=True)]


def member_at(likelihood: Likelihood, n_features: int, column: int) -> Likelihood:
    """Likelihood of a column."""
    groups = groups_of(likelihood, n_features)
    return next(group.likelihood for group in groups if column in group.columns)


def continuous(likelihood: Likelihood, n_features: int) -> NDArray[np.bool_]:
    """Columns that the table centres and scales, of shape (n_features,)."""
    found = np.zeros(n_features, dtype=bool)
    for group in groups_of(likelihood, n_features):
        found[group.columns] = group.likelihood.is_continuous
    return found


def is_gaussian(likelihood: Likelihood, n_features: int) -> bool:
    """True where a linear model is exact for all columns of a fitted likelihood."""
    columns = likelihood.linear_columns(n_features)
    return columns is not None and columns.is_exact(n_features)
