"""One chunk of a stream beside the rows that are kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import Fill, WeightedRows, chunks
from skvae.fit._plan import holds_out
from skvae.fit._prepared import Jacobian, Prepared, Scaled
from skvae.fit._table import Admitted
from skvae.fitted._kept_rows import Floats, KeptRows
from skvae.model._settings import Settings
from skvae.training._source import Source

# Rows kept are replayed where they are at least this part of a chunk: fewer change
# nothing, and need a copy of the chunk.
_LEAST_FRACTION = 1 / 16


class Chunk(NamedTuple):
    """Rows of a chunk as a `Source`, with rows that stand for the whole stream."""

    source: Source
    """Rows to train on: those of the chunk, and others that are replayed."""
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
    vae: Settings, chunk: Scaled, kept: KeptRows, n_calls: int
) -> tuple[NDArray[np.bool_], KeptRows]:
    """Choose the rows of a chunk that are held out, and add a sample to those kept.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    chunk : Scaled
    kept : KeptRows
        Rows of the chunks before.
    n_calls : int
        Number of calls before, on which the sample depends.

    Returns
    -------
    is_held_out : ndarray of shape (n_rows,), dtype=bool
        Which of the chunk's distinct rows.
    kept : KeptRows
        Rows of all chunks, as many as are kept.
    """
    X, index, weight, _ = chunk.admitted
    is_held_out = _held_out(vae, X, index, kept)
    if chunk.sampled is not None:
        weight = weight * (chunk.sampled.stream.total_weight / weight.sum())
    return is_held_out, kept.and_chunk(X, index, weight, is_held_out, n_calls)


def with_replayed(
    chunk: Scaled, is_held_out: NDArray[np.bool_], kept: KeptRows, n_calls: int
) -> tuple[Scaled, NDArray[np.bool_]]:
    """A chunk with as many of the rows that are kept of others before.

    Without these a model forgets what the latest chunks lack.

    Parameters
    ----------
    chunk : Scaled
    is_held_out : ndarray of shape (n_rows,), dtype=bool
        Which of its distinct rows.
    kept : KeptRows
        Rows of the chunks before.
    n_calls : int
        Number of calls before, on which the choice depends.

    Returns
    -------
    chunk : Scaled
    is_held_out : ndarray of shape (n_rows,), dtype=bool
    """
    X, index, weight, _ = chunk.admitted
    least = max(1, math.ceil(_LEAST_FRACTION * len(index)))
    if chunk.sampled is not None or len(kept.X) < least:
        return chunk, is_held_out
    place = _places(kept.X, np.arange(len(kept.X)), kept.seed)
    is_there = np.isin(place, _places(X, index, kept.seed))
    replayed, fraction = kept.replayed(is_there, len(index), n_calls)
    if len(replayed) < least:
        return chunk, is_held_out
    index, weight = index[~is_held_out], weight[~is_held_out]
    X = np.concatenate([X[index], replayed])
    # Each counts as a row of the chunk, in the mean.
    fraction = fraction * (weight.mean() * len(fraction))
    weight = np.concatenate([weight, fraction])
    return chunk._replace(admitted=_admitted(X, weight)), np.zeros(len(X), dtype=bool)


def admitted(kept: KeptRows) -> Admitted:
    """Rows that are kept, as a table."""
    return _admitted(kept.X, kept.weight)


def _admitted(X: Floats, weight: NDArray[np.float64]) -> Admitted:
    """Distinct rows, as a table."""
    gaps = np.flatnonzero(np.isnan(X).any(axis=0))
    return Admitted(X, np.arange(len(X)), weight, tuple(gaps.tolist()))


def beside(chunk: Prepared, stream: Prepared) -> Prepared:
    """Rows of a chunk to train on, and those of a stream to calibrate and score on."""
    return stream._replace(
        source=Chunk(chunk.source, stream.rows),
        jacobian=Jacobian(chunk.jacobian.train, stream.jacobian.validation),
    )


def _held_out(
    vae: Settings, X: Floats, index: NDArray[np.integer], kept: KeptRows
) -> NDArray[np.bool_]:
    """Choose distinct rows of a chunk by their values alone.

    A row that comes again, in whatever chunk, has the same part, so that what is held
    out is not trained on in another pass. Two kinds of rows are trained on whatever
    their values: with ``early_stopping="auto"`` those of the first chunks, up to 50
    rows, and one of a chunk of which all rows are chosen.
    """
    n_rows = len(index)
    if not holds_out(vae, n_rows, len(kept.X)):
        return np.zeros(n_rows, dtype=bool)
    place = _places(X, index, kept.seed)
    mask = place < vae.validation_fraction
    mask[np.argmax(place)] = False
    if not len(kept.X):
        mask[np.argmin(place)] = True
    return mask


def _places(X: Floats, index: NDArray[np.integer], seed: int) -> NDArray[np.float64]:
    """Numbers from 0 to 1 that follow from rows and a seed, as if drawn at random.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    index : ndarray of shape (n_rows,)
        Which of its rows.
    seed : int
        Below 2^32.
    """
    found = np.empty(len(index))
    for part in chunks(len(index), X.shape[1]):
        rows = index[part]
        state = np.full(len(rows), seed, dtype=np.uint64)
        for d in range(X.shape[1]):
            # One zero and one NaN.
            values = X[rows, d].astype(np.float64) + 0.0
            values[np.isnan(values)] = np.nan
            state = _mixed(state ^ _mixed(values.view(np.uint64)))
        found[part] = state / 2.0**64
    return found


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits that each depend on all that are given: the finaliser of SplitMix64."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
