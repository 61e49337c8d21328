"""One chunk of a stream beside the rows that are kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import Fill, WeightedRows
from skvae.fit._plan import holds_out
from skvae.fit._prepared import Jacobian, Prepared, Scaled
from skvae.fit._table import Admitted
from skvae.fitted._kept_rows import Floats, KeptRows
from skvae.model._settings import Settings
from skvae.training._source import Source


class Chunk(NamedTuple):
    """Rows of a chunk as a `Source`, with rows that stand for the whole stream."""

    source: Source
    """Rows of the chunk to train on."""
    sample: WeightedRows
    """Rows of the stream that were trained on."""

    @property
    def n_rows(self) -> int:
        """Number of rows of the chunk."""
        return self.source.n_rows

    def window(self, batch_size: int) -> WeightedRows:
        """Rows that batches are gathered from."""
        return self.source.window(batch_size)

    def fills(
        self, n_steps: int, batch_size: int, generator: torch.Generator
    ) -> Iterator[Fill]:
        """Fill the window for the steps of an epoch."""
        return self.source.fills(n_steps, batch_size, generator)


def arrived(
    vae: Settings, chunk: Scaled, kept: KeptRows
) -> tuple[NDArray[np.bool_], KeptRows]:
    """Choose the rows of a chunk that are held out, and add all to those kept.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    chunk : Scaled
    kept : KeptRows
        Rows of the chunks before.

    Returns
    -------
    is_held_out : ndarray of shape (n_rows,), dtype=bool
        Which of the chunk's distinct rows.
    kept : KeptRows
        All rows together.
    """
    X, index, weight, _ = chunk.admitted
    rows = X[index]
    is_held_out = _held_out(vae, rows, kept)
    if chunk.sampled is not None:
        weight = weight * (chunk.sampled.stream.total_weight / weight.sum())
    return is_held_out, kept.and_rows(rows, weight, is_held_out)


def admitted(kept: KeptRows) -> Admitted:
    """Rows that are kept, as a table."""
    gaps = np.flatnonzero(np.isnan(kept.X).any(axis=0))
    return Admitted(kept.X, np.arange(len(kept.X)), kept.weight, tuple(gaps.tolist()))


def beside(chunk: Prepared, stream: Prepared) -> Prepared:
    """Rows of a chunk to train on, and those of a stream to calibrate and score on."""
    return stream._replace(
        source=Chunk(chunk.source, stream.rows),
        jacobian=Jacobian(chunk.jacobian.train, stream.jacobian.validation),
    )


def _held_out(vae: Settings, rows: Floats, kept: KeptRows) -> NDArray[np.bool_]:
    """Choose rows of a chunk by their values alone.

    A row that comes again, in whatever chunk, has the same part: what is held out once
    is never trained on. Only where all rows of a chunk are chosen, one is not.
    """
    if not holds_out(vae, len(rows), len(kept.X)):
        return np.zeros(len(rows), dtype=bool)
    place = _places(rows, kept.seed)
    mask = place < vae.validation_fraction
    mask[np.argmax(place)] = False
    if not len(kept.X):
        mask[np.argmin(place)] = True
    return mask


def _places(X: Floats, seed: int) -> NDArray[np.float64]:
    """Numbers from 0 to 1 that follow from rows and a seed, as if drawn at random.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    seed : int
        Below 2^32.
    """
    state = np.full(len(X), seed, dtype=np.uint64)
    for column in X.T:
        # One zero and one NaN.
        values = np.where(np.isnan(column), np.nan, column.astype(np.float64) + 0.0)
        state = _mixed(state ^ _mixed(values.view(np.uint64)))
    return np.asarray(state / 2.0**64)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits that each depend on all that are given: the finaliser of SplitMix64."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
