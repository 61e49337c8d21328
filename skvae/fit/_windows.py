"""Training rows of a table that is too large for memory, one window at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import Fill, Rows, WeightedRows
from skvae.data._view import TableView
from skvae.fit._stream import Floats, Stream
from skvae.likelihoods import Likelihood

# Bytes of a window.
_WINDOW = 2**26

#: Admitted rows, and the weight of each.
Weighted: TypeAlias = tuple[Floats, NDArray[np.float64]]


class Windows:
    """Rows of a stream in random order, as a `Source` of a training.

    Blocks of rows are read in random order, pass after pass, and put into a window.
    Batches are random rows of the window, each of them once, until it is filled again.

    Parameters
    ----------
    stream : Stream
        The table.
    likelihood : Likelihood
        Fitted; admits its rows.
    view : TableView
        The table as the model sees it.
    sample : WeightedRows
        Training rows that stand for all.
    held_out : ndarray of shape (n_held_out,)
        Numbers of the rows that are not trained on.
    has_gaps : bool
        Whether any cell may be missing.
    """

    def __init__(
        self,
        stream: Stream,
        likelihood: Likelihood,
        view: TableView,
        sample: WeightedRows,
        held_out: NDArray[np.intp],
        *,
        has_gaps: bool,
    ) -> None:
        self.stream, self.likelihood, self.view = stream, likelihood, view
        self.sample, self.held_out, self.has_gaps = sample, np.sort(held_out), has_gaps
        weight = stream.weight
        held_out_weight = len(held_out) if weight is None else weight[held_out].sum()
        self._mean_weight = (stream.total_weight - held_out_weight) / self.n_rows
        self._window: Rows | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.stream.n_rows - len(self.held_out)

    def window(self, batch_size: int) -> Rows:
        """Rows that batches are gathered from, with their weights in a batch."""
        if self._window is None:
            like, n_features = self.sample.like, self.sample.n_features
            row_bytes = n_features * like.element_size()
            n_batches = max(1, _WINDOW // row_bytes // batch_size)
            n_batches = min(n_batches, -(-self.n_rows // batch_size))
            shape = n_batches * batch_size, n_features
            self._window = Rows(
                like.new_empty(shape),
                like.new_empty(shape[:1]),
                like.new_empty(shape, dtype=torch.bool) if self.has_gaps else None,
            )
        return self._window

    def fills(
        self, n_steps: int, batch_size: int, generator: torch.Generator
    ) -> Iterator[Fill]:
        """Fill the window time and again, for the steps of an epoch.

        An epoch begins a pass of its own, so that a training that is stopped between
        two of them goes on as if it had not been.
        """
        window, random = self.window(batch_size), _random(generator)
        blocks, left = self._passes(random), None
        while n_steps:
            some = min(n_steps, len(window.x) // batch_size)
            n_rows, start = some * batch_size, 0
            while start < n_rows:
                X, weight = next(blocks) if left is None else left
                n_taken = min(n_rows - start, len(X))
                here = slice(start, start + n_taken)
                relative = weight[:n_taken] / (self._mean_weight * batch_size)
                self._write(window, here, X[:n_taken], relative, random)
                left = (X[n_taken:], weight[n_taken:]) if n_taken < len(X) else None
                start += n_taken
            yield Fill(n_rows, some)
            n_steps -= some

    def _write(
        self,
        window: Rows,
        here: slice,
        X: Floats,
        weight: NDArray[np.float64],
        random: np.random.RandomState,
    ) -> None:
        """Put admitted rows into the window, as the model sees them."""
        x, observed, _ = self.view.drawn(X, random)
        window.x[here] = torch.from_numpy(x)
        window.weight[here] = torch.from_numpy(weight)
        if window.observed is not None:
            there = True if observed is None else torch.from_numpy(observed)
            window.observed[here] = there

    def _passes(self, random: np.random.RandomState) -> Iterator[Weighted]:
        """Blocks of admitted rows, pass after pass, without those held out."""
        while True:
            for _, place, X, weight in self.stream.admitted(self.likelihood, random):
                ends = np.searchsorted(self.held_out, [place[0], place[-1] + 1])
                held_out = self.held_out[slice(*ends)]
                if len(held_out):
                    is_trained_on = ~np.isin(place, held_out)
                    X, weight = X[is_trained_on], weight[is_trained_on]
                if len(X):
                    yield X, weight


def _random(generator: torch.Generator) -> np.random.RandomState:
    """Random numbers of numpy, with a seed from those of torch."""
    seed = torch.randint(2**31 - 1, (1,), generator=generator)
    return np.random.RandomState(int(seed))
