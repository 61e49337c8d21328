"""Base of the divergences: functions of draws from a posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sklearn.base import BaseEstimator

from skvae.ground._tensors import standard_normal_log_prob

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.divergences._posterior import FullPosterior, Posterior


class Draws(NamedTuple):
    """Posteriors of a batch of rows, and latents drawn from them."""

    posterior: Posterior | FullPosterior
    z: Tensor
    """Latents, of shape (n_replicas, n_draws, n_rows, n_components)."""
    noise: Tensor
    """Standard normal noise of the latents, the same for all replicas, of shape
    (n_draws, n_rows, n_components), or of one row that serves all rows."""
    kl: Tensor
    """Analytic KL divergence of each row and latent, of shape (n_replicas, n_rows,
    n_components)."""
    weight: Tensor
    """Weight of each row in the batch mean, of shape (n_rows,); they sum to about 1,
    and to exactly 1 in the mean over batches."""
    n_rows_of_table: int
    """Rows of the table that the batch is from."""
    log_likelihood: Tensor | None = None
    """log p(x given z) of each draw, of shape (n_replicas, n_draws, n_rows), with the
    decoder's variance in force; None unless the divergence needs it."""

    @property
    def rate(self) -> Tensor:
        """KL divergence of each replica, in nats per row."""
        return self.kl.sum(dim=-1) @ self.weight

    @property
    def normalized_weight(self) -> Tensor:
        """Weights of the rows that sum to exactly 1."""
        return self.weight / self.weight.sum()

    @property
    def log_ratio(self) -> Tensor:
        """Log of p(z) / q(z given x) of each draw, (n_replicas, n_draws, n_rows)."""
        return standard_normal_log_prob(self.z) - self.posterior.log_prob(self.noise)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over draws and rows of values of shape (n_replicas, n_draws, n_rows)."""
        return values.mean(dim=1) @ self.weight


class Divergence(BaseEstimator):
    """Base of the divergences of the posterior from the prior, which beta weighs.

    The reported rate is always the KL divergence; another divergence only replaces it
    in the objective.

    See Also
    --------
    KL : The rate itself.

    Notes
    -----
    The first axis of every tensor is the replica, and a divergence reduces over the
    others alone. `Draws.mean` is the mean over draws and rows, with the rows' weights.

    Examples
    --------
    The part of the rate that is due to the posterior means:

    >>> from skvae.divergences import Divergence
    >>> class Means(Divergence):
    ...     def __call__(self, draws):
    ...         return 0.5 * draws.posterior.mean.square().sum(dim=-1) @ draws.weight
    >>> Means()
    Means()
    """

    _parameter_constraints: dict[str, list] = {}

    #: True if it needs log p(x given z) of each draw.
    needs_log_likelihood = False

    #: True if it is the rate itself.
    is_rate = False

    #: True if its mean over draws is the rate.
    is_mean_rate = False

    #: Smallest number of rows in a batch.
    min_rows = 1

    @property
    def n_draws(self) -> int:
        """Number of draws per row; a call gets these or a multiple of them."""
        return 1

    @property
    def is_bound(self) -> bool:
        """True where several draws at a time bound the log-likelihood."""
        return self.needs_log_likelihood and self.n_draws > 1

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica.

        Parameters
        ----------
        draws : Draws
            Draws of a batch.

        Returns
        -------
        divergence : Tensor of shape (n_replicas,)
            In nats per row.
        """
        raise NotImplementedError
