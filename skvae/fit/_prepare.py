"""Rows to train on, from a checked table and the settings of an estimator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skvae.fit._plan import held_out
from skvae.fit._prepared import Prepared, Scaled, like_of, prepared, scaled
from skvae.fit._scales import check_scales
from skvae.fit._seed import drawn_seed
from skvae.fit._table import CheckedTable
from skvae.model._precision import WEIGHTS
from skvae.model._settings import Settings
from skvae.model._spec import ModelSpec


def scaled_by(vae: Settings, table: CheckedTable, betas: Sequence[float]) -> Scaled:
    """A table that the parts of an estimator have learned from."""
    spec = ModelSpec.from_params(vae, table.likelihood, table.X, table.columns, betas)
    found = scaled(spec, table, standardize=vae.standardize)
    check_scales(found, WEIGHTS[vae.precision])
    return found


def split(vae: Settings, table: Scaled, seed: int) -> Prepared:
    """Rows of `fit` to train on and to score on."""
    random = np.random.RandomState(seed)
    is_held_out = held_out(vae, len(table.admitted.rows), random)
    return prepared(table, is_held_out, like_of(vae), seed)


def prepare(vae: Settings, table: CheckedTable, betas: Sequence[float]) -> Prepared:
    """A table as `Fit.fresh` would train on it, without a start."""
    return split(vae, scaled_by(vae, table, betas), drawn_seed(vae))
