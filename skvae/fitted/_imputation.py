"""Missing cells, filled with their expectation or draws given the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.data._rows import chunks
from skvae.fitted._inference import Floats, Model, on_its_device
from skvae.fitted._laplace import WeightedLatents, drawn_about_modes


@on_its_device
def expected(model: Model, X: Floats, n_importance_samples: int) -> Floats:
    """Rows with each missing cell at its expectation given the others.

    The expectation is under the decoder's distribution, over latents that are drawn
    from the posterior of what is observed and weighted by importance: a mean, or the
    most probable level. An encoder that has seen few gaps gives a poor posterior for
    rows with many, so that its draws are only the start for these.

    Parameters
    ----------
    model : Model
    X : ndarray of shape (n_samples, n_features)
        In the units of X; NaN where a cell is missing.
    n_importance_samples : int
        Latents drawn for each row at a time.
    """
    filled, random = X.copy(), np.random.RandomState(0)
    for rows, latents, parameters in _given(model, X, n_importance_samples, random):
        values = model.module.likelihood.expectation(
            parameters,
            model.scored_variance,
            latents.log_weight.softmax(dim=0),
            model.view.scaling.center,
            model.view.scaling.user_scale,
        )
        filled[rows] = np.where(np.isnan(X[rows]), values, X[rows])
    return filled


@on_its_device
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
    for rows, latents, _ in _given(model, X, n_importance_samples, random):
        weight = latents.log_weight.softmax(dim=0)
        uniform = torch.as_tensor(random.uniform(size=(n_draws, 1, weight.shape[1])))
        # The first draw at which the summed weights pass a uniform number.
        passed = weight.double().cumsum(dim=0) < uniform.to(weight.device)
        chosen = passed.sum(dim=1).clamp(max=len(weight) - 1)
        for table, pick in zip(tables, chosen, strict=True):
            z = latents.z[pick, torch.arange(len(pick), device=pick.device)]
            parameters = model.module.decode(model.weights, z[None])
            seed = int(random.randint(np.iinfo(np.int32).max))
            x = model.module.likelihood.sample(parameters, model.scored_variance, seed)
            values = model.to_user(x[0])
            table[rows] = np.where(np.isnan(X[rows]), values, X[rows])
    return tables


def _given(
    model: Model, X: Floats, n_draws: int, random: np.random.RandomState
) -> Iterator[tuple[NDArray[np.intp], WeightedLatents, dict[str, Tensor]]]:
    """Rows with missing cells, latents drawn for them, and cells given these.

    A row comes again where its latents are not enough in effect, with better ones.
    """
    n_components, cells = model.module.n_components, model.module.cells_per_row
    # Latents at a time for a row that is drawn again; gradients take more memory.
    n_tried = 2 * max(n_draws, 2 * n_components)
    index = np.flatnonzero(np.isnan(X).any(axis=1))
    noise = model.tensor(random.standard_normal((n_draws, n_components)))
    for part in chunks(len(index), n_draws * cells):
        rows = index[part]
        sample = model.sample(X[rows], noise[:, None])
        latents = WeightedLatents(sample.z[0], model.log_weights(sample))
        yield rows, latents, sample.parameters
        is_short = ~latents.is_enough
        short, latents = rows[is_short.cpu().numpy()], latents.of(is_short)
        for piece in chunks(len(short), n_tried * cells):
            X_piece, start = X[short[piece]], latents.of(piece)
            better = drawn_about_modes(model, X_piece, start)
            z = better.z.flatten(0, 1)[None]
            yield short[piece], better, model.module.decode(model.weights, z)
