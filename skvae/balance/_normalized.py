"""Beta relative to the numbers of latents and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skvae.balance._base import BalancePolicy, Sizes

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.balance._base import RateTerm


class Normalized(BalancePolicy):
    r"""Weigh the rate by a constant beta given as a weight of means.

    The estimator's `beta` is read as :math:`\beta_{norm}` of [1]_, the weight of the
    mean over latents against the mean over features. The weight in force, `beta_`, is

    .. math:: \beta = \beta_{norm}\, D / M

    where D is the number of features and M the number of latents.

    See Also
    --------
    Constant : The same with beta as it stands in the summed loss.

    Notes
    -----
    Published sweeps use 0.001 to 10. Equal values mean equal losses on tables of
    different width only where every feature carries the same number of nats.

    References
    ----------
    .. [1] I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick,
       S. Mohamed and A. Lerchner, "beta-VAE: Learning basic visual concepts with a
       constrained variational framework", ICLR 2017, section 4.2.
       https://openreview.net/forum?id=Sy2fzU9gl

    Examples
    --------
    >>> from skvae.balance import Normalized
    >>> Normalized()
    Normalized()
    """

    ends_at_beta = True

    def weight_of(self, beta: Any, n_features: int, n_components: int) -> Any:
        """Beta times D / M."""
        return beta * (n_features / n_components)

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why the weight in force may be too large for a bound."""
        if divergence.is_bound:
            return "multiplies beta by n_features / n_components, to above 1"
        return ""

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step, with the weight that is in force."""
        weight = self.weight_of(beta, sizes.n_features, sizes.n_components)
        return super().init_state(weight, sizes)
