"""Base of the policies with a set point: its default, and its feasible range."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.balance._base import BalancePolicy, Sizes, needs_rate

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.balance._base import RateTerm
    from skvae.linear._model import LinearModel

# The least water level of "auto", relative to the mean eigenvalue. Where there are as
# many latents as features, no noise is left and the rate would have no end.
_LEAST_NOISE = 1e-3


class SetPoint(BalancePolicy):
    """Base of the policies that steer a quantity to a target.

    The state of such a policy has an entry `target`, of shape (n_replicas,), in nats
    per row; replacing it moves the set point.
    """

    target: Any

    #: The quantity that is steered, as a warning names it.
    steered: str

    #: Remedy where the target is out of reach, a sentence of a warning.
    out_of_reach: str

    @property
    def settled_at(self) -> float:
        """Fraction of the planned steps after which the target counts as reached.

        Before, held-out rows would choose a model that is still on its way.
        """
        return 0.5

    def start_target(self, beta: Tensor, sizes: Sizes) -> Tensor:
        """Set point of each replica; warns where no linear model can meet it."""
        model = sizes.linear_model() if sizes.linear_model is not None else None
        target = self.target
        if target == "auto":
            if model is None:
                raise ValueError(
                    f"{self!r} takes its target from the linear model of the same "
                    "size, which needs a decoder with a variance, but the likelihood "
                    "has none. Pass target as a number of nats per row, or use a "
                    "likelihood with a variance, such as 'gaussian'."
                )
            target = self.at_level(model, _ppca_level(model), sizes)
        if model is not None:
            low, high = self.reach(model, beta, sizes)
            # A target at a limit may differ from it by rounding.
            margin = 1e-6 * (1.0 + abs(target))
            if not low - margin <= target <= high + margin:
                warnings.warn(
                    f"{self!r} steers to a {self.steered} of {target:.4g} nats per "
                    "row, but the linear model of this size reaches from "
                    f"{low:.4g} to {high:.4g}. {self.out_of_reach}",
                    UserWarning,
                    stacklevel=2,
                )
        return beta.new_full(beta.shape, target)

    def at_level(self, model: LinearModel, theta: float, sizes: Sizes) -> float:
        """Steered quantity at the linear model's optimum for a water level."""
        raise NotImplementedError

    def reach(
        self, model: LinearModel, beta: Tensor, sizes: Sizes
    ) -> tuple[float, float]:
        """Smallest and largest value of the steered quantity that can be held."""
        raise NotImplementedError


class RateSetPoint(SetPoint):
    """Base of the policies that steer the rate."""

    steered = "rate"

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why only the KL divergence can be steered."""
        return needs_rate(divergence)

    def remedy(self, beta: float) -> str:
        """Return a sentence on what to change where latents have collapsed."""
        return (
            f"Raise the target of balance, start at a lower beta (now {beta:.4g}), or "
            "train longer."
        )

    def at_level(self, model: LinearModel, theta: float, sizes: Sizes) -> float:
        """Rate at the linear model's optimum for a water level."""
        return rate_at(model, theta)


def _ppca_level(model: LinearModel) -> float:
    """Water level of probabilistic PCA."""
    total = float(model.eigenvalues.sum()) + model.residual
    return max(model.noise_variance, _LEAST_NOISE * total / model.n_features)


def rate_at(model: LinearModel, theta: float) -> float:
    """Rate at a water level, which may be zero."""
    if theta > 0.0:
        return model.rate(theta)
    return np.inf if model.eigenvalues.any() else 0.0
