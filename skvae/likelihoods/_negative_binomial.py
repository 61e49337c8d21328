"""Negative binomial likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae._sklearn_compat import StrOptions
from skvae.likelihoods._counts import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class NegativeBinomial(Counts):
    r"""Negative binomial distribution of counts, with mean and inverse dispersion.

    .. math:: \log p(x \mid z) = \log \frac{\Gamma(x + h)}{\Gamma(h)\, x!}
              + h \log \frac{h}{h + m} + x \log \frac{m}{h + m}

    The logarithm of the mean m comes from the decoder. The inverse dispersion h is one
    number for each feature, trained beside the networks: the variance of a cell is
    :math:`m + m^2 / h`, and for large h the distribution is Poisson's.

    Parameters
    ----------
    dispersion : {"feature", "row"}, default="feature"
        One inverse dispersion for each feature, or one for each cell from the decoder,
        which overfits easily.

    See Also
    --------
    Poisson : Whose variance is the mean.
    ZeroInflatedNegativeBinomial : For counts with more zeros than fit in.

    Examples
    --------
    >>> from skvae.likelihoods import NegativeBinomial
    >>> NegativeBinomial()
    NegativeBinomial()
    """

    _parameter_constraints = {"dispersion": [StrOptions({"feature", "row"})]}

    _cell_parameters: tuple[str, ...] = ("log_mean",)

    def __init__(self, dispersion: str = "feature") -> None:
        self.dispersion = dispersion

    @property
    def parameter_names(self) -> Sequence[str]:  # type: ignore[override]
        """Names of the numbers that the decoder gives for each cell."""
        if self.dispersion == "feature":
            return self._cell_parameters
        return (*self._cell_parameters, "log_inverse_dispersion")

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the inverse dispersion of each column from its mean and variance."""
        super().learn(X, weight)
        self.inverse_dispersion_ = inverse_dispersion(self.mean_, self.variance_)

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Logarithm of each column's mean."""
        log_mean = super().start(n_features)
        if self.dispersion == "feature":
            return log_mean
        return np.concatenate([log_mean, np.log(self.inverse_dispersion_)])

    def feature_parameters(
        self,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> dict[str, Floats]:
        """Logarithm of the inverse dispersion that matches a column's variance."""
        if self.dispersion == "row":
            return {}
        return {"log_inverse_dispersion": np.log(self.inverse_dispersion_)}

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Negative binomial distribution of every cell."""
        from skvae.likelihoods._count_distributions import (
            NegativeBinomial as Distribution,
        )

        return Distribution(
            self.log_mean(parameters), parameters["log_inverse_dispersion"]
        )


def inverse_dispersion(mean: Floats, variance: Floats) -> Floats:
    """Inverse dispersion of a mean and a variance, from 0.01 to 1000.

    A variance that is not above the mean, which no finite one explains, gets the
    largest, at which the gradient does not vanish yet.
    """
    surplus = np.maximum(variance - mean, 1e-3 * mean**2)
    # A column of nothing but zeros has neither.
    return np.maximum(mean**2 / np.maximum(surplus, 1e-300), 0.01)
