"""Diagnostics of latents from their posteriors: activity, variance, information."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skvae.divergences._posterior import FullPosterior, Posterior

Floats = NDArray[np.floating]

# Approximate number of draws, over all rows, for a mean over the posteriors.
_N_DRAWS = 4000
_MAX_DRAWS_PER_ROW = 32

# Numbers held at a time for a comparison of every draw with every posterior.
_MAX_CELLS = 4_000_000


class Information(NamedTuple):
    """Mutual information of rows and latents, in nats per row."""

    joint: float
    """Information of all latents together."""
    latent: Floats
    """Information of each latent by itself, of shape (n_components,)."""


def activity(mean: Floats, weight: Floats) -> Floats:
    """Variance of the posterior mean over rows.

    Parameters
    ----------
    mean : ndarray of shape (n_rows, n_components)
        Posterior means.
    weight : ndarray of shape (n_rows,)
        Sums to 1.

    Returns
    -------
    activity : ndarray of shape (n_components,)

    References
    ----------
    .. [1] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted
       autoencoders", ICLR 2016, section 5. https://arxiv.org/abs/1509.00519
    """
    return weight @ np.square(mean - weight @ mean)


def aggregate_variance(posterior: Posterior | FullPosterior, weight: Floats) -> Floats:
    r"""Variance of each latent under the aggregate posterior.

    :math:`\mathrm{Var}_i(\mu_{ij}) + \frac{1}{n} \sum_i s_{ij}^2`, which is 1 at the
    optimum of a linear model, for latents that are active and for those that are not
    [1]_.

    Parameters
    ----------
    posterior : Posterior or FullPosterior
        Of one replica, in float64.
    weight : ndarray of shape (n_rows,)
        Sums to 1.

    Returns
    -------
    variance : ndarray of shape (n_components,)

    References
    ----------
    .. [1] A. Asperti, "Variance loss in variational autoencoders", LOD 2020.
       https://arxiv.org/abs/2002.09860
    """
    mean, log_variance = (part[0].numpy() for part in posterior.marginal())
    return activity(mean, weight) + weight @ np.exp(log_variance)


def mutual_information(
    posterior: Posterior | FullPosterior, weight: Floats, seed: int = 0
) -> Information:
    r"""Mutual information of rows and latents under the posteriors.

    .. math:: I_q(x; z) = \frac{1}{n} \sum_i \mathbb{E}_{q(z \mid x_i)}
              \left[\log q(z \mid x_i) - \log q(z)\right], \qquad
              q(z) = \frac{1}{n} \sum_i q(z \mid x_i)

    and the same for each latent by itself. With q(z) as the mixture of all rows it is
    at most the entropy of their weights, log n where they are equal.

    Parameters
    ----------
    posterior : Posterior or FullPosterior
        Of one replica, in float64.
    weight : ndarray of shape (n_rows,)
        Above 0; sums to 1.
    seed : int, default=0
        Seed of the draws, which come in pairs of opposite sign.

    Returns
    -------
    information : Information

    References
    ----------
    .. [1] M. D. Hoffman and M. J. Johnson, "ELBO surgery: yet another way to carve up
       the variational evidence lower bound", NeurIPS 2016 workshop on advances in
       approximate Bayesian inference.
    """
    import torch

    n_rows, n_components = posterior.mean.shape[1:]
    n_pairs = int(np.clip(_N_DRAWS // (2 * n_rows), 1, _MAX_DRAWS_PER_ROW // 2))
    # RandomState: the streams of newer generators may change with numpy.
    draws = np.random.RandomState(seed).standard_normal((n_pairs, n_rows, n_components))
    noise = torch.from_numpy(np.concatenate([draws, -draws]))
    z = posterior.sample(noise[:, None]).transpose(0, 1)
    row_weight = torch.from_numpy(weight)
    log_weight = row_weight.log()
    joint, latent = 0.0, np.zeros(n_components)
    size = max(1, _MAX_CELLS // (len(noise) * n_rows * n_components))
    for rows in torch.arange(n_rows).split(size):
        own = rows.expand(len(noise), -1)[None, ..., None]
        each, marginal = posterior.log_prob_of_each(z[:, :, rows])
        nats = each.gather(3, own)[..., 0] - (each + log_weight).logsumexp(dim=3)
        joint += float(nats.mean(dim=1)[0] @ row_weight[rows])
        own = own[..., None].expand(*own.shape, n_components)
        marginal_nats = marginal.gather(3, own)[..., 0, :] - (
            marginal + log_weight[:, None]
        ).logsumexp(dim=3)
        latent += (row_weight[rows] @ marginal_nats.mean(dim=1)[0]).numpy()
    return Information(joint, latent)
