"""Poisson likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skvae.likelihoods._counts import Counts

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution


class Poisson(Counts):
    r"""Poisson distribution of counts.

    .. math:: \log p(x \mid z) = x \log m - m - \log x!

    The logarithm of the mean m comes from the decoder. The variance of a cell is its
    mean, which real counts rarely keep to.

    See Also
    --------
    NegativeBinomial : For counts that vary more, which is the rule.

    Examples
    --------
    >>> from skvae.likelihoods import Poisson
    >>> Poisson()
    Poisson()
    """

    parameter_names = ("log_mean",)

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Poisson distribution of every cell."""
        from skvae.likelihoods._count_distributions import Poisson as Distribution

        return Distribution(self.log_mean(parameters))
