"""One call of `partial_fit`: a chunk of a stream in, attributes of an estimator out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae import training
from skvae.data._scaling import Scaling
from skvae.exceptions import TrainingDivergedError
from skvae.fit._chunk import admitted, arrived, beside
from skvae.fit._fit import Fit
from skvae.fit._history import joined
from skvae.fit._plan import one_pass
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
from skvae.model._precision import WEIGHTS
from skvae.model._settings import Settings
from skvae.model._weights import views

# Training rows whose error is compared, approximately.
_COMPARED_ROWS = 512


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
        mask, kept = arrived(vae, found, KeptRows.none(table.X, seed))
        data = prepared(found, mask, like_of(vae), seed)
        fit = Fit.started(vae, data, [vae.beta], one_pass, seed)
        kept = kept.started(found.spec.policy, vae.standardize, found.view.scaling)
        return cls(fit, kept.thinned(0))

    @classmethod
    def resumed(cls, vae: Settings, table: CheckedTable, last: Fitted) -> Pass:
        """Pass over a chunk that goes on from all that the last one has left."""
        chunk, kept = scaled_for(last, table), last.kept
        if kept is None:
            kept = KeptRows.none(table.X, drawn_seed(vae))
        mask, kept = arrived(vae, chunk, kept)
        kept = kept.thinned(last.state.n_epochs)
        stream = chunk._replace(admitted=admitted(kept), sampled=None)
        like, seed = like_of(vae), kept.seed
        data = beside(
            prepared(chunk, mask, like, seed),
            prepared(stream, kept.is_held_out, like, seed),
        )
        return cls(Fit.resumed(vae, data, last), kept, last)

    @classmethod
    def anew(cls, vae: Settings, last: Fitted, kept: KeptRows) -> Pass:
        """Pass over all rows that are kept, with a start and a scaling of their own."""
        assert kept.origin is not None
        columns = last.view.columns
        table = CheckedTable(kept.X, kept.weight, columns, None, kept.X)
        found = scaled_anew(last, table, kept.origin)
        check_scales(found, WEIGHTS[vae.precision])
        data = prepared(found, kept.is_held_out, like_of(vae), kept.seed)
        fit = Fit.started(vae, data, [last.beta], one_pass, kept.seed)
        # Schedules go on.
        fit.state.n_epochs = last.state.n_epochs
        return cls(fit, kept)

    def train(self) -> dict[str, Any]:
        """Train, and return the attributes of the best model.

        Candidates are the models in training and, where training goes on, the best
        one before: all have their elbo on the same held-out rows.
        """
        fit, outcome = self.fit, self.fit.outcome(None)
        values, elbo = outcome.values, outcome.elbo
        n_trained = len(values)
        if self.last is not None and fit.prepared.held_out is not None:
            replicas = list(range(n_trained))
            if self._has_best:
                before = torch.tensor(self.last.values).to(values)
                values = torch.cat([values, before])
                replicas.append(self.kept.replica)
            elbo = self._held_out_elbo(values, replicas)
        best = training.best_of(elbo[:n_trained])
        now = outcome.take(best)
        if training.best_of(elbo) < n_trained:
            found, replica = fit.trained(best, now), best
        else:
            replica = self.kept.replica
            found = fit.reported(best, now, fit.attributes(replica, values[-1:]))
            # Those that the estimator has are of the same weights.
            del found["beta_"], found["theta_"]
        # A start alone validates its epoch, and a stream has few of them.
        found["history_"] = {
            name: entries
            for name, entries in found["history_"].items()
            if not name.startswith("validation_")
        }
        fitted = found["_fitted"].resumable(outcome.state.to_numpy())
        kept = replace(self.kept, replica=replica)
        return {**found, "_fitted": replace(fitted, kept=kept)}

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
    origin = going_on.kept.origin
    if origin is None or not going_on.kept.is_due(going_on.scaling):
        found = going_on.train()
    else:
        kept = going_on.kept.started(
            origin.policy, origin.standardize, going_on.scaling
        )
        found = Pass.anew(vae, last, kept).train()
        try:
            other = replace(going_on, kept=kept).train()
        except TrainingDivergedError:
            # In the old scale; the start has the new one.
            other = found
        if other["elbo_"] >= found["elbo_"]:
            found = other
    return {**found, "history_": joined(history, found["history_"])}
