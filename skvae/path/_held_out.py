"""Scores of rows by models that are not fitted to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from skvae._sklearn_compat import rows_of
from skvae._vae import BalancedVAE
from skvae.data._checks import checked_numbers
from skvae.fitted._access import fitted_of
from skvae.path._runs import fit_betas


def held_out_scores(
    vae: BalancedVAE,
    rows: Any,
    weight: NDArray[np.float64],
    n_folds: int,
    random: np.random.RandomState,
    n_jobs: int | None,
) -> NDArray[np.float64]:
    """Score each row by a model that is fitted to the other folds.

    Parameters
    ----------
    vae : BalancedVAE
        Not fitted, and left so.
    rows : array-like of shape (n_rows, n_features)
        Distinct rows: of two that are equal, one would be fitted to.
    weight : ndarray of shape (n_rows,)
        Weight of each.
    n_folds : int
        Number of folds, at least 2.
    random : RandomState
        Divides the rows.
    n_jobs : int or None
        Processes to spread the folds over.

    Returns
    -------
    scores : ndarray of shape (n_rows,)
        Evidence lower bounds, in nats.
    """
    n_rows = len(weight)
    if n_rows < 2:
        raise ValueError(
            "contamination='auto' needs at least 2 distinct rows of positive weight, "
            "one to fit to and one to score, but X has one sample of that kind. Pass "
            "more rows, or a number for contamination."
        )
    order = random.permutation(n_rows)
    n_folds = min(n_folds, n_rows)
    folds = [np.sort(order[fold::n_folds]) for fold in range(n_folds)]
    run = Parallel(n_jobs=n_jobs)
    parts = run(delayed(_scores_of)(vae, rows, weight, fold) for fold in folds)
    scores = np.empty(n_rows)
    scores[np.concatenate(folds)] = np.concatenate(parts)
    return scores


def _scores_of(
    vae: BalancedVAE, rows: Any, weight: NDArray[np.float64], fold: NDArray[np.intp]
) -> NDArray[np.floating]:
    """Scores of the rows of a fold."""
    others = np.setdiff1d(np.arange(len(weight)), fold)
    own = rows_of(rows, others)
    (model,) = fit_betas(vae, own, [vae.beta], weight[others]).models
    fitted = fitted_of(model)
    columns = fitted.view.columns
    numbers, _ = checked_numbers(model, rows_of(rows, fold), columns)
    # Without the warning that levels which the other folds lack are taken for missing.
    numbers = fitted.spec.likelihood.admit(numbers, columns.names)
    scored = fitted.on(model.device, numbers.dtype).score(numbers)
    return -(scored.rate + scored.distortion)
