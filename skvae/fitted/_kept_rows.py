"""Rows that stand for a stream of which no other row is at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skvae.data._canonical import canonical_rows

if TYPE_CHECKING:
    from skvae.balance import BalancePolicy
    from skvae.data._scaling import Scaling

Floats = NDArray[np.floating]

# Rows that are kept of those trained on, and their cells; of those held out a quarter.
_ROWS, _CELLS = 4096, 2**20


@dataclass(frozen=True, eq=False)
class Origin:
    """Settings and rows that a model of a stream was started with.

    Attributes
    ----------
    policy : BalancePolicy
        The policy as it was asked for.
    standardize : bool or str
        How columns are scaled.
    n_rows : int
        Distinct rows that were kept when a start was last tried.
    weight : float
        Sum of their weights.
    center, scale : ndarray of shape (n_features,)
        Centre and scale of the columns then.
    """

    policy: BalancePolicy
    standardize: bool | str
    n_rows: int
    weight: float
    center: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KeptRows:
    r"""A bounded weighted sample of the rows of all calls of `partial_fit`.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Distinct rows in canonical order, as admitted numbers; NaN where a cell is
        missing.
    weight : ndarray of shape (n_rows,)
        Weight that each stands for.
    is_held_out : ndarray of shape (n_rows,), dtype=bool
        Rows that have not been trained on.
    is_whole : bool
        Whether these are all distinct rows so far.
    seed : int
        Of the choice of rows.
    origin : Origin or None, default=None
        None where the model has seen rows before these, in `fit`.
    replica : int, default=0
        Number of the model, of those in training, that the weights in use are of.

    Notes
    -----
    Where there are more rows than are kept, they are a priority sample [1]_: those
    with the largest ratio of their weight w to a uniform random number. Each counts as
    max(w, t), with t the largest ratio that is left out. Sums over the stream are then
    estimated without bias.

    References
    ----------
    .. [1] N. Duffield, C. Lund and M. Thorup, "Priority sampling for estimation of
       arbitrary subset sums", Journal of the ACM 54(6), 2007.
       https://doi.org/10.1145/1314690.1314696
    """

    X: Floats
    weight: NDArray[np.float64]
    is_held_out: NDArray[np.bool_]
    is_whole: bool
    seed: int
    origin: Origin | None = None
    replica: int = 0

    @classmethod
    def none(cls, X: Floats, seed: int) -> KeptRows:
        """No rows yet, of a table such as X."""
        return cls(X[:0], np.empty(0), np.empty(0, dtype=bool), True, seed)

    def started(
        self, policy: BalancePolicy, standardize: bool | str, scaling: Scaling
    ) -> KeptRows:
        """These rows, of which a model is started."""
        weight = float(self.weight.sum())
        origin = Origin(
            *(policy, standardize, len(self.X), weight),
            *(scaling.center, scaling.scale),
        )
        return replace(self, origin=origin)

    def is_due(self, scaling: Scaling) -> bool:
        """True where a start of these rows may be better than the last one.

        That is where there are twice as many, or where a column has left its scale.

        Parameters
        ----------
        scaling : Scaling
            Of these rows.
        """
        origin = self.origin
        if origin is None:
            return False
        growth = self.weight.sum() / origin.weight
        if self.is_whole:
            growth = len(self.X) / origin.n_rows
        ratio = scaling.scale / origin.scale
        shift = np.abs(scaling.center - origin.center)
        is_off = (ratio > 1.25) | (ratio < 0.8) | (shift > 0.25 * scaling.scale)
        return bool(growth >= 2.0 or is_off.any())

    def and_rows(
        self, X: Floats, weight: NDArray[np.float64], is_held_out: NDArray[np.bool_]
    ) -> KeptRows:
        """These rows and those of a chunk, all of them.

        A row that is trained on in either is no longer held out.
        """
        X = np.concatenate([self.X, X]) if len(self.X) else X
        weight = np.concatenate([self.weight, weight])
        is_held_out = np.concatenate([self.is_held_out, is_held_out])
        index, total = canonical_rows(X, weight)
        # In the same order, which is that of the values alone.
        _, marks = canonical_rows(X, np.where(is_held_out, 1.0, len(X) + 1.0))
        return replace(self, X=X[index], weight=total, is_held_out=marks <= len(X))

    def replayed(
        self, is_there: NDArray[np.bool_], n_rows: int, n_calls: int
    ) -> tuple[Floats, NDArray[np.float64]]:
        """At most so many of the rows that were trained on, to train on again.

        Parameters
        ----------
        is_there : ndarray of shape (n_rows,), dtype=bool
            Rows that are trained on in any case.
        n_rows : int
        n_calls : int
            Number of calls before, on which the choice depends.

        Returns
        -------
        X : ndarray of shape (n_replayed, n_features)
        fraction : ndarray of shape (n_replayed,)
            Weight of each, which sum to 1.
        """
        random = np.random.RandomState([self.seed, n_calls, 1])
        rows = np.flatnonzero(~(self.is_held_out | is_there))
        weight = _sampled(self.weight[rows], n_rows, random)
        chosen = np.flatnonzero(weight)
        return self.X[rows[chosen]], weight[chosen] / weight.sum()

    def and_chunk(
        self,
        X: Floats,
        index: NDArray[np.integer],
        weight: NDArray[np.float64],
        is_held_out: NDArray[np.bool_],
        n_calls: int,
    ) -> KeptRows:
        """At most as many of these rows and those of a chunk as are kept.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        index : ndarray of shape (n_rows,)
            The distinct rows of the chunk among these.
        weight : ndarray of shape (n_rows,)
        is_held_out : ndarray of shape (n_rows,), dtype=bool
        n_calls : int
            Number of calls before, on which the choice depends.
        """
        is_whole = self.is_whole
        if is_held_out.any() or not self.is_held_out.any():
            # No row of the chunk ends the holding out of another: what would be left
            # out in the end is not copied.
            random = np.random.RandomState([self.seed, n_calls, 0])
            weight = _thinned(weight, is_held_out, X.shape[1], random)
            chosen = np.flatnonzero(weight)
            is_whole &= len(chosen) == len(index)
            index, weight = index[chosen], weight[chosen]
            is_held_out = is_held_out[chosen]
        both = self.and_rows(X[index], weight, is_held_out)
        return replace(both, is_whole=is_whole).thinned(n_calls)

    def thinned(self, n_calls: int) -> KeptRows:
        """At most as many of these rows as are kept.

        Parameters
        ----------
        n_calls : int
            Number of calls before, on which the choice depends.
        """
        random = np.random.RandomState([self.seed, n_calls])
        weight = _thinned(self.weight, self.is_held_out, self.X.shape[1], random)
        kept = np.flatnonzero(weight)
        return replace(
            self,
            X=self.X[kept],
            weight=weight[kept],
            is_held_out=self.is_held_out[kept],
            is_whole=self.is_whole and len(kept) == len(self.X),
        )


def _thinned(
    weight: NDArray[np.float64],
    is_held_out: NDArray[np.bool_],
    n_features: int,
    random: np.random.RandomState,
) -> NDArray[np.float64]:
    """Weights that are not zero for as many rows, and rows held out, as are kept."""
    n_rows = min(_ROWS, max(1, _CELLS // n_features))
    found = np.zeros(len(weight))
    for part, n_kept in (
        (np.flatnonzero(~is_held_out), n_rows),
        (np.flatnonzero(is_held_out), -(-n_rows // 4)),
    ):
        found[part] = _sampled(weight[part], n_kept, random)
    return found


def _sampled(
    weight: NDArray[np.float64], n: int, random: np.random.RandomState
) -> NDArray[np.float64]:
    """Weights of which at most n are not zero, in the mean the same."""
    if len(weight) <= n:
        return weight
    priority = weight / (1.0 - random.uniform(size=len(weight)))
    order = np.argsort(-priority, kind="stable")
    found = np.zeros(len(weight))
    found[order[:n]] = weight[order[:n]].clip(min=priority[order[n]])
    return found
