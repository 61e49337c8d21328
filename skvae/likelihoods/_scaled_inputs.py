"""Base of likelihoods that the table does not scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._weighted import is_constant, mean_and_std

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.likelihoods._base import Floats

# Standard deviation below which single precision cannot divide by its square.
_LEAST_SCALE = 1e-18


class ScaledInputs(Likelihood):
    """Likelihood of values with a natural unit, such as counts.

    The model sees them as they are, but an encoder learns best from columns of mean
    zero and variance one, so its inputs are centred and scaled here.
    """

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn centre and scale of the encoder's inputs."""
        bent = self.bend(self.to_model(X))
        self.input_center_, std = mean_and_std(bent, weight)
        # The encoder sees the values in their own unit first, in single precision.
        has_unit = ~is_constant(bent, np.float32) & (std > _LEAST_SCALE)
        self.input_scale_ = np.where(has_unit, std, 1.0)

    def bend(self, x: Any) -> Any:
        """Transform an array or tensor before it is scaled; by default, do nothing."""
        return x

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Values of mean zero and variance one over the rows of `fit`."""
        center = self.tensor("input_center_", x)
        scaled = (self.bend(x) - center) / self.tensor("input_scale_", x)
        return super().inputs(scaled, observed)
