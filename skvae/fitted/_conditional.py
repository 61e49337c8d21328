"""Latents drawn from the model given some cells of a row."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch

from skvae.exceptions import EffectiveSampleSizeWarning
from skvae.fitted._inference import Floats, Model, on_its_device

# Latents drawn for each row, and at least so many, of which rows take theirs.
_LATENTS_PER_ROW = 10
_FEWEST_LATENTS = 10_000

# Effective number of latents below which rows repeat each other.
_FEWEST_EFFECTIVE = 50.0


@on_its_device
def latents_given(
    model: Model, row: Floats, n_samples: int, random: np.random.RandomState
) -> tuple[torch.Tensor, int]:
    """Latents from p(z given some cells), by importance.

    Half of the latents are drawn from the prior, half from the posterior of a row
    whose other cells are missing. Each weighs as many times its density under the
    mixture of the two as p(z) p(cells given z) is, so that latents which the
    posterior leaves out are there, and a poor posterior costs half of the draws.

    Parameters
    ----------
    model : Model
    row : ndarray of shape (1, n_features)
        The given cells in the units of X, NaN for the others.
    n_samples : int
        Number of rows to draw at the latents.
    random : RandomState

    Returns
    -------
    z : Tensor of shape (n_samples, n_components)
    seed : int
        For `Model.draw_at`.
    """
    z, log_weight = _weighted_latents(model, row, n_samples, random)
    weight = log_weight.double().softmax(dim=0).cpu().numpy()
    n_effective = 1.0 / float(np.square(weight).sum())
    if n_effective < min(_FEWEST_EFFECTIVE, n_samples):
        warnings.warn(
            f"Of {len(z):,} latents only {n_effective:.1f} in effect agree with what "
            f"is given, so that {n_samples:,} rows repeat each other. The cells are "
            "improbable together under the model: give fewer of them, or others.",
            EffectiveSampleSizeWarning,
            stacklevel=4,
        )
    chosen = random.choice(len(z), n_samples, p=weight / weight.sum())
    seed = int(random.randint(np.iinfo(np.int32).max))
    return z[torch.from_numpy(chosen).to(z.device)], seed


def _weighted_latents(
    model: Model, row: Floats, n_samples: int, random: np.random.RandomState
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents, of shape (n_latents, n_components), and their log-weights."""
    x, observed = model.seen(row)
    posterior = model.module.encode(model.weights, x, observed)
    n_half = max(_FEWEST_LATENTS, _LATENTS_PER_ROW * n_samples) // 2
    from_prior = model.tensor(model.prior.sample(n_half, random))
    shape = n_half, 1, model.module.n_components
    noise = model.tensor(random.standard_normal(shape))
    from_posterior = model.module.draw(posterior, noise)[0, :, 0]
    z = torch.cat([from_prior, from_posterior])
    found = []
    for part in model.chunks(len(z)):
        own = z[part]
        draws = own[None, :, None]
        log_prior = model.prior.log_prob(own)
        log_posterior = posterior.log_prob_of_each(draws)[0][0, :, 0, 0]
        log_mixture = torch.logaddexp(log_prior, log_posterior) - math.log(2.0)
        log_joint = model.log_joint(own[:, None], x, observed)[:, 0]
        found.append(log_joint - log_mixture)
    return z, torch.cat(found)
