"""Beta likelihood."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae._sklearn_compat import StrOptions
from skvae.ground._tensors import namespace_of
from skvae.likelihoods._unit_interval import UnitInterval
from skvae.likelihoods._weighted import mean_and_std

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class Beta(UnitInterval):
    r"""Beta distribution of values between 0 and 1, with mean and concentration.

    .. math:: \log p(x \mid z) = (a - 1) \log x + (b - 1) \log(1 - x) - \log B(a, b),
              \quad a = \mu \kappa, \; b = (1 - \mu) \kappa

    The logit of the mean :math:`\mu` comes from the decoder. The concentration
    :math:`\kappa` is one number for each feature, trained beside the networks: the
    variance of a cell is :math:`\mu (1 - \mu) / (1 + \kappa)`.

    At 0 and 1 the density may be infinite or zero. So the model sees
    :math:`(x (n - 1) + \frac{1}{2}) / n` with the number n of training rows [1]_,
    and no more than a million.

    Parameters
    ----------
    dispersion : {"feature", "row"}, default="feature"
        One concentration for each feature, or one for each cell from the decoder, which
        overfits easily.

    See Also
    --------
    ContinuousBernoulli : For values that gather at 0 and 1, or nowhere.

    References
    ----------
    .. [1] M. Smithson and J. Verkuilen, "A better lemon squeezer? Maximum-likelihood
       regression with beta-distributed dependent variables", Psychological Methods
       11, 2006. https://doi.org/10.1037/1082-989X.11.1.54

    Examples
    --------
    >>> from skvae.likelihoods import Beta
    >>> Beta()
    Beta()
    """

    _parameter_constraints = {"dispersion": [StrOptions({"feature", "row"})]}

    def __init__(self, dispersion: str = "feature") -> None:
        self.dispersion = dispersion

    @property
    def parameter_names(self) -> Sequence[str]:  # type: ignore[override]
        """Names of the numbers that the decoder gives for each cell."""
        names = ("logits", "log_concentration")
        return names[:1] if self.dispersion == "feature" else names

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the number of rows, and mean and concentration of each column."""
        # Weights that are fractions, such as those that sum to 1, count rows too.
        n_rows = len(X) if weight is None else max(len(X), weight.sum())
        self.n_rows_ = float(np.clip(n_rows, 2.0, 1e6))
        super().learn(X, weight)
        self.mean_, std = mean_and_std(self.to_model(X), weight)
        # A column that is missing altogether.
        self.mean_ = np.where(self.mean_ > 0.0, self.mean_, 0.5)
        largest = self.mean_ * (1.0 - self.mean_)
        ratio = largest / np.maximum(std**2, 1e-4 * largest)
        self.concentration_ = np.maximum(ratio - 1.0, 0.1)

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Logit of each column's mean."""
        logits = np.log(self.mean_) - np.log1p(-self.mean_)
        if self.dispersion == "feature":
            return logits
        return np.concatenate([logits, np.log(self.concentration_)])

    def feature_parameters(
        self,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> dict[str, Floats]:
        """Logarithm of the concentration that matches a column's variance."""
        if self.dispersion == "row":
            return {}
        return {"log_concentration": np.log(self.concentration_)}

    def to_model(self, X: Any) -> Any:
        """Values squeezed away from 0 and 1."""
        return (X * (self.n_rows_ - 1.0) + 0.5) / self.n_rows_

    def to_user(self, x: Any) -> Any:
        """Values before they were squeezed."""
        value = (x * self.n_rows_ - 0.5) / (self.n_rows_ - 1.0)
        return namespace_of(x).clip(value, 0.0, 1.0)

    def log_jacobian(self, X: Any) -> Any:
        """Nats for the squeezing, the same for all cells."""
        return namespace_of(X).full_like(X, -math.log1p(-1.0 / self.n_rows_))

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Beta distribution of every cell."""
        from skvae.likelihoods._interval_distributions import Beta as Distribution

        return Distribution(parameters["logits"], parameters["log_concentration"])
