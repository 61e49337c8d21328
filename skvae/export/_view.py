"""The table as the model sees it, in operations on tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skvae.data._tensor_scores import TensorScores
from skvae.data._view import TableView
from skvae.export._scalers import Scaler
from skvae.ground._tensors import within

# As those of `data._scaling` and `data._numbers`, which have no tensors.
_CHANGED, _ROUNDINGS = 10.0, 4.0


class TensorView(nn.Module):
    """Scalers of a pipeline and a `TableView`, in double precision.

    Parameters
    ----------
    view : TableView
    likelihood : Likelihood
        Its units.
    scalers : sequence of Scaler
        Of the pipeline, in order.
    """

    center: Tensor
    scale: Tensor
    user_scale: Tensor
    farthest: Tensor
    log_scale: Tensor
    is_constant: Tensor
    constant_jacobian: Tensor

    def __init__(self, view: TableView, scalers: Sequence[Scaler]) -> None:
        super().__init__()
        self.units = view.units
        self.bounds = [(scaler.low, scaler.high) for scaler in scalers]
        for i, scaler in enumerate(scalers):
            self._keep(f"center_{i}", scaler.center)
            self._keep(f"scale_{i}", scaler.scale)
        scaling = view.scaling
        self.eps = float(np.finfo(scaling.dtype).eps)
        self.limit = float(np.finfo(scaling.dtype).max)
        self._keep("center", scaling.center)
        self._keep("scale", scaling.scale)
        self._keep("user_scale", scaling.user_scale)
        self._keep("farthest", scaling.farthest)
        self._keep("log_scale", scaling.log_jacobian)
        self._keep("is_constant", scaling.is_constant)
        usual = view.units.to_user(scaling.center[None])
        self._keep("constant_jacobian", view.units.log_jacobian(usual)[0])
        self.scores = None if view.scores is None else TensorScores(view.scores)

    def _keep(self, name: str, array: np.ndarray) -> None:
        # A copy: what was mapped from a file is read-only.
        self.register_buffer(name, torch.tensor(array))

    def admitted(self, X: Tensor) -> Tensor:
        """Rows as the model gets them, NaN where a cell is missing."""
        is_single, X = X.dtype == torch.float32, X.double()
        for i, (low, high) in enumerate(self.bounds):
            center, scale = self._scaler(i)
            X = ((X - center) / scale).clamp(low, high)
        admitted: Tensor = self.units.admit(X)
        if self.scores is not None:
            admitted = self.scores.admitted(admitted, is_single)
        return admitted

    def seen(self, X: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Admitted rows as the model sees them, and which cells are not missing."""
        observed = ~X.isnan()
        x = self._scaled(X, eps)
        if self.scores is not None:
            x = self.scores.to_scores(X, x)
        return torch.where(observed, x, 0.0), observed

    def _scaled(self, X: Tensor, eps: float) -> Tensor:
        """Admitted rows in the units of the likelihood, centred and scaled."""
        x: Tensor = self.units.to_model(X)
        off = x - self.center
        largest = torch.maximum(x.abs(), self.center.abs())
        is_same = off.abs() <= _ROUNDINGS * max(eps, self.eps) * largest
        changed = torch.where(is_same, 0.0, off.sign() * _CHANGED)
        x = torch.where(self.is_constant, changed, off / self.scale)
        return torch.minimum(torch.maximum(x, -self.farthest), self.farthest)

    def log_jacobian(self, X: Tensor) -> Tensor:
        """Nats that each cell's distortion gains in the units of X."""
        nats: Tensor = self.units.log_jacobian(X)
        nats = torch.where(self.is_constant, self.constant_jacobian, nats)
        nats = self.log_scale + nats
        if self.scores is None:
            return nats
        log_slope = self.scores.log_slope(X, self._scaled(X, self.eps))
        # An atom has a probability, in any units.
        return torch.where(log_slope.isnan(), 0.0, nats - log_slope)

    def to_user(self, X: Tensor, limit: float) -> Tensor:
        """Reconstructed rows before the scalers, within the range of their type."""
        X = within(X, min(limit, self.limit))
        for i in reversed(range(len(self.bounds))):
            center, scale = self._scaler(i)
            X = X * scale + center
        return X

    def _scaler(self, i: int) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"center_{i}"), self.get_buffer(f"scale_{i}")
