"""Disentangled inferred prior: decorrelated latents."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval, StrOptions
from skvae.divergences._base import Divergence, Draws

if TYPE_CHECKING:
    from torch import Tensor


class DIP(Divergence):
    r"""The KL divergence, and a penalty on latents that are correlated over rows.

    DIP-VAE [1]_ adds to the KL divergence how far a covariance matrix C of the
    latents is from the identity, the covariance of the prior:

    .. math:: \mathrm{KL} + \lambda_{od} \sum_{i \ne j} C_{ij}^2
              + \lambda_d \sum_i (C_{ii} - 1)^2

    Type I takes the covariance of the posterior means, type II that of the latents:

    .. math:: C_I = \mathrm{Cov}(\mu(x)), \qquad
              C_{II} = \mathrm{Cov}(\mu(x)) + \mathrm{E}[S(x)]

    where S is the covariance of the posterior.

    Use it where the latents are inputs of a model that suffers from correlated
    features, or are read one at a time. At the optimum of a linear model the latents
    are uncorrelated and :math:`C_{II}` is the identity, so that it acts on deeper
    models alone. Type I also pulls the variance of the means to 1, against the rate:
    it activates latents that the data do not need, and suits tables badly.
    Uncorrelated latents may be dependent; for independent ones see `TotalCorrelation`.

    Parameters
    ----------
    kind : {"I", "II"}, default="II"
        Covariance of the means, "I", or of the latents, "II".

    off_diagonal : float, default=10.0
        :math:`\lambda_{od}`, at least 0, in nats per squared covariance. Published
        sweeps for pictures go from 1 to 50.

    diagonal : float, default=10.0
        :math:`\lambda_d`, at least 0. Published are ten times the other for type I,
        and the same for type II.

    See Also
    --------
    TotalCorrelation : Penalises dependence, of which correlation is a part.
    MMD : Compares the whole distribution of the latents with the prior.

    Notes
    -----
    The covariance is that of a batch, centred, with the weights of its rows, divided
    by their sum.

    References
    ----------
    .. [1] A. Kumar, P. Sattigeri and A. Balakrishnan, "Variational inference of
       disentangled latent concepts from unlabeled observations", ICLR 2018, Eqs. 5
       to 7. https://arxiv.org/abs/1711.00848

    Examples
    --------
    >>> from skvae.divergences import DIP
    >>> DIP(off_diagonal=5.0)
    DIP(off_diagonal=5.0)
    """

    _parameter_constraints = {
        "kind": [StrOptions({"I", "II"})],
        "off_diagonal": [Interval(Real, 0, None, closed="left")],
        "diagonal": [Interval(Real, 0, None, closed="left")],
    }

    min_rows = 2

    def __init__(
        self, kind: str = "II", off_diagonal: float = 10.0, diagonal: float = 10.0
    ) -> None:
        self.kind = kind
        self.off_diagonal = off_diagonal
        self.diagonal = diagonal

    def covariance(self, draws: Draws) -> Tensor:
        """C of each replica, of shape (n_replicas, n_components, n_components)."""
        mean, weight = draws.posterior.mean, draws.normalized_weight
        centred = mean - (weight @ mean)[:, None, :]
        covariance = centred.mT @ (weight[:, None] * centred)
        if self.kind == "II":
            covariance = covariance + draws.posterior.mean_covariance(weight)
        return covariance

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica, in nats per row."""
        covariance = self.covariance(draws)
        variance = covariance.diagonal(dim1=-2, dim2=-1)
        off_diagonal = (covariance - variance.diag_embed()).square().sum(dim=(-2, -1))
        diagonal = (variance - 1.0).square().sum(dim=-1)
        penalty = self.off_diagonal * off_diagonal + self.diagonal * diagonal
        return draws.rate + penalty
