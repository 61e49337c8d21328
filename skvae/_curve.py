"""A model for a range of betas, and what becomes of it at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from skvae import training
from skvae._attributes import attributes_of, number
from skvae._columns import Columns
from skvae._parts import Parts
from skvae._table import Table

Floats = NDArray[np.floating]

# Betas in a decade at which rows are looked at when training ends. Between them errors
# and rates are smooth but where a latent switches off, and interpolation is good to a
# hundredth of a nat.
_PER_DECADE = 12

# Rows decoded at each of them.
_ROWS = 2**13


@dataclass(frozen=True)
class Curve:
    """Weights for all betas, and what they make of the rows at a grid of betas.

    All arrays, so that it can be pickled anywhere and moved to a beta without rows.
    """

    parts: Parts
    table: Table
    n_components: int
    shapes: dict[str, tuple[int, ...]]
    values: Floats
    """Of shape (1, n_weights)."""
    variance: Floats
    """Decoder variance in training, of shape (1, 1 or n_features)."""
    eta: Floats
    """Places of the betas, of shape (n_etas,)."""
    seen: training.Evaluation
    """Of the training rows, with an axis of betas in place of the replicas."""
    held_out: training.Evaluation | None
    calibration: training.Calibration | None
    jacobian: tuple[float, float]
    """Nats per row that the distortion gains in the units of X, of both rows."""
    columns: Columns

    @classmethod
    @torch.no_grad()
    def from_rows(
        cls,
        parts: Parts,
        table: Table,
        n_components: int,
        values: torch.Tensor,
        shapes: dict[str, tuple[int, ...]],
        rows: training.Rows,
        held_out: training.Rows | None,
        calibration: training.Calibration | None,
        variance: torch.Tensor,
        jacobian: tuple[float, float],
        columns: Columns,
    ) -> Curve:
        """Look at the rows at each beta of the grid."""
        policy: Any = parts.policy
        n_decades = np.log10(policy.high / policy.low)
        eta = training.etas(2 + int(np.ceil(_PER_DECADE * n_decades)))
        module = parts.training_module(len(table.scale), n_components)
        weights = module.at(training.views(values, shapes), eta)
        nodes = training.quadrature(n_components, 2)
        noise = torch.tensor(nodes).to(values)[:, None]

        def evaluated(rows: training.Rows) -> training.Evaluation:
            few = slice(None, None, 1 + len(nodes) * len(rows.x) // _ROWS)
            found = training.evaluate(module.plain, weights, rows.take(few), noise)
            return _arrays(found)

        return cls(
            parts,
            table,
            n_components,
            shapes,
            values.cpu().numpy(),
            variance.cpu().numpy(),
            eta.numpy(),
            evaluated(rows),
            None if held_out is None else evaluated(held_out),
            None if calibration is None else _arrays(calibration),
            jacobian,
            columns,
        )

    @torch.no_grad()
    def at(self, beta: float) -> dict[str, Any]:
        """Fitted attributes at a beta, or ValueError where it was not trained.

        The decoder variance is calibrated for the model at that beta.
        """
        policy: Any = self.parts.policy
        eta = policy.eta_of(beta)
        module = self.parts.training_module(len(self.table.scale), self.n_components)
        values = torch.tensor(self.values)
        place = torch.tensor([eta], dtype=torch.float64)
        weights = module.at(training.views(values, self.shapes), place)
        found = attributes_of(
            self.parts,
            self.table,
            training.flatten(weights).numpy(),
            module.plain.shapes,
            self.n_components,
            self._interpolated(self.seen, eta),
            None if self.held_out is None else self._interpolated(self.held_out, eta),
            None if self.calibration is None else _tensors(self.calibration),
            torch.tensor(self.variance),
            self.jacobian[1],
            self.columns,
        )
        theta = None
        if self.parts.likelihood.has_variance:
            theta = beta * number(self.variance[0])
        return {**found, "beta_": float(beta), "theta_": theta, "_curve": self}

    def _interpolated(
        self, evaluation: training.Evaluation, eta: float
    ) -> training.Evaluation:
        """Evaluation at a place between those of the grid."""
        from scipy.interpolate import PchipInterpolator

        def at(values: Any, *, is_log: bool = False) -> Any:
            if values is None:
                return None
            values = values.astype(np.float64)
            if is_log:
                values = np.log(values.clip(min=np.finfo(np.float64).tiny))
            value = PchipInterpolator(self.eta, values, axis=0)(eta)
            return torch.tensor(np.exp(value) if is_log else value)[None]

        return training.Evaluation(
            rate=at(evaluation.rate),
            error=at(evaluation.error, is_log=True),
            spread=at(evaluation.spread),
            fixed_distortion=at(evaluation.fixed_distortion),
            share=None
            if evaluation.share is None
            else torch.tensor(evaluation.share, dtype=torch.float64),
        )


def attributes_at(vae: Any, beta: float) -> dict[str, Any]:
    """Fitted attributes of an estimator at another beta of its range."""
    found, state = vae._curve.at(beta), vae._state.at_beta(beta)
    history = vae.history_
    in_force = np.full_like(history["beta"], float(state.balance.beta[0]))
    moved = {"beta": in_force, "theta": in_force * history["variance"]}
    return {
        **found,
        "history_": {**history, **moved},
        "_state": state,
    }


def fit_multirate(
    vae: Any, X: Any, betas: Sequence[float], sample_weight: Any = None
) -> list[Any]:
    """Fit one model for a range of betas, and return it at some of them.

    Parameters
    ----------
    vae : BalancedVAE
        Not fitted, and left so. Its `balance` must be a `MultiRate`, whose range
        holds the betas.
    X : array-like of shape (n_samples, n_features)
        Finite numbers, in the support of the likelihood.
    betas : sequence of float
        Weights of the rate.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weight of each row.

    Returns
    -------
    models : list of BalancedVAE
        One for each beta, fitted.
    """
    model = clone(vae).set_params(beta=betas[0]).fit(X, sample_weight=sample_weight)
    return [model.at_beta(beta) for beta in betas]


def _arrays(parts: Any) -> Any:
    """Named tuple with arrays in place of tensors."""
    return type(parts)(
        *(p.cpu().numpy() if isinstance(p, torch.Tensor) else p for p in parts)
    )


def _tensors(parts: Any) -> Any:
    """Named tuple with tensors in place of arrays."""
    return type(parts)(
        *(torch.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    )
