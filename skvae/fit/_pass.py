"""One call of `partial_fit`: a chunk of a stream in, attributes of an estimator out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae import training
from skvae.data._scaling import Scaling
from skvae.exceptions import TrainingDivergedError
from skvae.fit._chunk import admitted, arrived, beside, with_replayed
from skvae.fit._fit import Fit
from skvae.fit._history import joined
from skvae.fit._plan import as_long, one_pass
from skvae.fit._prepare import scaled_by
from skvae.fit._prepared import (
    like_of,
    prepared,
    scaled_anew,
    scaled_for,
)
from skvae.fit._scales import check_scales
from skvae.fit._seed import drawn_seed
from skvae.fit._table import CheckedTable
from skvae.fitted._fitted import Fitted
from skvae.fitted._kept_rows import KeptRows
from skvae.likelihoods._groups import continuous
from skvae.model._device import missing_named
from skvae.model._precision import WEIGHTS
from skvae.model._settings import Settings
from skvae.model._weights import views

# Training rows whose error is compared, approximately.
_COMPARED_ROWS = 512


class Contest(NamedTuple):
    """Weights that compete for the estimator, with their elbo on the same rows."""

    values: Tensor
    """Those of the models in training, and then of others, (n_models, n_weights)."""
    elbo: Tensor
    """Elbo of each, of shape (n_models,)."""
    n_trained: int
    """Number of models in training."""

    @property
    def latest(self) -> int:
        """Number of the best model in training."""
        return training.best_of(self.elbo[: self.n_trained])

    @property
    def is_won_by_latest(self) -> bool:
        """True where none of the others is better."""
        return training.best_of(self.elbo) < self.n_trained


@dataclass(frozen=True)
class Pass:
    """A pass that is about to start: over a chunk, or over all rows that are kept.

    Attributes
    ----------
    fit : Fit
        The training.
    kept : KeptRows
        Rows that stand for the stream, with those of the chunk.
    last : Fitted or None, default=None
        What the last call has left, where training goes on from there.
    """

    fit: Fit
    kept: KeptRows
    last: Fitted | None = None

    @classmethod
    def first(cls, vae: Settings, table: CheckedTable) -> Pass:
        """First pass over a stream."""
        seed = drawn_seed(vae)
        found = scaled_by(vae, table, [vae.beta])
        mask, kept = arrived(vae, found, KeptRows.none(table.X, seed), 0)
        data = prepared(found, mask, like_of(vae), seed)
        fit = Fit.started(vae, data, [vae.beta], one_pass, seed)
        kept = kept.started(found.spec.policy, vae.standardize, found.view.scaling)
        return cls(fit, kept)

    @classmethod
    def resumed(cls, vae: Settings, table: CheckedTable, last: Fitted) -> Pass:
        """Pass over a chunk that goes on from all that the last one has left."""
        chunk, before = scaled_for(last, table), last.kept
        if before is None:
            before = KeptRows.none(table.X, drawn_seed(vae))
        n_calls = last.state.n_epochs
        mask, kept = arrived(vae, chunk, before, n_calls)
        stream = chunk._replace(admitted=admitted(kept), sampled=None)
        like, seed = like_of(vae), kept.seed
        chunk, mask = with_replayed(chunk, mask, before, n_calls)
        data = beside(
            prepared(chunk, mask, like, seed),
            prepared(stream, kept.is_held_out, like, seed),
        )
        return cls(Fit.resumed(vae, data, last), kept, last)

    @classmethod
    def anew(cls, vae: Settings, last: Fitted, kept: KeptRows, n_steps: int) -> Pass:
        """Passes over all rows that are kept, with a start and a scaling of their own.

        Parameters
        ----------
        vae : BalancedVAE
            The settings.
        last : Fitted
            What the last call has left.
        kept : KeptRows
            Rows that stand for the stream.
        n_steps : int
            Steps of the model that the start competes with.
        """
        assert kept.origin is not None
        columns = last.view.columns
        table = CheckedTable(kept.X, kept.weight, columns, None, kept.X)
        found = scaled_anew(last, table, kept.origin)
        check_scales(found, WEIGHTS[vae.precision])
        data = prepared(found, kept.is_held_out, like_of(vae), kept.seed)
        plan_of = partial(as_long, n_steps=n_steps)
        fit = Fit.started(vae, data, [last.beta], plan_of, kept.seed)
        # Schedules go on.
        fit.state.n_epochs = last.state.n_epochs
        return cls(fit, kept)

    def train(self) -> dict[str, Any]:
        """Train, and return the attributes of the best model."""
        fit = self.fit
        outcome = fit.outcome(None)
        replica, before = self.kept.replica, None
        with missing_named(fit.state.values.device):
            contest = self._contest(outcome)
            if not contest.is_won_by_latest:
                before = fit.attributes(replica, contest.values[-1:])
        best = contest.latest
        latest = outcome.take(best)
        if before is None:
            found, replica = fit.trained(best, latest), best
        else:
            # The estimator has the beta in force of these weights.
            found = fit.reported(best, latest, before)
        # A start alone validates its epoch, and a stream has few of them.
        history = {
            name: entries
            for name, entries in found["history_"].items()
            if not name.startswith("validation_")
        }
        state = replace(outcome.state, n_steps=self.n_steps)
        fitted = replace(
            found["_fitted"].resumable(state.to_numpy()),
            kept=replace(self.kept, replica=replica),
        )
        return {**found, "history_": history, "_fitted": fitted}

    def _contest(self, outcome: training.Outcome) -> Contest:
        """Compare the models in training and, if one is there, the best one before."""
        values, n_trained = outcome.values, len(outcome.values)
        if self.last is None or self.fit.prepared.held_out is None:
            return Contest(values, outcome.elbo, n_trained)
        replicas = list(range(n_trained))
        if self._has_best:
            before = torch.tensor(self.last.values).to(values)
            values = torch.cat([values, before])
            replicas.append(self.kept.replica)
        return Contest(values, self._held_out_elbo(values, replicas), n_trained)

    @property
    def n_steps(self) -> int:
        """Number of steps of the model, those of the calls before included."""
        return self.fit.state.n_steps + self.fit.plan.steps_per_epoch

    @property
    def _has_best(self) -> bool:
        """True where the weights of the last call compete with new ones.

        Weights of `fit` were the best of other rows, and below its final beta a model
        is not the requested one.
        """
        assert self.last is not None
        progress = self.fit.plan.progress(self.last.state.n_epochs, 0)
        is_settled = progress >= self.fit.spec.policy.settled_at
        return self.kept.origin is not None and is_settled

    def _held_out_elbo(self, values: Tensor, replicas: list[int]) -> Tensor:
        """Elbo of weights on the held-out rows of the stream, (n_models,)."""
        fit, rows, held_out = (
            self.fit,
            self.fit.prepared.rows,
            self.fit.prepared.held_out,
        )
        assert held_out is not None
        validation = training.Validation.drawn(
            fit.module,
            rows.take(slice(None, None, 1 + rows.n_rows // _COMPARED_ROWS)),
            held_out,
            fit.calibration,
            fit.plan,
            torch.Generator().manual_seed(0),
        ).select(torch.tensor(replicas))
        weights = views(values, fit.state.shapes)
        variance = fit.state.balance.variance[replicas]
        return validation(weights, variance, validation.train_error(weights)).elbo

    @property
    def scaling(self) -> Scaling:
        """Centre and scale of the rows that are kept."""
        spec, origin = self.fit.spec, self.kept.origin
        assert origin is not None
        return Scaling.from_rows(
            spec.likelihood.to_model(self.kept.X),
            np.arange(len(self.kept.X)),
            self.kept.weight,
            standardize=origin.standardize,
            columns=continuous(spec.likelihood, spec.n_features),
        )


def attributes_after(
    vae: Settings,
    table: CheckedTable,
    last: Fitted,
    history: dict[str, NDArray[np.floating]],
) -> dict[str, Any]:
    """Attributes of an estimator after a chunk that is not the first one.

    Training goes on. Where the rows that are kept have become twice as many, or a
    column has left its scale, it is also started anew with them, and what is better on
    held-out rows is gone on with.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    table : CheckedTable
        The chunk.
    last : Fitted
        What the last call has left.
    history : dict of str to ndarray
        History of all calls before.
    """
    going_on = Pass.resumed(vae, table, last)
    origin, start = going_on.kept.origin, None
    if origin is not None and going_on.kept.is_due(going_on.scaling):
        kept = going_on.kept.started(
            origin.policy, origin.standardize, going_on.scaling
        )
        going_on = replace(going_on, kept=kept)
        # What the rows cannot be started with, training may well go on with.
        with suppress(ValueError):
            start = Pass.anew(vae, last, kept, going_on.n_steps).train()
    try:
        found = going_on.train()
    except TrainingDivergedError:
        # In the old scale; the start has the new one.
        if start is None:
            raise
        found = start
    if start is not None and start["elbo_"] > found["elbo_"]:
        found = start
    return {**found, "history_": joined(history, found["history_"])}
