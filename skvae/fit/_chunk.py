"""One chunk of a stream beside the rows that are kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import Fill, WeightedRows
from skvae.fit._plan import held_out
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
    random = np.random.RandomState(_seed_of_ranks(rows, kept.seed))
    is_held_out = held_out(vae, len(rows), random, len(kept.X))
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


def _seed_of_ranks(X: Floats, seed: int) -> NDArray[np.uint32]:
    """Seed that is the same where the same rows come again, in whatever units.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Distinct rows in canonical order.
    seed : int
        Below 2^32.
    """
    order = np.argsort(X, axis=0, kind="stable").astype("<i8")
    digest = hashlib.blake2b(order.tobytes(), digest_size=16).digest()
    return np.append(np.frombuffer(digest, "<u4"), np.uint32(seed))
