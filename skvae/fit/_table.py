"""The table of a fit: checked, admitted, and with equal rows merged."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae._sklearn_compat import check_sample_weight, rows_of
from skvae.data._canonical import canonical_rows
from skvae.data._checks import checked_numbers
from skvae.data._columns import Columns
from skvae.data._large import blocks_of, in_memory
from skvae.data._scaling import columns_with_gaps
from skvae.fit._stream import Sampled, Stream
from skvae.likelihoods import Likelihood
from skvae.likelihoods._resolve import located
from skvae.likelihoods._unknown import admitted_numbers

Floats = NDArray[np.floating]


class CheckedTable(NamedTuple):
    """The user's table as numbers, without rows of weight zero; or a sample of it."""

    X: Floats
    """Numbers, of shape (n_samples, n_features); NaN where a cell is missing."""
    weight: NDArray[np.float64]
    """Above 0, of shape (n_samples,)."""
    columns: Columns
    """Contents of the user's columns."""
    likelihood: Any
    """The requested likelihood, with positions of columns."""
    source: Any
    """The user's table, which messages cite."""
    sampled: Sampled | None = None
    """The whole table, where these rows are a sample of it."""

    @classmethod
    def of(
        cls, vae: Any, X: Any, sample_weight: Any, columns: Columns | None = None
    ) -> CheckedTable:
        """Check a table and its weights.

        Parameters
        ----------
        vae : BalancedVAE
            Gets the number and names of the features where `columns` is None.
        X : array-like or DataFrame of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,) or None
        columns : Columns or None, default=None
            Those of the last fit, where this one goes on from it.
        """
        blocks = blocks_of(X)
        if blocks is not None:
            stream = Stream.of(vae, blocks, sample_weight, columns)
            table, place, numbers, weight = stream.sample()
            likelihood, sampled = located(vae.likelihood, table), Sampled(stream, place)
            return cls(numbers, weight, stream.columns, likelihood, table, sampled)
        X = in_memory(X)
        numbers, found = checked_numbers(vae, X, columns)
        weight = check_sample_weight(sample_weight, numbers)
        if not weight.all():
            # Rows of weight zero are ignored, also by the levels of categories and by
            # likelihood="auto".
            there = np.flatnonzero(weight)
            X, weight = rows_of(X, there), weight[there]
            numbers, found = checked_numbers(vae, X, columns)
        return cls(numbers, weight, found, located(vae.likelihood, X), X)


class Admitted(NamedTuple):
    """Numbers that the likelihood admits, and the distinct rows among them."""

    X: Floats
    """Numbers, of shape (n_samples, n_features); NaN where a cell is missing."""
    rows: NDArray[np.integer]
    """Distinct rows of X in canonical order, of shape (n_rows,)."""
    weight: NDArray[np.float64]
    """Weight of each of these, of shape (n_rows,)."""
    gaps: tuple[int, ...]
    """Columns that have missing cells."""

    @classmethod
    def of(cls, table: CheckedTable, likelihood: Likelihood) -> Admitted:
        """Admit a table, or raise ValueError about a value that is impossible."""
        X = admitted_numbers(likelihood, table.columns, table.X, table.source)
        gaps = columns_with_gaps(X)
        index, weight = canonical_rows(X, table.weight)
        return cls(X, index, weight, gaps)
