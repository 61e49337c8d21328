"""Means over the steps of an epoch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skvae._torch_compat import add_each
from skvae.training._step import Step


class Means(NamedTuple):
    """Means over the steps of an epoch, replica axis first."""

    rate: Tensor
    """Rate, of shape (n_replicas,), like the next two."""
    distortion: Tensor
    objective: Tensor
    variance: Tensor
    """Decoder variance, of shape (n_replicas, 1) or (n_replicas, n_features)."""
    error: Tensor | None
    """Mean error of each feature, of shape (n_replicas, n_features); None where the
    likelihood has no dispersion."""

    def record(self, beta: Tensor, learning_rate: float) -> dict[str, Tensor]:
        """Entries of the history, of shape (n_replicas,)."""
        record = {
            "rate": self.rate,
            "distortion": self.distortion,
            "elbo": -(self.rate + self.distortion),
            "objective": self.objective,
            "beta": beta,
            "learning_rate": torch.full_like(self.rate, learning_rate),
        }
        if self.error is not None:
            record["variance"] = self.variance.mean(dim=1)
        return record


class Totals:
    """Sums over steps, on the device: no step waits for a number."""

    def __init__(self) -> None:
        self.sums: list[Tensor] = []
        self.n_steps = 0

    def add(self, step: Step, variance: Tensor) -> None:
        """Add a step, and the decoder variance after it."""
        values = [step.rate, step.terms.distortion, step.objective, variance]
        if step.error is not None:
            values.append(step.error)
        self.n_steps += 1
        if not self.sums:
            self.sums = [value.clone() for value in values]
        else:
            add_each(self.sums, values)

    def means(self) -> Means:
        """Means over the steps so far."""
        rate, distortion, objective, variance, *error = (
            total / self.n_steps for total in self.sums
        )
        return Means(rate, distortion, objective, variance, error[0] if error else None)
