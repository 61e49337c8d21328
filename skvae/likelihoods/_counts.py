"""Base of the likelihoods of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.ground._tensors import namespace_of
from skvae.likelihoods._refuse import refuse
from skvae.likelihoods._scaled_inputs import ScaledInputs
from skvae.likelihoods._weighted import mean_and_std

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skvae.likelihoods._base import Floats, PerColumn

#: The largest count; its nats, and those of a mean that is off, are finite in single
#: precision.
LARGEST_COUNT = 1e18


class Counts(ScaledInputs):
    """Likelihood of counts, whose decoder gives the logarithm of a mean.

    The encoder sees log(1 + x), centred and scaled.
    """

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn mean, variance and largest count of each column."""
        super().learn(X, weight)
        self.mean_, std = mean_and_std(X, weight)
        self.variance_ = std**2
        largest = np.max(np.nan_to_num(X), axis=0, initial=1.0)
        self.log_bound_ = np.log(10.0 * largest).astype(np.float64)

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Logarithm of each column's mean, which is at least one in a million."""
        return np.log(np.maximum(self.mean_, 1e-6))

    def bend(self, x: Any) -> Any:
        """Logarithm of one plus a count, of an array or a tensor."""
        if isinstance(x, np.ndarray):
            return np.log1p(x)
        return x.log1p()

    def log_mean(self, parameters: dict[str, Tensor]) -> Tensor:
        """Logarithm of the mean of each cell.

        It is the decoder's output, up to ten times the largest count of `fit`. From
        there on the mean grows linearly, with the same slope, so that latents far
        outside the training data do not give a mean beyond any count.
        """
        value = parameters["log_mean"]
        bound = self.tensor("log_bound_", value)
        return value.minimum(bound) + (value - bound).relu().log1p()

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X, or raise ValueError where it is not a count."""
        xp = namespace_of(X)
        refuse(
            self,
            (X < 0) | ((xp.floor(X) != X) & ~xp.isnan(X)),
            X,
            names,
            needed="counts (whole numbers from 0)",
            remedy="Use likelihood='log_normal' for positive numbers or 'gaussian' "
            "for any, or round the column if its values are meant to be counts.",
        )
        refuse(
            self,
            X > LARGEST_COUNT,
            X,
            names,
            needed="counts up to 1e18",
            remedy="Use likelihood='log_normal' for positive numbers or 'gaussian' "
            "for any.",
        )
        return X
