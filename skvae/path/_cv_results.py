"""Results of a search from the scores of test folds, and the choice of a beta."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def takes_weights(scorer: Callable[..., float]) -> bool:
    """True for a scorer that has the argument sample_weight."""
    if hasattr(scorer, "_accept_sample_weight"):
        return bool(scorer._accept_sample_weight())
    return "sample_weight" in inspect.signature(scorer).parameters


def scores_of(
    scorer: Callable[..., float],
    models: Sequence[Any],
    X: Any,
    y: Any,
    params: Mapping[str, Any],
) -> list[float]:
    """Scores of models on the rows of a fold."""
    scores = [scorer(model, X, y, **params) for model in models]
    for score in scores:
        if not np.isscalar(score):
            raise ValueError(
                f"scoring must return one number, got {score!r} from {scorer!r}. Elbo, "
                "rate, distortion and active units are in cv_results_ with any scoring."
            )
    return scores


def results_of(
    betas: Floats, seconds: Mapping[str, Floats], metrics: Mapping[str, Floats]
) -> dict[str, Any]:
    """Scores of a path under the names that the `cv_results_` of a search have.

    Parameters
    ----------
    betas : ndarray of shape (n_betas,)
    seconds, metrics : dict of str to ndarray of shape (n_betas, n_folds)
    """
    results: dict[str, Any] = {}
    for name, spent in seconds.items():
        results[f"mean_{name}"] = spent.mean(axis=1)
        results[f"std_{name}"] = spent.std(axis=1)
    results["param_beta"] = np.ma.MaskedArray(betas, mask=False)
    results["params"] = [{"beta": float(beta)} for beta in betas]
    for name, scores in metrics.items():
        for fold, of_fold in enumerate(scores.T):
            results[f"split{fold}_test_{name}"] = of_fold
        mean = scores.mean(axis=1)
        results[f"mean_test_{name}"] = mean
        results[f"std_test_{name}"] = scores.std(axis=1)
        # Ranks as in a search: ties get the best rank, and NaN is last.
        known = np.where(np.isnan(mean), -np.inf, mean)
        better = (known > known[:, None]).sum(axis=1)
        results[f"rank_test_{name}"] = (1 + better).astype(np.int32)
    return results


def chosen(
    refit: str | Callable[..., Any], results: Mapping[str, Any], metric: str
) -> int:
    """Index of the beta that is chosen, checked where the user chooses it."""
    if not callable(refit):
        return int(results[f"rank_test_{metric}"].argmin())
    index: Any = refit(results)
    n_betas = len(results["params"])
    if not isinstance(index, Integral) or not 0 <= int(index) < n_betas:
        raise ValueError(
            f"refit must return the index of one of the {n_betas} betas, from 0 to "
            f"{n_betas - 1}, got {index!r}."
        )
    return int(index)
