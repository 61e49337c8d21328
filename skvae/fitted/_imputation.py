"""Missing cells, filled with their expectation or draws given the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from skvae.data._rows import chunks
from skvae.fitted._inference import Floats, Model
from skvae.model._module import Sample


@torch.no_grad()
def expected(model: Model, X: Floats, n_importance_samples: int) -> Floats:
    """Rows with each missing cell at its expectation given the others.

    The expectation is under the decoder's distribution, over latents that are drawn
    from the posterior of what is observed and weighted by importance: a mean, or the
    most probable level.

    Parameters
    ----------
    model : Model
    X : ndarray of shape (n_samples, n_features)
        In the units of X; NaN where a cell is missing.
    n_importance_samples : int
        Latents drawn for each row.
    """
    filled, random = X.copy(), np.random.RandomState(0)
    for rows, sample in _incomplete(model, X, n_importance_samples, random):
        weight = model.log_weights(sample).softmax(dim=0)
        values = model.module.likelihood.expectation(
            sample.parameters,
            model.scored_variance,
            weight,
            model.view.scaling.center,
            model.view.scaling.user_scale,
        )
        filled[rows] = np.where(np.isnan(X[rows]), values, X[rows])
    return filled


@torch.no_grad()
def drawn(
    model: Model,
    X: Floats,
    n_draws: int,
    n_importance_samples: int,
    random: np.random.RandomState,
) -> list[Floats]:
    """Several tables with the missing cells drawn, for multiple imputation.

    Latents are drawn again among those of `expected`, by their importance weights, and
    cells from the decoder's distribution at them.
    """
    tables = [X.copy() for _ in range(n_draws)]
    for rows, sample in _incomplete(model, X, n_importance_samples, random):
        weight = model.log_weights(sample).softmax(dim=0)
        uniform = torch.as_tensor(random.uniform(size=(n_draws, 1, weight.shape[1])))
        # The first draw at which the summed weights pass a uniform number.
        passed = weight.double().cumsum(dim=0) < uniform.to(weight.device)
        chosen = passed.sum(dim=1).clamp(max=len(weight) - 1)
        for table, pick in zip(tables, chosen, strict=True):
            z = sample.z[0, pick, torch.arange(len(pick), device=pick.device)]
            parameters = model.module.decode(model.weights, z[None])
            seed = int(random.randint(np.iinfo(np.int32).max))
            x = model.module.likelihood.sample(parameters, model.scored_variance, seed)
            values = model.to_user(x[0])
            table[rows] = np.where(np.isnan(X[rows]), values, X[rows])
    return tables


def _incomplete(
    model: Model, X: Floats, n_draws: int, random: np.random.RandomState
) -> Iterator[tuple[NDArray[np.intp], Sample]]:
    """Rows with missing cells, in chunks, with latents drawn for them."""
    index = np.flatnonzero(np.isnan(X).any(axis=1))
    noise = model.tensor(random.standard_normal((n_draws, model.module.n_components)))
    for part in chunks(len(index), n_draws * model.module.cells_per_row):
        rows = index[part]
        yield rows, model.sample(X[rows], noise[:, None])
