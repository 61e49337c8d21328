"""Latents of rows given some of their cells, drawn about the most probable ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skvae.fitted._inference import Floats, Model
from skvae.ground._tensors import standard_normal_log_prob

# Effective number of draws that is enough for a row.
_ENOUGH = 50.0

# Newton steps, the lengths that are tried of each, and the step of differences in
# latents, whose prior has unit width.
_STEPS, _LENGTHS, _STEP = 4, (1.0, 0.5, 0.25, 0.1, 0.02, 0.0), 0.01


@dataclass(frozen=True)
class WeightedLatents:
    """Latents drawn for some rows, with the logarithm of their importance weights."""

    z: Tensor
    """Latents, of shape (n_draws, n_rows, n_components)."""
    log_weight: Tensor
    """Logarithm of their weights, of shape (n_draws, n_rows)."""

    @property
    def is_enough(self) -> Tensor:
        """Rows whose draws are enough in effect, or half of them, (n_rows,)."""
        effective = 1.0 / self.log_weight.softmax(dim=0).square().sum(dim=0)
        return effective >= min(_ENOUGH, len(self.z) / 2)

    def of(self, rows: slice | Tensor) -> WeightedLatents:
        """Latents of some of the rows, given as a slice or a mask."""
        return WeightedLatents(self.z[:, rows], self.log_weight[:, rows])


@dataclass(frozen=True)
class Normals:
    """A normal distribution of the latents of each row."""

    mean: Tensor
    """Mean of each latent, of shape (n_rows, n_components)."""
    axes: Tensor
    """Principal axes as columns, of shape (n_rows, n_components, n_components)."""
    scale: Tensor
    """Standard deviation along each axis, of shape (n_rows, n_components)."""

    @classmethod
    def like(cls, z: Tensor) -> Normals:
        """Distributions with the mean and the variance of each latent over draws."""
        scale = z.std(dim=0).clamp(min=torch.finfo(z.dtype).eps)
        axes = torch.eye(z.shape[-1]).to(z).expand(*scale.shape, -1)
        return cls(z.mean(dim=0), axes, scale)

    def sample(self, noise: Tensor) -> Tensor:
        """Latents at standard normal noise, of shape (n_draws, 1, n_components)."""
        # The symmetric root: where curvatures are equal, axes are arbitrary.
        along = self.scale * _product(self.axes.mT, noise)
        return self.mean + _product(self.axes, along)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents, of shape (n_draws, n_rows)."""
        noise = _product(self.axes.mT, z - self.mean) / self.scale
        return standard_normal_log_prob(noise) - self.scale.log().sum(dim=-1)


@torch.no_grad()
def drawn_about_modes(
    model: Model, X: Floats, start: WeightedLatents
) -> WeightedLatents:
    """Latents of rows whose encoder's posterior is far from p(z given observed cells).

    Half of them are drawn about the mode of that distribution, by Laplace's
    approximation, and half from a normal distribution like the encoder's draws,
    for there may be other modes. They are weighted as draws from the mixture of both.

    Parameters
    ----------
    model : Model
    X : ndarray of shape (n_rows, n_features)
        In the units of X; NaN where a cell is missing.
    start : WeightedLatents
        The encoder's draws; of two or more.

    Returns
    -------
    latents : WeightedLatents
        Twice as many for each row as at the start.
    """
    x, observed = model.seen(X)
    heaviest = start.log_weight.argmax(dim=0)
    best = start.z[heaviest, torch.arange(len(x), device=x.device)]
    proposals = laplace(model, best, x, observed), Normals.like(start.z)
    n_draws, _, n_components = start.z.shape
    # The same for all rows, at every call.
    noise = np.random.RandomState(1).standard_normal((2, n_draws, 1, n_components))
    z = torch.cat(
        [
            each.sample(model.tensor(draws))
            for each, draws in zip(proposals, noise, strict=True)
        ]
    )
    log_mixture = torch.logaddexp(*(each.log_prob(z) for each in proposals))
    log_joint = model.log_joint(z, x, observed)
    return WeightedLatents(z, log_joint - log_mixture + math.log(2.0))


def laplace(model: Model, z: Tensor, x: Tensor, observed: Tensor | None) -> Normals:
    """Normal distributions at modes of p(z given the observed cells) of each row.

    The modes are found by Newton's method. Its curvature is nowhere below that of a
    standard normal prior alone, so that all steps go up.

    Parameters
    ----------
    model : Model
    z : Tensor of shape (n_rows, n_components)
        Where to start.
    x : Tensor of shape (n_rows, n_features)
        Rows as the model sees them.
    observed : Tensor of shape (n_rows, n_features), dtype=bool, or None
    """
    rows, lengths = torch.arange(len(z), device=z.device), z.new_tensor(_LENGTHS)
    for _ in range(_STEPS):
        gradient, axes, curvature = _derivatives(model, z, x, observed)
        move = _product(axes, _product(axes.mT, gradient) / curvature)
        tried = z + lengths[:, None, None] * move
        found = model.log_joint(tried, x, observed).nan_to_num(nan=-math.inf)
        z = tried[found.argmax(dim=0), rows]
    _, axes, curvature = _derivatives(model, z, x, observed)
    return Normals(z, axes, curvature.rsqrt())


def _derivatives(
    model: Model, z: Tensor, x: Tensor, observed: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of log p(observed cells, z), and minus its curvature along axes."""
    n_components = z.shape[-1]
    steps = _STEP * torch.eye(n_components).to(z)[:, None]
    at = torch.cat([z[None], z + steps, z - steps]).requires_grad_()
    with torch.enable_grad():
        total = model.log_joint(at, x, observed).sum()
    (gradient,) = torch.autograd.grad(total, at)
    # A row may be too far off for its numbers: it moves nowhere.
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    here, ahead, behind = gradient.split([1, n_components, n_components])
    hessian = ((behind - ahead) / (2 * _STEP)).transpose(0, 1)
    curvature, axes = torch.linalg.eigh(0.5 * (hessian + hessian.mT))
    return here[0], axes, curvature.clamp(min=1.0)


def _product(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Product of a matrix for each row with vectors of it, the last axis."""
    return (matrices @ vectors[..., None])[..., 0]
