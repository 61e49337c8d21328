"""Rate and distortion of the held-out rows after an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.data._rows import WeightedRows
from skvae.model._calibration import Calibration
from skvae.model._evaluate import evaluate, with_noise
from skvae.model._module import Module
from skvae.networks._base import Weights
from skvae.training._plan import Plan, noise_of

# Rows to decode in each validation, approximately.
_VALIDATED_ROWS = 2048

# Training rows to decode for the error at the start, approximately.
_START_ROWS = 2**16


class Validated(NamedTuple):
    """Means over the held-out rows, in nats per row."""

    rate: Tensor
    """Rate, of shape (n_replicas,), like the next one."""
    distortion: Tensor
    variance: Tensor
    """Decoder variance of the distortion, (n_replicas, 1 or n_features)."""
    excess: Tensor | None
    """Nats of each column of levels above its frequencies, (n_replicas, n_columns)."""

    @property
    def elbo(self) -> Tensor:
        """Elbo with weight 1, of shape (n_replicas,)."""
        return -(self.rate + self.distortion)

    @property
    def record(self) -> dict[str, Tensor]:
        """Entries of the history."""
        return {
            "validation_rate": self.rate,
            "validation_distortion": self.distortion,
            "validation_elbo": self.elbo,
        }


@dataclass(frozen=True)
class Validation:
    """Evaluate weights on held-out rows, with the same noise every epoch."""

    module: Module
    rows: WeightedRows
    """Rows to train on."""
    held_out: WeightedRows
    noise: Tensor
    """Standard normal, of shape (n_draws, n_held_out, n_components)."""
    calibration: Calibration | None
    """Sets the decoder variance from the errors; None where it is fixed."""

    @classmethod
    def drawn(
        cls,
        module: Module,
        rows: WeightedRows,
        held_out: WeightedRows,
        calibration: Calibration | None,
        plan: Plan,
        generator: torch.Generator,
    ) -> Validation:
        """Draw the noise once: with new noise, the luckiest epoch would be the best."""
        n_rows = held_out.n_rows
        n_draws = 2 * max(1, min(8, _VALIDATED_ROWS // (2 * n_rows)))
        plan = plan._replace(n_draws=n_draws)
        noise = noise_of(plan, n_rows, module.n_components, generator)
        return cls(module, rows, held_out, noise.to(held_out.like), calibration)

    def __call__(
        self, weights: Weights, variance: Tensor, train_error: Tensor | None
    ) -> Validated:
        """Evaluate the held-out rows.

        Parameters
        ----------
        weights : dict of str to Tensor
            Weights of the module, replica axis first.
        variance : Tensor of shape (n_replicas, 1) or (n_replicas, n_features)
            Decoder variance in training, used where it is not calibrated.
        train_error : Tensor of shape (n_replicas, n_features) or None
            Mean error of each feature on the training rows.
        """
        found = evaluate(self.module, weights, self.held_out, self.noise)
        if self.calibration is not None and train_error is not None:
            variance = self.calibration(train_error, found.error)
        distortion = found.distortion(self.module, variance)
        return Validated(found.rate, distortion, variance, found.excess)

    def train_error(self, weights: Weights) -> Tensor | None:
        """Mean error of each feature on the training rows, or on an even part."""
        n_decoded = 2 * self.module.n_components * self.rows.n_rows
        part = self.rows.take(slice(None, None, 1 + n_decoded // _START_ROWS))
        rows, noise = with_noise(self.module, part, 2)
        return evaluate(self.module, weights, rows, noise).error

    def select(self, replicas: Tensor) -> Validation:
        """Validation of some replicas, given as a mask or by their numbers."""
        if self.calibration is None:
            return self
        return replace(self, calibration=self.calibration.select(replicas))
