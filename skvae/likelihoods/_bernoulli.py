"""Bernoulli likelihood."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae._sklearn_compat import StrOptions
from skvae.ground._tensors import namespace_of
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._refuse import refuse
from skvae.likelihoods._weighted import mean_and_std
from skvae.linear._columns import LinearColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class Bernoulli(Likelihood):
    r"""Distribution of columns that hold zeros and ones.

    .. math:: -\log p(x \mid z) = \sum_d \log(1 + e^{l_d(z)}) - x_d\, l_d(z)

    The logits l come from the decoder. Values between 0 and 1 are refused: for them
    the expression is not a density, as it does not integrate to one, and no weight
    of the rate corrects that.

    Parameters
    ----------
    threshold : float or None, default=None
        Values above it count as one and all others as zero. None takes zeros and
        ones only.
    handle_unknown : {"error", "missing"}, default="error"
        Treatment of values that are neither zero nor one where `threshold` is None: an
        error, or a missing cell and a warning that counts them.

    See Also
    --------
    ContinuousBernoulli : For values between 0 and 1.
    Categorical : For columns of more than two levels.
    Gaussian : For columns of real numbers.

    Examples
    --------
    >>> from skvae.likelihoods import Bernoulli
    >>> Bernoulli()
    Bernoulli()
    """

    _parameter_constraints = {
        "threshold": [Real, None],
        "handle_unknown": [StrOptions({"error", "missing"})],
    }

    parameter_names = ("logits",)

    def __init__(
        self, threshold: float | None = None, handle_unknown: str = "error"
    ) -> None:
        self.threshold = threshold
        self.handle_unknown = handle_unknown

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Bernoulli distribution of every cell."""
        from torch.distributions import Bernoulli as TorchBernoulli

        return TorchBernoulli(logits=parameters["logits"], validate_args=False)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the frequency of ones in each column."""
        self.frequency_, _ = mean_and_std(X, weight)

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Logit of each column's frequency of ones, clipped to one in a million."""
        frequency = np.clip(self.frequency_, 1e-6, 1.0 - 1e-6)
        return np.log(frequency) - np.log1p(-frequency)

    def linear_columns(self, n_features: int) -> LinearColumns:
        """Zeros and ones in units of their standard deviation."""
        frequency = np.clip(self.frequency_, 1e-6, 1.0 - 1e-6)
        unit = np.sqrt(frequency * (1.0 - frequency))
        return LinearColumns.of_levels(np.arange(n_features), frequency, unit)

    def expectation(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        weight: Tensor,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """The more probable of zero and one over all draws of a row."""
        probability = super().expectation(parameters, variance, weight, center, scale)
        return (probability > 0.5).astype(probability.dtype)

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X as zeros, ones and missing cells, or raise ValueError."""
        xp = namespace_of(X)
        if self.threshold is not None:
            is_above = xp.where(self.threshold < X, xp.ones_like(X), 0.0)
            return xp.where(xp.isnan(X), X, is_above)
        is_other = ~((X == 0) | (X == 1) | xp.isnan(X))
        if xp is not np:
            return xp.where(is_other, xp.nan, X)
        if self.handle_unknown == "missing" and is_other.any():
            return np.where(is_other, X.dtype.type(np.nan), X)
        refuse(
            self,
            is_other,
            X,
            names,
            needed="columns of zeros and ones",
            remedy="Use likelihood='continuous_bernoulli' or 'beta' for values between "
            "0 and 1, 'gaussian' for others, or Bernoulli(threshold=...) to split "
            "values in two.",
        )
        return X
