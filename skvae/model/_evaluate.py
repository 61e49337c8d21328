"""Means over rows under a model: rate, errors and distortion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.data._rows import WeightedRows, chunks
from skvae.model._module import Module
from skvae.networks._base import Weights
from skvae.priors import Normal, Prior

# Numbers that the widest layer computes when training rows are evaluated. All rows and
# nodes of a large table, or of pictures, would take as long as their training.
_MOST_CELLS = 2**26

# Training is towards it.
_STANDARD = Normal()


class Evaluation(NamedTuple):
    """Means over rows, replica axis first, in nats per row."""

    rate: Tensor
    """Rate, of shape (n_replicas,)."""
    error: Tensor | None
    """Mean error of each feature, of shape (n_replicas, n_features)."""
    activity: Tensor
    """Variance of the posterior mean over rows, (n_replicas, n_components)."""
    fixed_distortion: Tensor | None
    """Distortion of the columns without a dispersion, (n_replicas,), if any."""
    observed_fraction: Tensor | None = None
    """Observed fraction of each column with a dispersion; None if all is observed."""
    excess: Tensor | None = None
    """Nats of each column of levels above its frequencies, (n_replicas, n_columns)."""

    def distortion(self, module: Module, variance: Tensor) -> Tensor:
        """Distortion with a decoder variance, of shape (n_replicas,)."""
        error = self.error
        if error is not None and self.observed_fraction is not None:
            error = error * self.observed_fraction
        return module.total_distortion(
            error, self.observed_fraction, variance, self.fixed_distortion
        )


def quadrature(n_components: int, n_nodes: int = 32) -> np.ndarray:
    """Nodes of equal weight for the mean over a standard normal vector.

    The nodes are random but always the same, come in pairs of opposite sign and have
    exactly unit covariance, so that polynomials up to degree three, and with them
    the distortion of a linear Gaussian decoder, are integrated exactly.

    Returns
    -------
    nodes : ndarray of shape (n_nodes or more, n_components)
        At least twice as many as latents.
    """
    n_pairs = max(n_nodes // 2, n_components)
    # RandomState: the streams of newer generators may change with numpy.
    random = np.random.RandomState(0)
    draws = random.standard_normal((n_pairs, n_components))
    basis = np.linalg.qr(draws)[0] * np.sqrt(n_pairs)
    return np.concatenate([basis, -basis])


def with_noise(
    module: Module, rows: WeightedRows, n_nodes: int = 32
) -> tuple[WeightedRows, Tensor]:
    """Training rows and noise at which to evaluate them, in a bounded time.

    Parameters
    ----------
    module : Module
    rows : WeightedRows
    n_nodes : int, default=32
        Of the quadrature.

    Returns
    -------
    rows : WeightedRows
        All, or every k-th where two draws for each would take too long.
    noise : Tensor of shape (n_draws, 1 or n_rows, n_components)
        The nodes of the quadrature for all rows, or one pair of opposite draws for
        each, always the same.
    """
    nodes = quadrature(module.n_components, n_nodes)
    cells = module.cells_per_row * rows.n_rows
    if len(nodes) * cells <= _MOST_CELLS:
        return rows, torch.tensor(nodes).to(rows.like)[:, None]
    rows = rows.take(slice(None, None, 1 + 2 * cells // _MOST_CELLS))
    random = np.random.RandomState(0)
    noise = rows.like.new_empty((2, rows.n_rows, module.n_components))
    for part in chunks(*noise.shape[1:]):
        noise[0, part] = torch.from_numpy(random.standard_normal(noise[0, part].shape))
    torch.neg(noise[0], out=noise[1])
    return rows, noise


@torch.no_grad()
def evaluate(
    module: Module,
    weights: Weights,
    rows: WeightedRows,
    noise: Tensor,
    prior: Prior = _STANDARD,
) -> Evaluation:
    """Means over rows under a posterior sampled at `noise`.

    Parameters
    ----------
    module : Module
        The model.
    weights : dict of str to Tensor
        Its weights, replica axis first.
    rows : WeightedRows
        Rows to average over.
    noise : Tensor of shape (n_draws, n_rows or 1, n_components)
        Standard normal; one axis of rows of length 1 serves all rows.
    prior : Prior, default=Normal()
        The prior of the rate; one that has learned, if it is another.

    Returns
    -------
    evaluation : Evaluation
    """
    totals: list[Tensor | None] = [None] * 7
    n_replicas = len(next(iter(weights.values())))
    width = n_replicas * len(noise) * module.cells_per_row
    for rows_here in chunks(rows.n_rows, width):
        x, weight, observed = rows.part(rows_here)
        noise_here = noise if noise.shape[1] == 1 else noise[:, rows_here]
        sample = module.sample(weights, x, weight, noise_here, observed)
        mean = sample.posterior.mean
        error = module.error(sample)
        parts = (
            prior.rate(sample.posterior, sample.z, noise_here) @ weight,
            weight @ mean,
            weight @ mean.square(),
            error,
            module.fixed_distortion(sample),
            module.observed_fraction(sample),
            module.excess(sample),
        )
        totals = [
            part if total is None or part is None else total + part
            for total, part in zip(totals, parts, strict=True)
        ]
    rate, first, second, error, distortion, fraction, excess = totals
    assert rate is not None
    assert first is not None
    assert second is not None
    if error is not None and fraction is not None:
        error = error / fraction.clamp(min=torch.finfo(error.dtype).tiny)
    activity = second - first.square()
    return Evaluation(rate, error, activity, distortion, fraction, excess)
