"""Posterior of rows with atoms: a mixture over draws within their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.divergences._posterior import FullPosterior, Posterior
from skvae.ground._tensors import standard_normal_log_prob
from skvae.model._module import Module, Sample
from skvae.networks._base import Weights


@dataclass(frozen=True)
class DrawnPosterior:
    r"""Mixture of the posteriors of several draws of each row.

    .. math:: q(z \mid x) = \frac{1}{K} \sum_k q(z \mid u_k)

    The encoder sees scores. Where a value is an interval of them, what it makes of one
    is too narrow for the value, by as much as the latents follow the column; the
    mixture over the interval is not. It has one draw of latents from each component.

    Attributes
    ----------
    mean : Tensor of shape (1, n_rows, n_components)
    z : Tensor of shape (1, n_draws, n_rows, n_components)
        The draws.
    log_density : Tensor of shape (1, n_draws, n_rows)
        Log-density of each under the mixture.
    """

    mean: Tensor
    z: Tensor
    log_density: Tensor

    @classmethod
    def of(
        cls, each: Posterior | FullPosterior, z: Tensor, n_draws: int
    ) -> DrawnPosterior:
        """Mixture for each row.

        Parameters
        ----------
        each : Posterior or FullPosterior
            Of the draws of all rows, draw after draw.
        z : Tensor of shape (1, 1, n_draws * n_rows, n_components)
            Latents drawn from each.
        n_draws : int
        """
        z = z[:, 0].unflatten(1, (n_draws, -1))
        # Rows take the place of replicas: the draws of a row are compared.
        fields = (field[0].unflatten(0, z.shape[1:3]).transpose(0, 1) for field in each)
        of_rows = type(each)(*fields)
        joint, _ = of_rows.log_prob_of_each(z[0].transpose(0, 1)[:, None])
        log_density = joint[:, 0].logsumexp(dim=-1).T - math.log(n_draws)
        return cls(of_rows.mean.mean(dim=1)[None], z, log_density[None])

    def kl(self) -> Tensor:
        """Divergence from a standard normal, of all latents of a row together.

        A mean over the draws, of shape (1, n_rows, 1), and at least 0.
        """
        nats = self.log_density - standard_normal_log_prob(self.z)
        return nats.mean(dim=1).clamp(min=0.0)[..., None]

    def log_prob(self, noise: Tensor) -> Tensor:
        """Log-density at the draws, of shape (1, n_draws, n_rows)."""
        return self.log_density


def ranks_of_draws(n_draws: int, n_features: int) -> NDArray[np.float64]:
    """Ranks within atoms of several draws of a row, always the same.

    Returns
    -------
    ranks : ndarray of shape (n_draws, n_features)
        Between 0 and 1, at equal distances in each column.
    """
    # RandomState: the streams of newer generators may change with numpy.
    random = np.random.RandomState(0)
    order = np.argsort(random.uniform(size=(n_draws, n_features)), axis=0)
    ranks: NDArray[np.float64] = (order + 0.5) / n_draws
    return ranks


def drawn_sample(
    module: Module,
    weights: Weights,
    x: Tensor,
    u: Tensor,
    noise: Tensor,
    observed: Tensor | None,
) -> Sample:
    """Encode several draws of each row, draw latents of each and decode them.

    Parameters
    ----------
    module : Module
    weights : dict of str to Tensor
    x : Tensor of shape (n_rows, n_features)
        As the model sees them.
    u : Tensor of shape (n_draws, n_rows, n_features)
        Draws of cells on atoms, NaN for all others.
    noise : Tensor of shape (n_draws, 1, n_components)
    observed : Tensor of shape (n_rows, n_features), dtype=bool, or None
        Cells that are not missing.
    """
    n_draws, u = noise.shape[0], u.flatten(0, 1)
    x, _, observed = module.repeated(x, torch.ones_like(x[:, 0]), observed, n_draws)
    noise_of_rows = noise.expand(-1, x.shape[0] // n_draws, -1).flatten(0, 1)[None]
    sample = module.sample(
        weights,
        torch.where(u.isnan(), x, u),
        torch.ones_like(x[:, 0]),
        noise_of_rows,
        observed,
    )
    posterior: Any = DrawnPosterior.of(sample.posterior, sample.z, n_draws)
    return replace(sample, posterior=posterior, z=posterior.z, noise=noise, x=x)
