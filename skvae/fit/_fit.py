"""One training: from a checked table to fitted models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skvae import training
from skvae.balance._base import Sizes
from skvae.divergences._base import Divergence
from skvae.exceptions import TrainingDivergedError
from skvae.fit._diverged import remedies
from skvae.fit._encoded_rows import EncodedRows
from skvae.fit._halving import rungs_of_betas
from skvae.fit._history import in_units_of_x
from skvae.fit._identity import origin_of
from skvae.fit._plan import one_pass, whole
from skvae.fit._prepare import scaled_by, split
from skvae.fit._prepared import Prepared, scaled_as
from skvae.fit._scopes import calibration_of, candidates
from skvae.fit._seed import drawn_seed
from skvae.fit._start import Replica, last_values, start_of
from skvae.fit._table import CheckedTable
from skvae.fitted._attributes import attributes_of, number
from skvae.fitted._fitted import Fitted
from skvae.model._calibration import Calibration
from skvae.model._device import missing_named
from skvae.model._evaluate import evaluate, quadrature, with_noise
from skvae.model._module import Module
from skvae.model._precision import for_steps
from skvae.model._settings import Settings
from skvae.model._spec import ModelSpec
from skvae.model._weights import views

# Rows decoded to report on the training rows, so that a large table gets fewer nodes.
_REPORTED_ROWS = 2**16


@dataclass(frozen=True)
class Fit:
    """A training that is about to start, and what becomes of it.

    The three lives of a fit are three constructors: `fresh` from nothing but a table,
    `warm` from the weights and scaling of the last fit, and `resumed` from all that the
    last call of `partial_fit` has left, which a `Pass` prepares.

    Attributes
    ----------
    vae : BalancedVAE
        The settings.
    prepared : Prepared
        The table to train on.
    module : Module
        The model.
    plan : Plan
        Epochs, steps and batches.
    replicas : list of Replica
        The models that are trained side by side: for each beta, one or more candidates.
    n_candidates : int
        Number of candidates for each beta.
    state : TrainingState
        Where to start.
    calibration : Calibration or None
        How the decoder variance is set at the end; None where it is fixed.
    sizes : Sizes or None
        What the policy was started with; None where the training is resumed.
    reached : RunState or None
        Where the same training was cut off, to go on from there.
    """

    vae: Settings
    prepared: Prepared
    module: Module
    plan: training.Plan
    replicas: list[Replica]
    n_candidates: int
    state: training.TrainingState
    calibration: Calibration | None
    sizes: Sizes | None = None
    reached: training.RunState | None = None

    @classmethod
    def fresh(
        cls,
        vae: Settings,
        table: CheckedTable,
        betas: Sequence[float],
        seed: int | None = None,
    ) -> Fit:
        """Fit that starts from nothing but a table.

        Parameters
        ----------
        vae : BalancedVAE
            Its settings but for beta.
        table : CheckedTable
            The table.
        betas : sequence of float
            Weights of the rate, one for each model.
        seed : int or None, default=None
            None draws one from `random_state`.
        """
        seed = drawn_seed(vae) if seed is None else seed
        data = split(vae, scaled_by(vae, table, betas), seed)
        return cls.started(vae, data, betas, whole, seed)

    @classmethod
    def warm(
        cls, vae: Settings, table: CheckedTable, last: Fitted, seed: int | None = None
    ) -> Fit:
        """Fit that starts from the weights and the scaling of the last one."""
        betas = [vae.beta]
        spec = ModelSpec.from_params(
            vae, table.likelihood, table.X, table.columns, betas
        )
        seed = drawn_seed(vae) if seed is None else seed
        data = split(vae, scaled_as(last, spec, table), seed)
        fit = cls.started(vae, data, betas, whole, seed)
        fit.state.values = last_values(last, fit.spec.likelihood, fit.state)
        return fit

    @classmethod
    def resumed(cls, vae: Settings, data: Prepared, last: Fitted) -> Fit:
        """Fit of one pass that goes on from the state of the last one.

        The table has the parts and the scaling of that one.
        """
        state = last.training_state.to_torch(
            data.rows.like.device, data.rows.like.dtype
        )
        scope = last.spec.scope
        if last.variance.shape[1] > 1:
            # Held-out rows have once chosen one for each feature.
            scope = "feature"
        n_rows, divergence = data.source.n_rows, last.spec.divergence
        return cls(
            vae=vae,
            prepared=data,
            module=last.spec.module(),
            plan=one_pass(vae, n_rows, divergence, state.n_steps),
            replicas=[Replica(last.beta, scope)] * len(state.values),
            n_candidates=len(state.values),
            state=state,
            calibration=calibration_of(data, state, scope),
        )

    @classmethod
    def started(
        cls,
        vae: Settings,
        data: Prepared,
        betas: Sequence[float],
        plan_of: Callable[[Settings, int, Divergence], training.Plan],
        seed: int,
    ) -> Fit:
        """Fit that starts at linear models, or at random.

        Parameters
        ----------
        vae : BalancedVAE
            Its settings but for beta.
        data : Prepared
        betas : sequence of float
            Weights of the rate.
        plan_of : callable
            Plan for the settings, a number of training rows and a divergence.
        seed : int
        """
        data.spec.check_network(data.rows.like)
        plan = plan_of(vae, data.source.n_rows, data.spec.divergence)
        data, scopes = candidates(data)
        replicas = [Replica(beta, scope) for beta in betas for scope in scopes]
        module = data.spec.module()
        state, sizes = start_of(data, module, replicas, seed)
        return cls(
            vae=vae,
            prepared=data,
            module=module,
            plan=plan,
            replicas=replicas,
            n_candidates=len(scopes),
            state=state,
            calibration=calibration_of(data, state, data.spec.scope),
            sizes=sizes,
        )

    def going_on(self, arrays: Mapping[str, NDArray[Any]]) -> Fit:
        """Fit that goes on from where the same one was cut off.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Those of a `RunState`.
        """
        reached = training.RunState.from_arrays(arrays, self.state)
        return replace(self, reached=reached)

    def halved(self) -> Fit:
        """Fit in which only the best of several betas are trained to the end."""
        n_rows, is_held_out = self.prepared.rows.n_rows, self.vae.early_stopping
        if self.prepared.held_out is None:
            raise ValueError(
                "halving=True compares betas by the elbo of rows that are held out of "
                "training, but none are, with "
                f"early_stopping={is_held_out!r} and {n_rows} distinct rows. Use "
                "early_stopping=True, or halving=False."
            )
        n_betas = len(self.replicas) // self.n_candidates
        rungs = rungs_of_betas(n_betas, self.n_candidates)
        return replace(self, plan=self.plan._replace(rungs=rungs))

    @property
    def spec(self) -> ModelSpec:
        """Specification of the model."""
        return self.prepared.spec

    def train(self, on_epoch: Callable[..., bool] | None) -> list[dict[str, Any]]:
        """Train, and return the attributes of the best candidate for each beta."""
        return self._attributes_kept(self.outcome(on_epoch))

    def outcome(self, on_epoch: Callable[..., bool] | None) -> training.Outcome:
        """Train all replicas, and return their results."""
        data = self.prepared
        # Where training is resumed, what it ends with is compared, and not each epoch.
        held_out = None if self.sizes is None else data.held_out
        task = training.Task(
            self.state,
            data.source,
            held_out,
            self.calibration,
            self.reached,
            origin_of(self.vae, data.view),
        )
        module = for_steps(self.module, self.vae.precision)
        with missing_named(self.state.values.device):
            return training.train(module, data.spec.policy, task, self.plan, on_epoch)

    def train_until_interrupted(
        self, on_epoch: Callable[..., bool] | None
    ) -> list[dict[str, Any]]:
        """Train; if the user interrupts it, keep the best weights so far, and warn.

        Before the first epoch has ended there are none, and `KeyboardInterrupt` is
        raised.
        """
        try:
            return self.train(on_epoch)
        except training.Interrupted as interrupted:
            kept = self._attributes_kept(interrupted.outcome)
        warnings.warn(
            f"Training was interrupted by the user after {kept[0]['n_iter_']} of "
            f"max_iter={self.vae.max_iter} epochs. The model has the best weights so "
            "far; fit it again for those of a whole training.",
            ConvergenceWarning,
            stacklevel=2,
        )
        return kept

    def kept(self, outcome: training.Outcome) -> list[int]:
        """Number of the best candidate for each beta among all replicas."""
        candidates = outcome.elbo.split(self.n_candidates)
        return [
            i * self.n_candidates + training.best_of(elbo)
            for i, elbo in enumerate(candidates)
        ]

    def _attributes_kept(self, outcome: training.Outcome) -> list[dict[str, Any]]:
        """Attributes of the best candidate for each beta."""
        return [self.trained(r, outcome.take(r)) for r in self.kept(outcome)]

    def trained(self, r: int, outcome: training.Outcome) -> dict[str, Any]:
        """Attributes of a replica, from its result.

        Parameters
        ----------
        r : int
            Number of the replica.
        outcome : Outcome
            Of that replica alone, after any number of epochs.
        """
        if not bool(torch.isfinite(outcome.values).all()):
            raise self._diverged(r, "weights are no longer finite")
        with missing_named(self.state.values.device):
            attributes = self.attributes(r, outcome.values)
        found = self.reported(r, outcome, attributes)
        beta = number(outcome.beta.cpu().numpy())
        variance = outcome.variance[0].cpu().numpy()
        if found["_fitted"].variance.shape[1] == 1:
            # With scope="auto", one for all may have come once for each feature.
            variance = variance.mean(keepdims=True)
        has_variance = self.module.dispersion is not None
        theta = beta * number(variance) if has_variance else None
        return {**found, "beta_": beta, "theta_": theta}

    def reported(
        self, r: int, outcome: training.Outcome, attributes: dict[str, Any]
    ) -> dict[str, Any]:
        """Attributes that follow from some weights, and the course of the training.

        Parameters
        ----------
        r : int
            Number of the replica.
        outcome : Outcome
            Of that replica alone.
        attributes : dict of str to object
            Attributes that follow from its weights, or from others.
        """
        fitted = attributes["_fitted"].resumable(outcome.state.to_numpy())
        history = in_units_of_x(outcome.history, *self.prepared.jacobian)
        scaling = fitted.view.scaling
        numbers = fitted.variance, scaling.center, scaling.scale, attributes["elbo_"]
        beta = outcome.beta.cpu().numpy()
        numbers = *numbers, beta, *outcome.history.values()
        if not all(np.isfinite(each).all() for each in numbers):
            raise self._diverged(r, "the elbo is not finite")
        n_epochs = int(outcome.n_epochs[0])
        if not outcome.is_finite[0]:
            warnings.warn(
                f"Training diverged in epoch {n_epochs + 1}: weights or the elbo were "
                "no longer finite. The best weights before that are kept. "
                f"{self._remedies(r)}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return {
            **attributes,
            "n_iter_": n_epochs,
            "history_": history,
            "_fitted": fitted,
        }

    def _diverged(self, r: int, reason: str) -> TrainingDivergedError:
        """Error about a replica that has never been finite."""
        return TrainingDivergedError(
            f"Training diverged: {reason}. {self._remedies(r)}"
        )

    def _remedies(self, r: int) -> str:
        """Sentences on what to change where a replica has diverged."""
        return remedies(self.vae, self.prepared, self.replicas[r].beta)

    def attributes(self, r: int, values: Tensor) -> dict[str, Any]:
        """Attributes that follow from the weights of a replica.

        Parameters
        ----------
        r : int
            Number of the replica.
        values : Tensor of shape (1, n_weights)
        """
        data = self.prepared
        weights = views(values, self.state.shapes)
        # A pass that goes on is short.
        n_decoded = _REPORTED_ROWS if self.sizes is not None else _REPORTED_ROWS // 4
        n_nodes = int(np.clip(n_decoded // data.rows.n_rows, 2, 32))
        nodes = quadrature(data.spec.n_components, n_nodes)
        noise = torch.tensor(nodes).to(data.rows.like)[:, None]
        encoded = EncodedRows(self.module, weights, data.rows, data.held_out)
        prior = clone(data.spec.prior).learn(encoded)
        rows = data.rows if data.held_out is None else data.held_out
        trained = scored = evaluate(self.module, weights, rows, noise, prior)
        if data.held_out is not None:
            sampled, noise = with_noise(self.module, data.rows, n_nodes)
            trained = evaluate(self.module, weights, sampled, noise)
        variance = self.state.balance.variance[r : r + 1]
        if self.calibration is not None:
            assert trained.error is not None
            calibration = self.calibration.select(slice(r, r + 1))
            new_error = None if data.held_out is None else scored.error
            variance = calibration(trained.error, new_error)
        arrays = values.cpu().numpy()
        fitted = Fitted(
            spec=data.spec,
            view=data.view,
            shapes=self.state.shapes,
            values=arrays,
            variance=variance.cpu().numpy().astype(arrays.dtype, copy=False),
            prior=prior,
            null_model=data.null_model,
            beta=self.replicas[r].beta,
        )
        rate = float(scored.rate[0])
        distortion = float(scored.distortion(self.module, variance)[0])
        distortion += data.jacobian.validation
        if data.view.scores is not None:
            rate, distortion = data.scores(fitted)
        activity = trained.activity[0].cpu().numpy()
        return attributes_of(fitted, activity, rate, distortion)
