"""Learning from some rows of a table, without a copy of them where that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skvae.likelihoods._base import Floats, Likelihood


def learn_rows(
    likelihood: Likelihood,
    X: Floats,
    rows: NDArray[np.integer],
    weight: Floats | None,
    columns: NDArray[np.intp] | None = None,
) -> None:
    """Let a likelihood learn from some rows of an admitted table.

    A family that learns by blocks of columns, or of rows, has a method `learn_rows`
    beside `learn`, and needs no copy. A class that overrides `learn` alone gets one.

    Parameters
    ----------
    likelihood : Likelihood
    X : ndarray of shape (n_samples, n_features)
    rows : ndarray of shape (n_rows,)
        Rows to learn from, in order.
    weight : ndarray of shape (n_rows,) or None
    columns : ndarray of int or None, default=None
        Columns of the likelihood; None for all.
    """
    learner: Any = likelihood
    family = next(each for each in type(learner).__mro__ if "learn" in vars(each))
    if "learn_rows" in vars(family):
        learner.learn_rows(X, rows, weight, columns)
    elif columns is None:
        learner.learn(X[rows], weight)
    else:
        learner.learn(np.stack([X[rows, d] for d in columns]).T, weight)
