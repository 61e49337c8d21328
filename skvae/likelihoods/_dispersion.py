"""Dispersions of columns, which a balance policy may move."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from skvae.ground._tensors import columns_of, weighted_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from skvae.likelihoods._group import Group

    Floats: TypeAlias = NDArray[np.floating]
    Groups: TypeAlias = Sequence[Group["Family"]]
    ErrorVJP: TypeAlias = Callable[
        [Tensor, Tensor, Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]
    ]


class Family(Protocol):
    """A likelihood with a dispersion, as `Dispersed` documents it."""

    variance: float | ArrayLike | None
    floor: float

    @property
    def error_vjp(self) -> ErrorVJP | None:
        """Mean errors with their derivative, where it has a closed form."""

    def error(self, x: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Error of every cell."""

    def distortion_from_error(
        self, error: Tensor, variance: Tensor, observed_fraction: Tensor | float = 1.0
    ) -> Tensor:
        """Distortion of each replica from its mean errors."""

    def dispersion_at(self, variance: Floats) -> Floats:
        """Dispersion at which a cell has some variance."""


class _Part(NamedTuple):
    """Columns with the same likelihood, which has a dispersion."""

    family: Family
    cells: Group[Family]
    """These columns among those of the table."""
    places: Group[Family]
    """The same among the columns that have a dispersion."""


class Dispersion:
    """Dispersions of the columns of a table, one number for all rows.

    The error of a cell is a function of the decoder's output, and the mean error of a
    column, over a batch, is all that its distortion depends on. It is also the
    maximum-likelihood dispersion. Tensors of dispersions have the columns as their last
    axis, in the order of the table and without those that have none; an axis of
    length 1 is one dispersion for all.

    Parameters
    ----------
    groups : sequence of Group
        Columns that have a dispersion; all likelihoods are `Dispersed`.
    n_features : int
        Number of columns of the table.

    Attributes
    ----------
    columns : ndarray of shape (n_features,), dtype=bool
        Columns that have a dispersion.

    Raises
    ------
    ValueError
        If the user fixed some dispersions and left others free.
    """

    def __init__(self, groups: Groups, n_features: int) -> None:
        self.columns = np.zeros(n_features, dtype=bool)
        self.columns[np.concatenate([group.columns for group in groups])] = True
        self._rank = np.cumsum(self.columns) - 1
        self._parts = [
            _Part(group.likelihood, group, self._ranked(group)) for group in groups
        ]
        families = [part.family for part in self._parts]
        fixed = [family for family in families if family.variance is not None]
        if 0 < len(fixed) < len(families):
            raise ValueError(
                f"likelihood gives some columns a fixed variance, as {fixed[0]!r}, and "
                "leaves others free, but a balance moves either all variances or none. "
                "Fix all of them, or leave all free (variance=None)."
            )
        self.is_free = not fixed
        places = np.concatenate([part.places.columns for part in self._parts])
        is_ordered = bool((np.diff(places) > 0).all())
        self._order = None if is_ordered else np.argsort(places)

    def _ranked(self, group: Group[Any]) -> Group[Any]:
        """Group with places among the columns that have a dispersion."""
        places = self._rank[group.columns]
        is_all = np.array_equal(places, np.arange(self.columns.sum()))
        return replace(group, columns=places, is_all=is_all)

    def of(self, group: Group[Any], variance: Tensor) -> Tensor:
        """Dispersions of a group of columns, (n_replicas, 0) if it has none."""
        if not self.columns[group.columns].all():
            return variance[:, :0]
        return self._ranked(group).of(variance)

    @property
    def unmoved(self) -> NDArray[np.float64]:
        """Dispersions where no policy moves them: those the user fixed, or 1.

        Of shape (1,) or (n_dispersed,).

        Raises
        ------
        ValueError
            If one that the user fixed is not a number above 0.
        """
        if self.is_free:
            return np.ones(1)
        family, cells, _ = self._parts[0]
        if cells.is_all:
            return _checked(family, len(cells.columns))
        return self._filled(lambda part: _checked(part.family, len(part.cells.columns)))

    def at(self, variance: Floats) -> Floats:
        """Dispersions at which cells have some variance.

        Parameters
        ----------
        variance : ndarray of shape (n_features,)

        Returns
        -------
        dispersion : ndarray of shape (n_dispersed,)
        """
        return self._filled(
            lambda part: part.family.dispersion_at(variance[part.cells.columns])
        )

    def least(self, variance: Floats) -> Floats:
        """Smallest dispersions that may be learned, given the variances of columns.

        Parameters and shapes are those of `at`.
        """

        def least_of(part: _Part) -> Floats:
            family = part.family
            return family.dispersion_at(family.floor * variance[part.cells.columns])

        return self._filled(least_of)

    def _filled(self, function: Callable[[_Part], Any]) -> NDArray[np.float64]:
        found = np.empty(self.columns.sum())
        for part in self._parts:
            found[part.places.columns] = function(part)
        return found

    def mean_error(
        self, x: Tensor, parameters: dict[str, Tensor], weight: Tensor
    ) -> Tensor:
        """Weighted mean error of each column: its maximum-likelihood dispersion.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)
        weight : Tensor of shape (n_rows, 1) or (n_rows, n_features)
            Sums over rows to about 1; with a column for each feature, which is zero
            where a cell is missing, to the weight of the observed rows.

        Returns
        -------
        error : Tensor of shape (n_replicas, n_dispersed)
        """
        errors = [
            weighted_sum(
                family.error(cells.of(x), cells.own(parameters)), cells.of(weight)
            )
            for family, cells, _ in self._parts
        ]
        if len(errors) == 1 and self._order is None:
            return errors[0]
        import torch

        found = torch.cat(errors, dim=-1)
        return found if self._order is None else columns_of(found, self._order)

    def distortion(
        self, error: Tensor, variance: Tensor, observed_fraction: Tensor | float = 1.0
    ) -> Tensor:
        """Distortion of the columns that have a dispersion, from their mean errors.

        Parameters
        ----------
        error : Tensor of shape (n_replicas, n_dispersed)
            As `mean_error` returns it.
        variance : Tensor of shape (n_replicas, 1 or n_dispersed)
            The dispersions.
        observed_fraction : Tensor of shape (n_dispersed,) or float, default=1.0
            Observed fraction of each column, by weight of rows.

        Returns
        -------
        distortion : Tensor of shape (n_replicas,)
            In nats per row.
        """
        found = [
            family.distortion_from_error(
                places.of(error),
                places.of(variance),
                observed_fraction
                if isinstance(observed_fraction, float)
                else places.of(observed_fraction),
            )
            for family, _, places in self._parts
        ]
        return sum(found[1:], start=found[0])

    @property
    def error_vjp(
        self,
    ) -> ErrorVJP | None:
        """`mean_error` with its derivative; None where there is no closed form.

        There is one where a single family has all columns and implements it.
        """
        family, cells, _ = self._parts[0]
        return family.error_vjp if cells.is_all else None


def _checked(family: Family, n_features: int) -> NDArray[np.float64]:
    """Dispersions that the user fixed, of shape (1,) or (n_features,)."""
    variance = np.atleast_1d(np.asarray(family.variance, float))
    is_possible = ((variance > 0) & (variance < np.inf)).all()
    if variance.shape not in {(1,), (n_features,)} or not is_possible:
        raise ValueError(
            f"The variance of {type(family).__name__} must be a number above 0 or "
            f"one for each of the {n_features} features, got {family.variance!r}."
        )
    return variance
