"""The KL divergence in three parts, each with a weight of its own."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval, StrOptions
from skvae.divergences._base import Divergence, Draws
from skvae.ground._tensors import standard_normal_log_prob

if TYPE_CHECKING:
    from torch import Tensor


class TotalCorrelation(Divergence):
    r"""Mutual information, total correlation and dimension-wise KL, weighed apart.

    With q(z) the distribution of the latents over all rows, the KL divergence is,
    in the mean over rows, the sum of three parts [1]_:

    .. math:: \underbrace{\mathrm{KL}(q(z, x), q(z)\, p(x))}_{MI}
              + \underbrace{\mathrm{KL}(q(z), \textstyle\prod_j q(z_j))}_{TC}
              + \underbrace{\textstyle\sum_j \mathrm{KL}(q(z_j), p(z_j))}_{D}

    Use it to make latents independent over the rows, so that each can be read by
    itself: a large weight of the total correlation alone does not penalise the mutual
    information of latents and rows, which a large beta penalises too. Do not use it to
    raise scores, or on a small table with narrow posteriors: there q(z) is a set of
    separate peaks, one for each row, the mutual information saturates at the logarithm
    of the number of rows and the rest of the rate is counted as total correlation.

    Parameters
    ----------
    mutual_information : float, default=1.0
        Weight of MI, at least 0.

    total_correlation : float, default=6.0
        Weight of TC, at least 0. Published for pictures of shapes; sweeps go from 1
        to 10.

    dimension_wise : float, default=1.0
        Weight of D, at least 0.

    sampling : {"stratified", "weighted"}, default="stratified"
        How q(z) is estimated from a batch that is not the whole table. "weighted" is
        simpler, and too low by about the logarithm of the number of rows.

    See Also
    --------
    KL : All three with weight 1.
    DIP : Penalises correlations alone; needs no pairs of rows.

    Notes
    -----
    Only the excess of the weights over 1 is estimated; the rest is the KL divergence in
    closed form, which has no noise. The logarithm of q(z) is that of
    a weighted mean over the posteriors of a batch of B of n rows. Where the batch is
    the whole table, the weights are those of the rows and q(z) is exact. Otherwise,
    for rows of equal weight:

    - "stratified" gives a draw's own row 1 / n and the others
      (n - 1) / (n (B - 1)) each. In [1]_ one neighbour of the row has a weight other
      than the rest; this is the mean over who that neighbour is, so that it has the
      same expectation, less noise, and does not depend on the order of the rows.
    - "weighted" gives all of them 1 / (n B).

    Every draw is compared with every row: a batch costs B times B.

    References
    ----------
    .. [1] R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, "Isolating sources of
       disentanglement in variational autoencoders", NeurIPS 2018, Eq. 2 and
       appendix C. https://arxiv.org/abs/1802.04942

    Examples
    --------
    >>> from skvae.divergences import TotalCorrelation
    >>> TotalCorrelation(total_correlation=10.0)
    TotalCorrelation(total_correlation=10.0)
    """

    _parameter_constraints = {
        "mutual_information": [Interval(Real, 0, None, closed="left")],
        "total_correlation": [Interval(Real, 0, None, closed="left")],
        "dimension_wise": [Interval(Real, 0, None, closed="left")],
        "sampling": [StrOptions({"stratified", "weighted"})],
    }

    min_rows = 2

    def __init__(
        self,
        mutual_information: float = 1.0,
        total_correlation: float = 6.0,
        dimension_wise: float = 1.0,
        sampling: str = "stratified",
    ) -> None:
        self.mutual_information = mutual_information
        self.total_correlation = total_correlation
        self.dimension_wise = dimension_wise
        self.sampling = sampling

    def mixture_weights(self, draws: Draws) -> Tensor:
        """Weight of every row's posterior in q(z) at every row's draws.

        Returns
        -------
        weights : Tensor of shape (n_rows, n_rows)
            A line for each draw, a column for each posterior.
        """
        import torch

        weight, n_rows = draws.normalized_weight, draws.n_rows_of_table
        n_batch = len(weight)
        if n_batch == n_rows:
            return weight.expand(n_batch, -1)
        if self.sampling == "weighted":
            return weight.expand(n_batch, -1) / n_rows
        # The batch mean of weights is 1 / B, that of the table's weights 1 / n.
        own = draws.weight * (n_batch / n_rows)
        others = weight / (1.0 - weight)[:, None] * (1.0 - own)[:, None]
        identity = torch.eye(n_batch, dtype=weight.dtype, device=weight.device)
        return own.diag() + others * (1.0 - identity)

    def split(self, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """MI, TC and dimension-wise KL at each draw.

        They sum to log q(z given x) - log p(z).

        Returns
        -------
        mutual_information, total_correlation, dimension_wise : Tensor of shape \
(n_replicas, n_draws, n_rows)
        """
        log_weights = self.mixture_weights(draws).log()
        joint, marginal = draws.posterior.log_prob_of_each(draws.z)
        log_q = (joint + log_weights).logsumexp(dim=-1)
        log_product = (marginal + log_weights[..., None]).logsumexp(dim=-2).sum(dim=-1)
        log_posterior = draws.posterior.log_prob(draws.noise)
        return (
            log_posterior - log_q,
            log_q - log_product,
            log_product - standard_normal_log_prob(draws.z),
        )

    def __call__(self, draws: Draws) -> Tensor:
        """Divergence of each replica, in nats per row."""
        mutual_information, total_correlation, dimension_wise = self.split(draws)
        excess = (
            (self.mutual_information - 1.0) * mutual_information
            + (self.total_correlation - 1.0) * total_correlation
            + (self.dimension_wise - 1.0) * dimension_wise
        )
        return draws.rate + draws.mean(excess)
