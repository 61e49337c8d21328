"""A mixture of normals, fitted to the latents of the rows."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from skvae._sklearn_compat import Interval, StrOptions
from skvae.ground._tensors import standard_normal_log_prob
from skvae.priors._base import Floats, Latents, Prior
from skvae.priors._components import Components

if TYPE_CHECKING:
    from torch import Tensor

# Draws from the aggregate posterior that a mixture is fitted to: so many for each row
# within bounds, to cost little beside a training of any size.
_DRAWS_PER_ROW, _FEWEST_DRAWS, _MOST_DRAWS = 4, 1000, 4000

# Latents beyond this are those of a training that has diverged.
_LARGEST = 1e100

# Numbers of components that "auto" tries in turn; it stops after so many of them in a
# row that are no better. Each needs at least so many rows for each latent.
_SIZES, _PATIENCE, _ROWS_PER_LATENT = (1, 2, 3, 5, 8, 16), 3, 4

# A mixture has to be better than the standard normal by so many nats per row, and so
# many standard errors: few, as the weight of the standard normal bounds what a wrong
# choice costs.
_LEAST_GAIN, _STANDARD_ERRORS = 0.01, 0.5


class Mixture(Prior):
    r"""Mixture of normals, fitted to the latents of the rows when training has ended.

    The rows of a table with clusters or long tails have latents that are not
    standard normal together, however well each row's posterior was trained. A density
    fitted to them afterwards [1]_ makes up for it without training anew: it lowers
    the rate by part of the divergence of the aggregate posterior from the prior [2]_,
    and `sample` no longer draws from between the clusters.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of normals, from 1 to 100. "auto" tries 1, 2, 3, 5, 8 and 16, as long as
        there are four rows for each latent and normal and they become better, and keeps
        the standard normal if none is better by more than half a standard error and
        0.01 nats per row. Held-out rows decide, or BIC where none were held out.

    normal_weight : float, default=0.05
        Weight of a standard normal beside the others, in [0, 1]. It bounds the loss on
        a row that they do not expect: no rate is above that of the standard normal by
        more than its negative logarithm, 3 nats by default.

    floor : float, default=1e-4
        Smallest variance of a normal, above 0, relative to that of each latent over
        all rows.

    Attributes
    ----------
    n_components_ : int
        Number of normals fitted to the latents; 0 if the standard normal is kept.

    gain_ : float
        Nats per row by which the density of the latents is above that of the standard
        normal, on the rows that decided. The rate is lower by so much, or where no rows
        were held out by BIC's penalty more.

    weights_ : ndarray of shape (n_normals,)
        Weights of all normals, the standard normal last. A weight of 0 is left out.

    means_ : ndarray of shape (n_normals, n_latents)
        Their means.

    covariances_ : ndarray of shape (n_normals, n_latents, n_latents)
        Their covariances.

    See Also
    --------
    Normal : The standard normal.
    sklearn.mixture.GaussianMixture : Fits the normals.

    Notes
    -----
    The normals have full covariances and are fitted to draws from the aggregate
    posterior of the training rows: four for each row, but at least 1,000 and at most
    4,000, and more of them for rows of more weight. Draws and start come from fixed
    seeds. Where an encoder overfits, the latents of training rows are not distributed
    as those of new ones, which the held-out rows tell.

    The rate is a mean over the draws that the distortion is computed at, and the same
    at every call. It is exact for a single normal; there is no closed form for more.

    References
    ----------
    .. [1] P. Ghosh, M. S. M. Sajjadi, A. Vergari, M. Black and B. Schoelkopf, "From
       variational to deterministic autoencoders", ICLR 2020, section 4.
       https://arxiv.org/abs/1903.12436
    .. [2] J. M. Tomczak and M. Welling, "VAE with a VampPrior", AISTATS 2018.
       https://arxiv.org/abs/1705.07120

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skvae import BalancedVAE
    >>> X = load_breast_cancer().data
    >>> vae = BalancedVAE(3, prior="mixture", max_iter=20, random_state=0).fit(X)
    >>> vae.prior_.n_components_ > 0
    True
    """

    _parameter_constraints = {
        "n_components": [
            Interval(Integral, 1, _FEWEST_DRAWS // 10, closed="both"),
            StrOptions({"auto"}),
        ],
        "normal_weight": [Interval(Real, 0, 1, closed="both")],
        "floor": [Interval(Real, 0, None, closed="neither")],
    }

    n_components_: int
    gain_: float
    weights_: Floats
    means_: Floats
    covariances_: Floats

    def __init__(
        self,
        n_components: int | str = "auto",
        normal_weight: float = 0.05,
        floor: float = 1e-4,
    ) -> None:
        self.n_components = n_components
        self.normal_weight = normal_weight
        self.floor = floor

    def learn(self, latents: Latents) -> Mixture:
        """Fit mixtures to the latents, and keep the best.

        Latents of a training that has diverged leave the standard normal.
        """
        z, held_out = self._draws(latents), latents.held_out()
        standard = Components.standard(latents.n_latents)
        self._keep(standard, 0, 0.0)
        if not np.abs(z).max() < _LARGEST:
            return self
        n_worse = 0
        for size in self._sizes(latents):
            found = Components.fitted(z, size, self.floor)
            found = found.beside(standard, self.normal_weight)
            if held_out is None:
                gain, error = float(_gains(found, z).mean()), 0.0
                gain -= found.bic_penalty(latents.n_rows)
            else:
                gain, error = _mean(_gains(found, held_out.z), held_out.weight)
            n_worse += 1
            least = max(self.gain_, _LEAST_GAIN, _STANDARD_ERRORS * error)
            if self.n_components != "auto" or gain > least:
                self._keep(found, size, gain)
                n_worse = 0
            if n_worse == _PATIENCE:
                break
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents of shape (..., n_latents)."""
        return self._components.log_prob(z)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> Floats:
        """Latents, of shape (n_samples, n_latents)."""
        return self._components.sample(n_samples, random_state)

    @property
    def _components(self) -> Components:
        return Components(self.weights_, self.means_, self.covariances_)

    def _draws(self, latents: Latents) -> Floats:
        """Latents to fit to, of shape (n_draws, n_latents)."""
        n_draws = np.clip(_DRAWS_PER_ROW * latents.n_rows, _FEWEST_DRAWS, _MOST_DRAWS)
        return latents.draw(int(n_draws))

    def _sizes(self, latents: Latents) -> list[int]:
        """Numbers of components to try."""
        if not isinstance(self.n_components, str):
            return [int(self.n_components)]
        most = latents.n_rows / (_ROWS_PER_LATENT * latents.n_latents)
        return [size for size in _SIZES if size <= most]

    def _keep(self, components: Components, size: int, gain: float) -> None:
        self.n_components_, self.gain_ = size, gain
        self.weights_, self.means_, self.covariances_ = components


def _gains(found: Components, z: Floats) -> Floats:
    """Log-density of latents, minus that under the standard normal."""
    import torch

    latents = torch.from_numpy(z)
    return (found.log_prob(latents) - standard_normal_log_prob(latents)).numpy()


def _mean(gains: Floats, weight: Floats) -> tuple[float, float]:
    """Mean gain over rows, and its standard error, from all draws of each row."""
    of_rows = gains.mean(axis=0)
    mean = weight @ of_rows
    return float(mean), float(np.sqrt(weight**2 @ (of_rows - mean) ** 2))
