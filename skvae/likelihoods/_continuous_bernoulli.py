"""Continuous Bernoulli likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae.likelihoods._unit_interval import UnitInterval
from skvae.likelihoods._weighted import mean_and_std

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class ContinuousBernoulli(UnitInterval):
    r"""Continuous Bernoulli distribution of values between 0 and 1.

    .. math:: \log p(x \mid z) = l \left(x - \tfrac{1}{2}\right)
              - \log \frac{\sinh(l / 2)}{l / 2}

    The cross-entropy of fractional values is not a density. Its normaliser, which the
    second term is, changes what the best logit l is [1]_. Values of 0 and 1 are
    possible. The mean is :math:`\frac{1}{2} + \frac{1}{2}(\coth h - \frac{1}{h})`
    with :math:`h = l / 2`, which is nearer to a half than the logistic function of l.

    See Also
    --------
    Beta : For proportions that may cluster anywhere in the interval.
    Bernoulli : For columns of zeros and ones.

    References
    ----------
    .. [1] G. Loaiza-Ganem and J. P. Cunningham, "The continuous Bernoulli: fixing a
       pervasive error in variational autoencoders", NeurIPS 2019.
       https://arxiv.org/abs/1907.06845

    Examples
    --------
    >>> from skvae.likelihoods import ContinuousBernoulli
    >>> ContinuousBernoulli()
    ContinuousBernoulli()
    """

    parameter_names = ("logits",)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the mean of each column."""
        super().learn(X, weight)
        self.mean_, _ = mean_and_std(X, weight)

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Logits whose mean is that of the columns, found by bisection."""
        import torch

        from skvae.likelihoods._interval_distributions import (
            ContinuousBernoulli as Distribution,
        )

        low, high = np.full((2, n_features), [[-80.0], [80.0]])
        for _ in range(60):
            middle = 0.5 * (low + high)
            is_below = Distribution(torch.from_numpy(middle)).mean.numpy() < self.mean_
            low, high = (
                np.where(is_below, middle, low),
                np.where(is_below, high, middle),
            )
        return 0.5 * (low + high)

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Continuous Bernoulli distribution of every cell."""
        from skvae.likelihoods._interval_distributions import (
            ContinuousBernoulli as Distribution,
        )

        return Distribution(parameters["logits"])
