"""A table ready to train on: scaled, on the device, and split."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.data._rows import Rows, WeightedRows
from skvae.data._rows_in_table import RowsInTable
from skvae.data._view import TableView
from skvae.fit._stream import Sampled
from skvae.fit._table import Admitted, CheckedTable
from skvae.fit._windows import Windows
from skvae.fitted._fitted import Fitted
from skvae.fitted._kept_rows import Origin
from skvae.fitted._null_model import NullModel
from skvae.likelihoods._gaussian_scores import check_gaussian
from skvae.likelihoods._groups import continuous
from skvae.likelihoods._learn_rows import learn_rows
from skvae.likelihoods._open_levels import report_open_columns
from skvae.model._device import training_device
from skvae.model._precision import WEIGHTS
from skvae.model._settings import Settings
from skvae.model._spec import ModelSpec
from skvae.training._source import Source


class Jacobian(NamedTuple):
    """Nats per row that distortions gain in the units of X."""

    train: float
    validation: float
    """For the held-out rows, or the training rows if none are held out."""


class Scaled(NamedTuple):
    """A specification that has learned from a table, and the table's scaling."""

    spec: ModelSpec
    view: TableView
    null_model: NullModel
    admitted: Admitted
    sampled: Sampled | None
    """The whole table, where the rows are a sample of it."""


class Prepared(NamedTuple):
    """A table ready to train on."""

    spec: ModelSpec
    view: TableView
    null_model: NullModel
    source: Source
    """Training rows."""
    held_out: WeightedRows | None
    """Held-out rows, if there are any."""
    jacobian: Jacobian
    admitted: Admitted
    """The whole table, or the sample of it, as numbers."""
    is_held_out: NDArray[np.bool_]
    """Distinct rows of the table that are held out."""

    @property
    def rows(self) -> WeightedRows:
        """Training rows in memory, which stand for all."""
        return self.source.sample

    def scores(self, fitted: Fitted) -> tuple[float, float]:
        """Mean rate and distortion of the rows that a model is scored on.

        They are those of `score`. The distortion of `Rows` is one of draws within
        atoms, which is larger than that of the atoms' probabilities.
        """
        X, index, weight, _ = self.admitted
        mask = self.is_held_out if self.held_out is not None else ~self.is_held_out
        found = fitted.on(str(self.rows.like.device), X.dtype).score(X[index[mask]])
        weight = weight[mask] / weight[mask].sum()
        return float(weight @ found.rate), float(weight @ found.distortion)


def _learned(spec: ModelSpec, table: CheckedTable) -> Admitted:
    """Admit a table, and let the likelihood learn levels and statistics from it."""
    spec.likelihood.find_levels(table.X)
    report_open_columns(spec.likelihood, table.columns, table.X)
    admitted = Admitted.of(table, spec.likelihood)
    learn_rows(spec.likelihood, admitted.X, admitted.rows, admitted.weight)
    return admitted


def scaled(spec: ModelSpec, table: CheckedTable, *, standardize: bool | str) -> Scaled:
    """Let a specification learn levels, statistics and scaling from a table."""
    if standardize == "quantile":
        check_gaussian(spec.likelihood, spec.n_features, table.columns.name)
    return _scaled(spec, table, _learned(spec, table), standardize)


def _scaled(
    spec: ModelSpec, table: CheckedTable, admitted: Admitted, standardize: bool | str
) -> Scaled:
    """Scale a table by what it holds."""
    X, index, weight, gaps = admitted
    moments = None
    if table.sampled is not None:
        moments = table.sampled.stream.moments(spec.likelihood)
    view = TableView.from_rows(
        table.columns,
        spec.likelihood,
        X,
        index,
        weight,
        continuous=continuous(spec.likelihood, spec.n_features),
        standardize=standardize,
        moments=moments,
    )
    null_model = NullModel.from_rows(X, index, weight, spec.likelihood, view)
    return Scaled(spec.with_gaps(gaps), view, null_model, admitted, table.sampled)


def scaled_as(last: Fitted, spec: ModelSpec, table: CheckedTable) -> Scaled:
    """Let a specification learn from a table with the scaling of the last fit."""
    if last.view.scores is not None:
        check_gaussian(spec.likelihood, spec.n_features, table.columns.name)
    X, index, weight, _ = admitted = _learned(spec, table)
    view = replace(last.view, columns=table.columns, units=spec.likelihood).after(X)
    null_model = NullModel.from_rows(X, index, weight, spec.likelihood, view)
    spec = spec._replace(indicator_columns=last.spec.indicator_columns)
    return Scaled(spec, view, null_model, admitted, table.sampled)


def scaled_anew(last: Fitted, table: CheckedTable, origin: Origin) -> Scaled:
    """Let the parts of the last call learn statistics and scaling; levels stay.

    Parameters
    ----------
    last : Fitted
        Left as it is.
    table : CheckedTable
    origin : Origin
        How the stream was started.
    """
    likelihood = copy.deepcopy(last.spec.likelihood)
    spec = last.spec._replace(policy=origin.policy, likelihood=likelihood)
    admitted = Admitted.of(table, likelihood)
    learn_rows(likelihood, admitted.X, admitted.rows, admitted.weight)
    return _scaled(spec, table, admitted, origin.standardize)


def scaled_for(last: Fitted, table: CheckedTable) -> Scaled:
    """A table as the model of the last call sees it."""
    admitted = Admitted.of(table, last.spec.likelihood)
    view = last.view.after(admitted.X)
    return Scaled(last.spec, view, last.null_model, admitted, table.sampled)


def prepared(
    table: Scaled, is_held_out: NDArray[np.bool_], like: Tensor, seed: int
) -> Prepared:
    """Split the distinct rows of a table, and put them on the device.

    Parameters
    ----------
    table : Scaled
    is_held_out : ndarray of shape (n_rows,), dtype=bool
        Distinct rows to hold out.
    like : Tensor
        A tensor on the device and in the precision of the training.
    seed : int
        Of the draws that stand for cells on atoms.
    """
    X, index, weight, gaps = table.admitted
    random = np.random.RandomState(seed)

    def rows_at(mask: NDArray[np.bool_]) -> tuple[Rows | RowsInTable, float]:
        return table.view.rows(
            X,
            index[mask],
            weight[mask],
            has_gaps=bool(gaps),
            like=like,
            random=random,
        )

    rows, train = rows_at(~is_held_out)
    source: Source = rows
    if table.sampled is not None:
        stream, place = table.sampled
        source = Windows(
            stream,
            table.spec.likelihood,
            table.view,
            rows,
            place[index[is_held_out]],
            has_gaps=bool(gaps) or stream.has_unknown,
        )
    held_out, validation = rows_at(is_held_out) if is_held_out.any() else (None, train)
    return Prepared(
        table.spec,
        table.view,
        table.null_model,
        source,
        held_out,
        Jacobian(train, validation),
        table.admitted,
        is_held_out,
    )


def like_of(vae: Settings) -> Tensor:
    """A tensor on the device of an estimator, of the type of its weights."""
    dtype = getattr(torch, WEIGHTS[vae.precision])
    device = training_device(vae.device, vae.precision)
    return torch.zeros((), dtype=dtype, device=device)
