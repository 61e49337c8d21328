"""Draws of cells within atoms, from a table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from skvae.data._normal_scores import NormalScores
from skvae.fitted._drawn_posterior import ranks_of_draws


class AtomDraws(nn.Module):
    """Scores within each atom at which rows are drawn, as a fitted model does.

    Parameters
    ----------
    scores : NormalScores
    n_draws : int
        Of each row.

    Attributes
    ----------
    number : Tensor of shape (n_features, n_knots)
        Number of each knot among the atoms of all columns; 0 where it is none.
    drawn : Tensor of shape (n_draws, n_atoms + 1)
        Scores of each atom; NaN at 0.
    """

    number: Tensor
    drawn: Tensor

    def __init__(self, scores: NormalScores, n_draws: int) -> None:
        super().__init__()
        columns = scores.columns
        ranks = ranks_of_draws(n_draws, len(columns))
        most = max(1 if column is None else len(column.x) for column in columns)
        number = np.zeros((len(columns), most), dtype=np.int64)
        drawn, n_atoms = [np.full((n_draws, 1), np.nan)], 0
        for d, column in enumerate(columns):
            if column is not None:
                knots = np.flatnonzero(column.is_atom)
                number[d, knots] = n_atoms + 1 + np.arange(len(knots))
                n_atoms += len(knots)
                own = np.broadcast_to(ranks[:, [d]], (n_draws, len(knots)))
                drawn.append(column.drawn(knots, own)[0])
        self.register_buffer("number", torch.tensor(number))
        self.register_buffer("drawn", torch.tensor(np.concatenate(drawn, axis=1)))

    def forward(self, knot: Tensor, is_knot: Tensor) -> Tensor:
        """Scores of drawn cells, NaN for all cells that are not on atoms.

        Parameters
        ----------
        knot, is_knot : Tensor of shape (n_features, n_samples)
            As of `TensorScores.knots`.

        Returns
        -------
        u : Tensor of shape (n_draws, n_samples, n_features)
        """
        number = torch.where(is_knot, self.number.gather(1, knot), 0)
        return self.drawn[:, number.T]
