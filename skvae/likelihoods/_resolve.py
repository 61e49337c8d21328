"""Likelihood of each column: the requested one, or one chosen by its contents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skvae._sklearn_compat import column_indices
from skvae.data._columns import Columns
from skvae.data._frames import LIBRARIES, container_of
from skvae.data._rows import chunks
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._bernoulli import Bernoulli
from skvae.likelihoods._beta import Beta
from skvae.likelihoods._by_columns import ByColumns
from skvae.likelihoods._categorical import Categorical
from skvae.likelihoods._continuous_bernoulli import ContinuousBernoulli
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._laplace import Laplace
from skvae.likelihoods._levels import Levels
from skvae.likelihoods._log_normal import LogNormal
from skvae.likelihoods._negative_binomial import NegativeBinomial
from skvae.likelihoods._ordinal import Ordinal
from skvae.likelihoods._poisson import Poisson
from skvae.likelihoods._student_t import StudentT
from skvae.likelihoods._zero_inflated_negative_binomial import (
    ZeroInflatedNegativeBinomial,
)

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "student_t": StudentT,
    "laplace": Laplace,
    "log_normal": LogNormal,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "beta": Beta,
    "categorical": Categorical,
    "ordinal": Ordinal,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "zero_inflated_negative_binomial": ZeroInflatedNegativeBinomial,
}

#: Names that choose by the contents of each column, and their choice for real numbers.
BY_CONTENT = {"auto": "gaussian", "robust": "student_t"}


def located(likelihood: Any, X: Any) -> Any:
    """Likelihood as requested, with positions in place of column selections.

    Parameters
    ----------
    likelihood : str, Likelihood or list of (str or Likelihood, columns)
        Columns as in scikit-learn's `ColumnTransformer`: names, positions, a mask, a
        slice or a callable that is given X.
    X : array or DataFrame
        The user's table.

    Raises
    ------
    ValueError
        If a column has no likelihood, or more than one.
    """
    if isinstance(likelihood, (str, Likelihood)):
        return likelihood
    if isinstance(X, (list, tuple)):
        # Columns are those of an array: of rows in a list there is no first column.
        X = np.asarray(X, dtype=object)
    found = []
    for entry in likelihood:
        if not isinstance(entry, (tuple, list)) or len(entry) != 2:
            raise ValueError(
                "likelihood must be a name, a Likelihood or a list of pairs "
                f"(likelihood, columns), got the entry {entry!r}."
            )
        member, columns = entry
        if not isinstance(member, Likelihood) and member not in LIKELIHOODS:
            raise ValueError(
                f"likelihood has the entry {member!r}, which is none of "
                f"{sorted(LIKELIHOODS)} and no Likelihood."
            )
        key = columns(X) if callable(columns) else columns
        found.append((member, np.asarray(column_indices(X, key), dtype=np.intp)))
    n_features = X.shape[1]
    counts = np.bincount(
        np.concatenate([columns for _, columns in found] or [np.zeros(0, np.intp)]),
        minlength=n_features,
    )
    names = LIBRARIES[container_of(X)].labels(X).names or range(n_features)
    for wrong, what in ((counts == 0, "no likelihood"), (counts > 1, "more than one")):
        if wrong.any():
            some = [names[d] for d in np.flatnonzero(wrong)[:5]]
            raise ValueError(
                f"likelihood gives {what} to the columns {some}. Each column needs "
                "one: name all of them, each once."
            )
    return [(member, columns) for member, columns in found if len(columns)]


def likelihood_of(
    asked_for: Any, X: NDArray[np.floating], columns: Columns, handle_unknown: str
) -> Likelihood:
    """Build the likelihood of a table of numbers.

    Parameters
    ----------
    asked_for : str, Likelihood or list
        As `located` returns it.
    X : ndarray of shape (n_samples, n_features)
        NaN where a cell is missing.
    columns : Columns
        Contents of the columns of the user's table.
    handle_unknown : {"missing", "error"}
        Treatment of new levels by members that are given by name, or chosen.
    """
    n_features = X.shape[1]
    groups: Sequence[tuple[Any, NDArray[np.intp]]]
    if isinstance(asked_for, str) and asked_for in BY_CONTENT:
        numbers = BY_CONTENT[asked_for]
        groups = _groups_by_content(X, columns, handle_unknown, numbers)
    elif isinstance(asked_for, (str, Likelihood)):
        every: NDArray[np.intp] = np.arange(n_features)
        groups = [(asked_for, every)]
    else:
        groups = asked_for
    built = [
        (_built(member, positions, columns, handle_unknown), positions)
        for member, positions in groups
    ]
    if len(built) == 1 and (np.diff(built[0][1]) > 0).all():
        return built[0][0]
    return ByColumns(built)


def _built(
    member: str | Likelihood,
    positions: NDArray[np.intp],
    columns: Columns,
    handle_unknown: str,
) -> Likelihood:
    """Likelihood of some columns; levels of categories are known from the table."""
    member = (
        _named(member, handle_unknown) if isinstance(member, str) else clone(member)
    )
    categories = [columns.levels(int(d)) for d in positions]
    is_coded = [each is not None for each in categories]
    if not any(is_coded):
        return member
    if not isinstance(member, Levels):
        d = int(positions[is_coded.index(True)])
        raise ValueError(
            f"The {type(member).__name__} likelihood needs numbers, but "
            f"{columns.name(d)} holds categories. Use likelihood='auto', or "
            "'categorical' for it."
        )
    if all(is_coded) and member.n_levels is None:
        sizes = [max(1, len(each)) for each in categories if each is not None]
        member.set_params(n_levels=sizes)
    return member


def _named(name: str, handle_unknown: str) -> Likelihood:
    """Likelihood of a name; where it has levels, new ones are treated as asked for."""
    member = LIKELIHOODS[name]()
    if isinstance(member, Levels):
        member.set_params(handle_unknown=handle_unknown)
    return member


def _groups_by_content(
    X: NDArray[np.floating], columns: Columns, handle_unknown: str, numbers: str
) -> Sequence[tuple[str | Likelihood, NDArray[np.intp]]]:
    """Categorical for categories, Bernoulli for what is 0 or 1, else that of numbers.

    A column of integers that holds nothing but zeros, or ones, is a flag that is never
    set in these rows, or always: what it is must not depend on the rows of a fold. In
    case it is a count after all, its larger values count as ones.
    """
    is_binary = np.ones(X.shape[1], dtype=bool)
    holds = np.zeros((2, X.shape[1]), dtype=bool)
    for part in chunks(*X.shape):
        x = X[part]
        is_zero, is_one = x == 0, x == 1
        is_binary &= (is_zero | is_one | np.isnan(x)).all(axis=0)
        holds |= is_zero.any(axis=0), is_one.any(axis=0)
    is_category = columns.is_category
    # The codes of categories may be 0 and 1 too.
    two_valued = is_binary & holds.all(axis=0) & ~is_category
    if (is_binary | is_category).all() and two_valued.any():
        # Among columns of zeros and ones, one that never varies is another of them.
        two_valued = is_binary & ~is_category
    two_valued |= columns.is_boolean
    is_flag = is_binary & holds.any(axis=0) & columns.is_integer & ~two_valued
    kinds: list[tuple[str | Likelihood, NDArray[np.bool_]]] = [
        (numbers, ~is_category & ~two_valued & ~is_flag),
        (Bernoulli(handle_unknown=handle_unknown), two_valued),
        (Bernoulli(threshold=0.5), is_flag),
        ("categorical", is_category),
    ]
    return [(member, np.flatnonzero(mask)) for member, mask in kinds if mask.any()]
