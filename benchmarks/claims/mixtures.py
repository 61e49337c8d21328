"""Columns without their grid, and mixtures of normals over rows and over latents."""

import math

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

SIZES = [1, 2, 3, 5, 8, 12, 16, 20]


def grid_step(column):
    """Step of the grid that a column was recorded on, 0 if it was on none.

    A tenth of the gaps between its values are no wider. The very smallest is often no
    step, where a range was cut off at a number beside the grid.
    """
    values = np.unique(column.round(9))
    if 2 * len(values) > len(column):
        return 0.0
    return np.quantile(np.diff(values), 0.1, method="lower")


def dequantise(parts, seed):
    """Parts of a table with uniform noise over each step, and how many columns got it.

    On a grid a density can be as high as it is narrow. With the noise, which is as
    wide as a step, its logarithm is at most that of the probabilities on the grid.
    """
    rows = np.vstack(parts)
    steps = np.array([grid_step(column) for column in rows.T])
    noise = np.random.default_rng([seed, 1]).uniform(-0.5, 0.5, rows.shape)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(rows + steps * noise, ends), int(np.count_nonzero(steps))


def repeated(rows):
    """Share of cells whose value another row has too."""
    counts = [np.unique(column, return_counts=True)[1] for column in rows.T]
    return 1 - float(np.mean([np.sum(count == 1) / len(rows) for count in counts]))


def best_mixture(rows):
    """The mixture of normals with full covariances that is best by BIC."""
    mixtures = (
        GaussianMixture(size, reg_covar=1e-4, random_state=0).fit(rows)
        for size in SIZES
        # More have not the rows to estimate a covariance each.
        if size * 2 * rows.shape[1] <= len(rows) or size == 1
    )
    return min(mixtures, key=lambda mixture: mixture.bic(rows))


def tensor_of(array, model):
    return torch.as_tensor(array, dtype=model.dtype, device=model.device)


@torch.no_grad()
def fit_prior(vae, rows, seed):
    """The best mixture of one draw from the posterior of each row."""
    model = vae._model(rows.dtype)
    x = tensor_of(model.table.to_model(rows), model)
    shape = (len(rows), model.module.n_components)
    draws = np.random.default_rng([seed, 2]).standard_normal(shape)
    posterior = model.module.encode(model.weights, x)
    return best_mixture(posterior.sample(tensor_of(draws, model))[0].cpu().numpy())


@torch.no_grad()
def log_likelihood(vae, rows, prior, n_draws):
    """As `vae.log_likelihood`, with the same draws and another prior."""
    model = vae._model(rows.dtype)
    module, weights = model.module, model.weights
    draws = np.random.RandomState(0).standard_normal((n_draws, module.n_components))
    noise = tensor_of(draws, model)[:, None]
    nats = []
    for part in np.array_split(rows, math.ceil(len(rows) / 100)):
        x = tensor_of(model.table.to_model(part), model)
        sample = module.sample(weights, x, x.new_ones(len(x)), noise)
        log_prior = prior.score_samples(sample.z.flatten(end_dim=-2).cpu().numpy())
        log_weight = (
            module.log_likelihood(sample, model.scored_variance)
            + tensor_of(log_prior, model).reshape(sample.z.shape[:-1])
            - sample.posterior.log_prob(noise)
        )
        nats.append(log_weight[0].logsumexp(dim=0).cpu().numpy())
    return np.concatenate(nats) - math.log(n_draws) - model.table.log_jacobian.sum()
