"""Gaussian likelihood of normal scores, for a model in use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from skvae.likelihoods._by_columns import ByColumns
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._groups import groups_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from skvae.data._normal_scores import NormalScores
    from skvae.likelihoods._base import Likelihood, PerColumn

# Slices of equal probability that the mean of a cell is computed from.
_N_SLICES = 20

# Slices that are in memory together.
_AT_A_TIME = 5

# Width of an interval, relative to the distance over which the density changes, below
# which a series is closer than a difference of probabilities.
_NARROW = 0.1


class GaussianScores(Gaussian):
    r"""Gaussian of columns as normal scores, with a probability for each atom.

    A score within the interval of an atom has the probability of the whole interval,

    .. math:: \Phi\left(\frac{b - m(z)}{\sigma}\right)
              - \Phi\left(\frac{a - m(z)}{\sigma}\right),

    with its ends a and b and the normal distribution function :math:`\Phi`; all other
    scores have a density. Training sees scores drawn within the intervals, and has the
    density of these: a bound on this probability, which needs no draws.

    Parameters
    ----------
    variance, floor : see `Gaussian`

    See Also
    --------
    Gaussian : What is trained.
    """

    @classmethod
    def of(
        cls, gaussian: Gaussian, scores: NormalScores, device: Any = None
    ) -> GaussianScores:
        """Likelihood with what a Gaussian has learned.

        Parameters
        ----------
        gaussian : Gaussian
            Fitted.
        scores : NormalScores
            Maps of its columns.
        device : torch.device or None, default=None
            None is the CPU.
        """
        from skvae.data._tensor_scores import TensorScores

        found = cls(gaussian.variance, gaussian.floor)
        found.mean_ = gaussian.mean_
        found.scores_ = TensorScores(scores).to(device)
        found.low_, found.high_ = scores.atoms
        return found

    def log_prob(
        self, x: Tensor, parameters: dict[str, Tensor], variance: Tensor
    ) -> Tensor:
        """Log-probability of atoms, and log-density of all other cells, in nats."""
        import torch

        density = super().log_prob(x, parameters, variance)
        low, high = self.tensor("low_", x), self.tensor("high_", x)
        cells = x.movedim(-1, 0).flatten(1).contiguous()
        place = torch.searchsorted(low, cells) - 1
        first = place.clamp(min=0)
        low, high = low.gather(1, first), high.gather(1, first)
        is_atom = (place >= 0) & (cells < high)
        # Any interval will do where there is none.
        low = torch.where(is_atom, low, -1.0)
        high = torch.where(is_atom, high, 1.0)
        shape = x.movedim(-1, 0).shape
        low, high, is_atom = (
            each.view(shape).movedim(0, -1) for each in (low, high, is_atom)
        )
        std = variance.sqrt()[:, None, :]
        mean = parameters["mean"]
        inside = _log_probability((low - mean) / std, (high - mean) / std)
        return torch.where(is_atom, inside, density)

    def reconstruction(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        center: PerColumn | Tensor = 0.0,
        scale: PerColumn | Tensor = 1.0,
    ) -> Tensor:
        """Mean of each cell, in the units of X."""
        import torch

        of_scaled = super().reconstruction(parameters, variance, center, scale)
        found = of_scaled.double()
        mean, std = parameters["mean"].double(), variance.double().sqrt()[:, None, :]
        ends = ndtri(np.arange(_N_SLICES + 1) / _N_SLICES)
        density = np.exp(-0.5 * np.square(ends)) / math.sqrt(2.0 * math.pi)
        middles = -np.diff(density) * _N_SLICES
        usual = self.scores_.to_user(mean, found)
        # Exact where all slices are on one atom, and without sums of large numbers.
        rest = torch.zeros_like(usual)
        for some in torch.from_numpy(middles).to(mean).split(_AT_A_TIME):
            u = mean + some[:, None, None, None] * std
            values = self.scores_.to_user(u, found.expand(u.shape))
            rest = rest + (values / _N_SLICES - usual / _N_SLICES).sum(dim=0)
        return usual + rest


def of_scores(
    likelihood: Likelihood, scores: NormalScores, device: Any = None
) -> Likelihood:
    """Fitted likelihood of a table whose scores a model sees.

    Parameters
    ----------
    likelihood : Likelihood
        Of the training.
    scores : NormalScores
        Maps of the columns.
    device : torch.device or None, default=None
        Of the model; None is the CPU.
    """
    if isinstance(likelihood, ByColumns):
        found = ByColumns(
            [
                (of_scores(member, scores.of(columns), device), columns)
                for member, columns in likelihood.groups
            ]
        )
        found.dispersion_ = found.column_dispersion(len(scores.columns))
        return found
    if isinstance(likelihood, Gaussian):
        return GaussianScores.of(likelihood, scores, device)
    return likelihood


def check_gaussian(
    likelihood: Likelihood, n_features: int, name_of: Callable[[int], str]
) -> None:
    """Raise ValueError where a column of numbers has another likelihood.

    Parameters
    ----------
    likelihood : Likelihood
    n_features : int
    name_of : callable
        Name of a column, for the message.
    """
    for group in groups_of(likelihood, n_features):
        member = group.likelihood
        if member.is_continuous and type(member) is not Gaussian:
            raise ValueError(
                "standardize='quantile' maps columns to normal scores, which only the "
                f"Gaussian likelihood fits, but {name_of(int(group.columns[0]))} has "
                f"{type(member).__name__}. Use likelihood='gaussian' for it, or "
                "standardize=True."
            )


def _log_probability(low: Tensor, high: Tensor) -> Tensor:
    """Log-probability that a standard normal number is between two others."""
    import torch

    is_upper = low + high > 0.0
    # In the lower half, where probabilities do not round to 1.
    low, high = torch.where(is_upper, -high, low), torch.where(is_upper, -low, high)
    middle, width = 0.5 * (low + high), high - low
    curvature = (middle.square() - 1.0) * width.square() / 24.0
    density = -0.5 * middle.square() - 0.5 * math.log(2.0 * math.pi)
    narrow = density + width.log() + curvature
    first, second = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    is_narrow = width * (1.0 + middle.abs()) < _NARROW
    ratio = torch.where(is_narrow, -1.0, first - second)
    return torch.where(is_narrow, narrow, second + (-ratio.expm1()).log())
