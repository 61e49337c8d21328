"""Latents of the rows of a fit, from which a prior learns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import WeightedRows, chunks
from skvae.divergences._posterior import FullPosterior, Posterior
from skvae.model._module import Module
from skvae.networks._base import Weights
from skvae.priors._base import HeldOut

Floats = NDArray[np.floating]

# Held-out rows that are encoded, and draws of all of them together.
_MAX_HELD_OUT, _HELD_OUT_DRAWS = 2000, 4000


class EncodedRows(NamedTuple):
    """Training rows and held-out rows under an encoder: the `Latents` of a prior.

    All draws come from fixed streams, in the canonical order of the rows, so that they
    depend on the weights and the rows alone.
    """

    module: Module
    weights: Weights
    """Weights of the module, of one replica."""
    train: WeightedRows
    validation: WeightedRows | None
    """Held-out rows, if there are any."""

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return self.module.n_components

    @property
    def n_rows(self) -> float:
        """Number of training rows, of equal weight in effect."""
        return 1.0 / float(_weight(self.train) @ _weight(self.train))

    def draw(self, n_draws: int) -> Floats:
        """Draws from the aggregate posterior, of shape (n_draws, n_latents)."""
        counts = counts_of(_weight(self.train), n_draws)
        index = np.flatnonzero(counts)
        posterior = self._posterior(self.train, index)
        repeated = torch.from_numpy(np.repeat(np.arange(len(index)), counts[index]))
        each = type(posterior)(*(field[:, repeated] for field in posterior))
        # RandomState: the streams of newer generators may change with numpy.
        noise = np.random.RandomState(0).standard_normal((n_draws, self.n_latents))
        return each.sample(torch.from_numpy(noise))[0].numpy()

    def held_out(self) -> HeldOut | None:
        """Latents of the held-out rows, or of an even part of very many."""
        if self.validation is None:
            return None
        weight = _weight(self.validation)
        if len(weight) > _MAX_HELD_OUT:
            weight = counts_of(weight, _MAX_HELD_OUT) / _MAX_HELD_OUT
        index = np.flatnonzero(weight)
        posterior = self._posterior(self.validation, index)
        n_pairs = int(np.clip(_HELD_OUT_DRAWS // (2 * len(index)), 1, 16))
        shape = n_pairs, len(index), self.n_latents
        draws = np.random.RandomState(1).standard_normal(shape)
        noise = torch.from_numpy(np.concatenate([draws, -draws]))
        z = self.module.draw(posterior, noise)[0].numpy()
        return HeldOut(z, weight[index])

    @torch.no_grad()
    def _posterior(
        self, rows: WeightedRows, index: NDArray[np.intp]
    ) -> Posterior | FullPosterior:
        """Posterior of some rows, in float64 on the CPU."""
        found = []
        for part in chunks(len(index), self.module.cells_per_row):
            here = rows.part(torch.from_numpy(index[part]).to(rows.like.device))
            found.append(self.module.encode(self.weights, here.x, here.observed))
        fields = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        return type(found[0])(*(field.cpu().double() for field in fields))


def counts_of(weight: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Whole numbers that sum to n and are as even as weights that sum to 1.

    >>> counts_of(np.array([0.5, 0.25, 0.25]), 4)
    array([2, 1, 1])
    """
    ends = np.floor(np.cumsum(weight) * n + 0.5).astype(np.intp)
    ends[-1] = n
    return np.diff(ends, prepend=0)


def _weight(rows: WeightedRows) -> NDArray[np.float64]:
    """Weights of rows that sum to 1."""
    weight = rows.weight.cpu().double().numpy()
    return weight / weight.sum()
