"""Zero-inflated negative binomial likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.likelihoods._negative_binomial import NegativeBinomial, inverse_dispersion
from skvae.likelihoods._weighted import mean_and_std

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    r"""Negative binomial distribution with a fraction of additional zeros.

    .. math:: p(x \mid z) = \pi\, [x = 0] + (1 - \pi)\, \mathrm{NB}(x; m, h)

    The logarithm of the mean m and the logit of :math:`\pi` come from the decoder. The
    mean of a cell is :math:`(1 - \pi) m`. Use it where zeros have a reason of their
    own, such as a sensor that was off; many zeros alone are often explained by a
    negative binomial of small h.

    Parameters
    ----------
    dispersion : {"feature", "row"}, default="feature"
        One inverse dispersion h for each feature, or one for each cell from the
        decoder, which overfits easily.

    See Also
    --------
    NegativeBinomial : Without zeros of their own.

    Examples
    --------
    >>> from skvae.likelihoods import ZeroInflatedNegativeBinomial
    >>> ZeroInflatedNegativeBinomial()
    ZeroInflatedNegativeBinomial()
    """

    _cell_parameters = ("log_mean", "zero_logits")

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn from each column how much of its zeros a negative binomial leaves.

        Mean, second moment and fraction of zeros of a zero-inflated column make three
        equations for its three parameters, which are solved by iteration.
        """
        super().learn(X, weight)
        zeros, _ = mean_and_std(np.where(np.isnan(X), X, X == 0), weight)
        second = self.variance_ + self.mean_**2
        fraction = np.full_like(zeros, 0.01)
        for _ in range(100):
            mean = self.mean_ / (1.0 - fraction)
            h = inverse_dispersion(mean, second / (1.0 - fraction) - mean**2)
            expected = np.exp(-h * np.log1p(mean / h))
            fraction = np.clip(
                (zeros - expected) / np.maximum(1.0 - expected, 1e-6), 0.01, 0.99
            )
        self.zero_probability_, self.inverse_dispersion_ = fraction, h

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Parameters of each column's own distribution."""
        log_mean, *rest = np.split(
            super().start(n_features), len(self.parameter_names) - 1
        )
        probability = self.zero_probability_
        log_zero, log_rest = np.log(probability), np.log1p(-probability)
        return np.concatenate([log_mean - log_rest, log_zero - log_rest, *rest])

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Zero-inflated negative binomial distribution of every cell."""
        from skvae.likelihoods._count_distributions import (
            ZeroInflatedNegativeBinomial as Distribution,
        )

        return Distribution(
            self.log_mean(parameters),
            parameters["log_inverse_dispersion"],
            parameters["zero_logits"],
        )
