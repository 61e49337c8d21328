"""A table that a fit reads in blocks, and the sample that stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.random import sample_without_replacement

from skvae._sklearn_compat import check_sample_weight, rows_of
from skvae.data._blocks import Blocks
from skvae.data._checks import checked_numbers
from skvae.data._columns import Columns
from skvae.data._frames import joined
from skvae.data._moments import Moments
from skvae.likelihoods import Likelihood
from skvae.likelihoods._unknown import NewLevels

Floats = NDArray[np.floating]

# Rows of the sample, and its cells: 64 megabytes in single precision.
_ROWS, _CELLS = 100_000, 2**24

# Values of a column that counts as one of levels, all of which the sample holds.
_LEVELS = 1000


class Numbers(NamedTuple):
    """Some rows of a table, and what they hold as numbers."""

    table: Any
    """The rows as a table of their own."""
    place: NDArray[np.intp]
    """Number of each row in the table, of shape (n_rows,)."""
    X: Floats
    """NaN where a cell is missing, of shape (n_rows, n_features)."""
    weight: NDArray[np.float64]
    """Above 0, of shape (n_rows,)."""


class Sampled(NamedTuple):
    """A table of which some rows are in memory."""

    stream: Stream
    """The whole table."""
    place: NDArray[np.intp]
    """Number of each of these rows in it."""


class Stream:
    """A table that is read in blocks time and again, as numbers.

    Parameters
    ----------
    estimator : BalancedVAE
        Has the number and names of the features.
    blocks : Blocks
        The table.
    columns : Columns
        Contents of its columns.
    weight : ndarray of shape (n_samples,) or None
        Weight of each row; those of weight 0 are left out. None for ones.
    """

    def __init__(
        self,
        estimator: Any,
        blocks: Blocks,
        columns: Columns,
        weight: NDArray[np.float64] | None,
    ) -> None:
        self.estimator, self.blocks = estimator, blocks
        self.columns, self.weight = columns, weight
        #: Whether any row holds a level that the likelihood has not learned.
        self.has_unknown = False

    @classmethod
    def of(
        cls, estimator: Any, blocks: Blocks, sample_weight: Any, columns: Any
    ) -> Stream:
        """Check the form of a table, and its weights.

        Parameters
        ----------
        estimator : BalancedVAE
            Gets the number and names of the features where `columns` is None.
        blocks : Blocks
            The table.
        sample_weight : array-like of shape (n_samples,) or None
        columns : Columns or None
            Those of the last fit, where this one goes on from it.
        """
        weight = None
        if sample_weight is not None:
            # Nothing but the number of rows counts.
            rows = np.broadcast_to(0.0, (blocks.n_rows, 1))
            weight = check_sample_weight(sample_weight, rows)
        first = next(blocks.read()).table
        _, found = checked_numbers(estimator, first[:1], columns)
        stream = cls(estimator, blocks, found, weight)
        if columns is None and not blocks.is_numeric:
            stream.columns = stream._columns_of_all()
        return stream

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight."""
        if self.weight is None:
            return self.blocks.n_rows
        return int(np.count_nonzero(self.weight))

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self.n_rows if self.weight is None else float(self.weight.sum())

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Numbers]:
        """Read all rows of positive weight: in order, or in random order of blocks."""
        for start, table in self.blocks.read(random):
            yield from self._numbers(np.arange(start, start + len(table)), table)

    def admitted(
        self, likelihood: Likelihood, random: np.random.RandomState | None = None
    ) -> Iterator[Numbers]:
        """Read rows that a likelihood admits, or raise ValueError about one."""
        new = NewLevels(likelihood, self.columns)
        for numbers in self.read(random):
            yield numbers._replace(X=new.admit(numbers.X, numbers.table))
        if not self.has_unknown:
            # Of the first pass alone.
            new.report()
            self.has_unknown = bool(new.n_new.any())

    def moments(self, likelihood: Likelihood) -> Moments:
        """Moments of all rows, in the units of a likelihood."""
        return Moments.of(
            lambda: (
                (likelihood.to_model(rows.X), rows.weight)
                for rows in self.admitted(likelihood)
            )
        )

    def sample(self) -> Numbers:
        """Rows that stand for the table: random ones, and those that they lack.

        A column of up to 1000 different values has all of them among these rows, and
        one with missing cells has one. The rows that are added for that weigh as much
        as they do in the table, next to nothing.
        """
        n_rows, n_features = self.n_rows, len(self.columns.kinds)
        size = min(n_rows, _ROWS, max(1, _CELLS // n_features))
        # Of a fixed stream, like all that does not depend on `random_state`.
        random = np.random.RandomState(0)
        place = np.sort(sample_without_replacement(n_rows, size, random_state=random))
        if self.weight is not None:
            place = np.flatnonzero(self.weight)[place]
        drawn = self._joined(list(self._at(place)))
        rare = [
            numbers._replace(weight=numbers.weight * size / n_rows)
            for numbers in self._at(self._lacking(drawn.X))
        ]
        return self._joined([drawn, *rare])

    def _at(self, place: NDArray[np.intp]) -> Iterator[Numbers]:
        """Rows of the table, given by their numbers in ascending order."""
        for start, table in self.blocks.read():
            first, last = np.searchsorted(place, [start, start + len(table)])
            if first < last:
                here = place[first:last]
                yield from self._numbers(here, rows_of(table, here - start))

    def _columns_of_all(self) -> Columns:
        """Contents of the columns, with the levels of all rows of positive weight."""
        tables = (
            self._weighted(np.arange(start, start + len(table)), table)[2]
            for start, table in self.blocks.read()
        )
        found = Columns.of_parts(table for table in tables if len(table))
        if found.is_array_of_numbers:
            return Columns.of_numbers(len(found.kinds))
        return found

    def _weighted(
        self, place: NDArray[np.intp], table: Any
    ) -> tuple[NDArray[np.intp], NDArray[np.float64], Any]:
        """Those of some rows that have a positive weight: place, weight and table."""
        if self.weight is None:
            return place, np.ones(len(place)), table
        weight = self.weight[place]
        if weight.all():
            return place, weight, table
        there = np.flatnonzero(weight)
        return place[there], weight[there], rows_of(table, there)

    def _numbers(self, place: NDArray[np.intp], table: Any) -> Iterator[Numbers]:
        """Some rows as numbers, without those of weight 0; nothing if all are."""
        place, weight, table = self._weighted(place, table)
        if len(place):
            X, _ = checked_numbers(self.estimator, table, self.columns, place)
            yield Numbers(table, place, X, weight)

    def _lacking(self, drawn: Floats) -> NDArray[np.intp]:
        """Places of rows with a level, or a missing cell, that some rows lack.

        Parameters
        ----------
        drawn : ndarray of shape (n_rows, n_features)

        Returns
        -------
        place : ndarray of shape (n_found,)
            In ascending order.
        """
        known = {d: np.unique(column) for d, column in enumerate(drawn.T)}
        known = {d: levels for d, levels in known.items() if len(levels) <= _LEVELS}
        new: dict[int, list[int]] = {d: [] for d in known}
        has_gap: Any = np.isnan(drawn).any(axis=0)
        gaps = []
        for _, place, X, _ in self.read():
            is_missing = np.isnan(X)
            for d in np.flatnonzero(is_missing.any(axis=0) & ~has_gap).tolist():
                gaps.append(int(place[is_missing[:, d].argmax()]))
                has_gap[d] = True
            for d in list(new):
                column, levels = X[:, d], known[d]
                near = np.minimum(np.searchsorted(levels, column), len(levels) - 1)
                is_new = (levels[near] != column) & ~is_missing[:, d]
                if is_new.any():
                    values, first = np.unique(column[is_new], return_index=True)
                    known[d] = np.union1d(levels, values)
                    new[d] += place[is_new][first].tolist()
                if len(known[d]) > _LEVELS:
                    # Of numbers, and not of levels.
                    del new[d]
        places, room = list(gaps), len(drawn)
        for each in sorted(new.values(), key=len):
            room -= len(each)
            if room < 0:
                # Of counts, most likely: as many rows as the sample has at most.
                break
            places += each
        return np.unique(np.array(places, dtype=np.intp))

    def _joined(self, parts: list[Numbers]) -> Numbers:
        """Rows of several parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        tables, places, numbers, weights = zip(*parts, strict=True)
        table = joined(list(tables))
        # Not in memory twice, where the table is one of numbers.
        is_same = all(part.X is part.table for part in parts)
        X = table if is_same else np.concatenate(numbers)
        return Numbers(table, np.concatenate(places), X, np.concatenate(weights))
