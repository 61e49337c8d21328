"""One call of `fit` or `partial_fit`: from a checked table to fitted attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from skvae import training
from skvae.balance._base import Sizes
from skvae.data._canonical import canonical_rows
from skvae.data._columns import Columns
from skvae.data._rows import Rows
from skvae.data._scaling import Table, has_gaps
from skvae.fit._history import in_units_of_x, joined
from skvae.fit._plan import held_out, plan
from skvae.fit._rows import (
    columns_with_gaps,
    linear_rows,
    of_columns,
    training_rows,
)
from skvae.fitted._fitted import attributes_of, number
from skvae.fitted._null_model import NullModel
from skvae.linear._model import LinearWeights
from skvae.linear._start import LinearStarts
from skvae.model._calibration import Calibration
from skvae.model._evaluate import evaluate, quadrature
from skvae.model._spec import Parts, fixed_variance, torch_device
from skvae.model._weights import views

# Rows decoded to report on the training rows, so that a large table gets fewer nodes.
_REPORTED_ROWS = 2**16


class Fitting:
    """Rows, parts and start of a training, and what becomes of it.

    Parameters
    ----------
    vae : BalancedVAE
        Its parameters, and its fitted attributes where it goes on from them.
    X : ndarray of shape (n_samples, n_features)
        Numbers, as `columns` makes them; NaN where a cell is missing.
    weight : ndarray of shape (n_samples,)
        Above 0.
    columns : Columns
        What the columns of the user's table hold.
    likelihood : str, Likelihood or list
        What is asked for, with positions of columns.
    goes_on : bool
        Whether there is a last fit to go on from.
    is_partial : bool
        Whether this is a call of `partial_fit`, which takes up the state of the last
        one and holds out nothing. Otherwise only weights and scaling are taken up.
    """

    def __init__(
        self,
        vae: Any,
        X: NDArray[np.floating],
        weight: NDArray[np.float64],
        *,
        columns: Columns,
        likelihood: Any,
        goes_on: bool,
        is_partial: bool,
        betas: Sequence[float] | None = None,
    ) -> None:
        self.vae, self.goes_on = vae, goes_on
        self.betas = [vae.beta] if betas is None else list(betas)
        self.resumes = goes_on and is_partial
        self.device = torch_device(vae.device)
        self.dtype = getattr(torch, vae.precision)
        self.columns = columns
        self.has_gaps = has_gaps(X)
        names = columns.names
        index, weight = canonical_rows(X, weight)
        if self.resumes:
            self.parts = vae._parts
        else:
            self.parts = Parts.from_params(vae, likelihood, X, columns)
            self.parts.likelihood.fit(X[index], names, weight)
            masked = vae._parts.masked if goes_on else columns_with_gaps(X)
            self.parts = self.parts._replace(masked=masked)
        likelihood = self.parts.likelihood
        X = likelihood.admit(X, names)
        n_features = X.shape[1]
        if self.resumes:
            self.n_components = vae.n_components_
        elif vae.n_components == "auto":
            self.n_components = min(10, max(1, n_features // 2))
        else:
            self.n_components = vae.n_components
        if goes_on:
            self.table = vae._table.after(likelihood.to_model(X))
        else:
            self.table = Table.from_rows(
                likelihood.to_model(X),
                index,
                weight,
                standardize=vae.standardize,
                columns=likelihood.continuous(n_features),
            )
        if self.resumes:
            self.null_model = vae._null_model
        else:
            self.null_model = NullModel.from_rows(
                X, index, weight, likelihood, self.table
            )
        self.module = self.parts.module(n_features, self.n_components)
        if not self.resumes:
            for beta in self.betas:
                self.parts.policy.weight_of(beta, n_features, self.n_components)

        seed = check_random_state(vae.random_state).randint(np.iinfo(np.int32).max)
        is_held_out = np.zeros(len(index), dtype=bool)
        if not is_partial:
            is_held_out[held_out(vae, len(index), seed)] = True
        self.rows, self.jacobian = self._rows(
            X, index[~is_held_out], weight[~is_held_out]
        )
        self.held_out, self.judged_jacobian = None, self.jacobian
        if is_held_out.any():
            self.held_out, self.judged_jacobian = self._rows(
                X, index[is_held_out], weight[is_held_out]
            )
        self.plan = plan(
            vae, len(self.rows.x), self.parts.divergence, is_partial=is_partial
        )
        policy = self.parts.policy
        if policy.source == "validation" and self.held_out is None:
            raise ValueError(
                f"balance={policy} takes the variance from held-out rows, but none "
                "are held out here. Use source='auto', or fit with "
                "early_stopping=True."
            )
        scopes: tuple[str, ...] = (policy.scope,)
        if policy.moves_variance and policy.scope == "auto" and not self.resumes:
            # Which of the two is better is seen on held-out rows only.
            scopes = ("shared", "feature")
            if self.held_out is None:
                scopes = ("shared",)
                self.parts = self.parts.with_shared_variance()
        self.n_candidates = len(scopes)
        self.replicas = [(beta, scope) for beta in self.betas for scope in scopes]
        self.state = self._start(seed)
        # A likelihood without a variance gets the policy's, which it does not read.
        self.calibration = None
        if likelihood.has_free_variance:
            scope = self.parts.policy.scope
            if self.resumes and vae._variance.shape[1] > 1:
                # No rows are held out now, but they once chose one for each feature.
                scope = "feature"
            self.calibration = Calibration.of(
                scope,
                self.state.floor,
                self.state.prior,
                of_columns(self.rows, self._dispersed),
                of_columns(self.held_out, self._dispersed),
            )

    def _tensor(self, values: ArrayLike) -> Tensor:
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def _rows(
        self,
        X: NDArray[np.floating],
        index: NDArray[np.intp],
        weight: NDArray[np.float64],
    ) -> tuple[Rows, float]:
        """Some of the rows as the model sees them, and what their units are worth."""
        return training_rows(
            X,
            index,
            weight,
            self.parts.likelihood,
            self.table,
            has_gaps=self.has_gaps,
            like=self._tensor(0.0),
        )

    def _start(self, seed: int) -> training.TrainingState:
        """State to train from."""
        if self.resumes:
            return self.vae._state.to_torch(self.device, self.dtype)
        likelihood, table, policy = self.parts.likelihood, self.table, self.parts.policy
        n_features = len(table.scale)
        columns = self._dispersed
        variance = fixed_variance(likelihood, int(columns.sum()))
        # A likelihood without a variance gets the policy's, which it does not read.
        of_columns = table.variance[columns]
        floor = likelihood.least_dispersion(table.variance)
        if not likelihood.has_variance:
            floor = 0.0 * of_columns
        dispersion = likelihood.dispersion_of(of_columns)
        bias = np.zeros(n_features)
        if not likelihood.is_gaussian:
            bias = likelihood.start(n_features, table.center, table.scale)
        linear = self._linear_starts(variance, floor, dispersion)
        starts: list[LinearWeights] | None = None
        noise = prior = None
        if linear is not None and self.parts.network.starts_linear:
            found = [
                linear.of(
                    policy.weight_of(beta, n_features, self.n_components),
                    scope if policy.moves_variance else None,
                )
                for beta, scope in self.replicas
            ]
            n_inputs, masked = likelihood.n_inputs(n_features), self.parts.masked
            starts = [
                linear.columns.weights(each.weights, bias, n_inputs, masked)
                for each in found
            ]
            noise = self._tensor(np.stack([each.noise for each in found]))
            prior = self._tensor(np.maximum([each.left for each in found], floor))
        per_feature = None
        if self.n_candidates > 1:
            per_feature = self._tensor(
                [float(scope == "feature") for _, scope in self.replicas]
            )
        self.sizes = sizes = Sizes(
            n_replicas=len(self.replicas),
            n_features=n_features,
            n_components=self.n_components,
            variance=self._tensor(variance),
            data_variance=self._tensor(dispersion),
            noise_variance=noise,
            per_feature=per_feature,
            linear_model=linear.model if linear and likelihood.is_gaussian else None,
            log_jacobian=self.jacobian,
        )
        state = training.init(
            self.module,
            policy,
            sizes,
            beta=self._tensor([beta for beta, _ in self.replicas]),
            floor=self._tensor(floor),
            seed=seed,
            starts=starts,
            prior=prior,
            bias=torch.tensor(bias, dtype=torch.float64),
            shared=self.module.shared(table.center, table.scale),
        )
        if self.goes_on:
            state.values = self._last_values(state.shapes)
        return state

    def _linear_starts(
        self,
        variance: NDArray[np.float64],
        floor: NDArray[np.float64],
        dispersion: NDArray[np.float64],
    ) -> LinearStarts | None:
        """Linear models of the columns that can have one, if there are any."""
        likelihood = self.parts.likelihood
        if not (self.parts.network.starts_linear or likelihood.is_gaussian):
            # Nothing starts there, and set points ask for that of numbers alone.
            return None
        columns = likelihood.linear_columns(len(self.table.scale))
        if columns is None or not len(columns.features):
            return None
        held_out = None
        if self.held_out is not None:
            held_out = linear_rows(self.held_out, likelihood, columns)
        return LinearStarts(
            columns,
            linear_rows(self.rows, likelihood, columns),
            held_out,
            self.n_components,
            variance,
            floor,
            dispersion,
            self._dispersed,
        )

    @property
    def _dispersed(self) -> NDArray[np.bool_]:
        """Columns with a dispersion; all of them where the likelihood has none."""
        likelihood, n_features = self.parts.likelihood, len(self.table.scale)
        columns = likelihood.dispersed(n_features)
        return columns if likelihood.has_variance else ~columns

    def _last_values(self, shapes: dict[str, tuple[int, ...]]) -> Tensor:
        """Weights of the last fit, for a warm start."""
        last, known = self.vae._parts.likelihood, self.vae._shapes
        if type(self.parts.likelihood) is not type(last):
            raise ValueError(
                "warm_start=True goes on from the weights of the last fit, whose "
                f"likelihood was {last} and is now {self.parts.likelihood}. Keep the "
                "likelihood, or set warm_start=False."
            )
        if shapes != known:
            raise ValueError(
                "warm_start=True goes on from the weights of the last fit, but their "
                f"shapes are {known} and the parameters now ask for "
                f"{shapes}. Keep n_components, hidden_layer_sizes, network, "
                "likelihood and the scope of balance, or set warm_start=False."
            )
        return self._tensor(self.vae._values).repeat(len(self.replicas), 1)

    def train(self, on_epoch: Callable[..., bool] | None) -> list[dict[str, Any]]:
        """Train, and return the fitted attributes for each beta."""
        task = training.Task(self.state, self.rows, self.held_out, self.calibration)
        outcome = training.train(
            self.module, self.parts.policy, task, self.plan, on_epoch
        )
        best = outcome.elbo.unflatten(0, (-1, self.n_candidates)).argmax(dim=1)
        kept = [i * self.n_candidates + int(k) for i, k in enumerate(best)]
        return [self._fitted(r, outcome.take(r)) for r in kept]

    def _fitted(self, r: int, outcome: training.Outcome) -> dict[str, Any]:
        """Fitted attributes of a replica."""
        if not bool(torch.isfinite(outcome.values).all()):
            raise RuntimeError(
                "Training diverged: weights are no longer finite. Lower "
                f"learning_rate_init (now {self.vae.learning_rate_init}), or pass "
                "standardize=True if the columns differ in scale."
            )
        attributes = self.attributes(r, outcome.values)
        has_variance = self.parts.likelihood.has_variance
        beta = number(outcome.beta.cpu().numpy())
        variance = outcome.variance[0].cpu().numpy()
        if attributes["_variance"].shape[1] == 1:
            # With scope="auto", one for all may have come once for each feature.
            variance = variance.mean(keepdims=True)
        history = in_units_of_x(outcome.history, self.jacobian, self.judged_jacobian)
        if self.resumes:
            history = joined(self.vae.history_, history)
        return {
            **attributes,
            "beta_": beta,
            "theta_": beta * number(variance) if has_variance else None,
            "n_iter_": int(outcome.n_epochs[0]),
            "history_": history,
            "_null_model": self.null_model,
            "_state": outcome.state.to_numpy(),
        }

    def attributes(self, r: int, values: Tensor) -> dict[str, Any]:
        """Fitted attributes that follow from the weights of a replica."""
        variance = self.state.balance.variance[r : r + 1]
        calibration = self.calibration
        if calibration is not None:
            prior = calibration.prior[r : r + 1]
            calibration = calibration._replace(prior=prior)
        weights = views(values, self.state.shapes)
        n_nodes = int(np.clip(_REPORTED_ROWS // len(self.rows.x), 2, 32))
        nodes = quadrature(self.n_components, n_nodes)
        noise = self._tensor(nodes)[:, None]
        seen = evaluate(self.module, weights, self.rows, noise)
        held_out = None
        if self.held_out is not None:
            held_out = evaluate(self.module, weights, self.held_out, noise)
        return attributes_of(
            self.parts,
            self.table,
            values.cpu().numpy(),
            self.state.shapes,
            self.n_components,
            seen,
            held_out,
            calibration,
            variance,
            self.judged_jacobian,
            self.columns,
        )
