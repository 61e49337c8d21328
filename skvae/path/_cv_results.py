"""Results of a search from the scores of test folds, and the choice of a beta."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skvae.path._path import BetaPath

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
    path: BetaPath, score: Floats | None, *, halving: bool
) -> dict[str, Any]:
    """Scores of a path under the names that the `cv_results_` of a search have.

    Parameters
    ----------
    path : BetaPath
        Of several folds.
    score : ndarray of shape (n_betas, n_folds) or None
        A metric beside those of the path.
    halving : bool
        Whether to add the number of epochs that models were trained for.
    """
    betas = path.betas
    metrics = {
        "elbo": path.elbo,
        "neg_rate": -path.rate,
        "neg_distortion": -path.distortion,
        "active_units": path.active_units,
    }
    if score is not None:
        metrics["score"] = score
    seconds = {"fit_time": path.fit_time, "score_time": path.score_time}
    results: dict[str, Any] = {}
    for name, spent in seconds.items():
        results[f"mean_{name}"] = spent.mean(axis=1)
        results[f"std_{name}"] = spent.std(axis=1)
    results["param_beta"] = np.ma.MaskedArray(betas, mask=False)
    results["params"] = [{"beta": float(beta)} for beta in betas]
    n_complete = path.is_complete.sum(axis=1)
    if halving:
        for fold, n_iter in enumerate(path.n_iter.T):
            results[f"split{fold}_n_iter"] = n_iter
        results["mean_n_iter"] = path.n_iter.mean(axis=1)
        results["n_complete"] = n_complete
    for name, scores in metrics.items():
        for fold, of_fold in enumerate(scores.T):
            results[f"split{fold}_test_{name}"] = of_fold
        mean = scores.mean(axis=1)
        results[f"mean_test_{name}"] = mean
        results[f"std_test_{name}"] = scores.std(axis=1)
        results[f"rank_test_{name}"] = _ranks(mean, n_complete > 0)
    return results


def _ranks(mean: Floats, is_candidate: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Ranks of the candidates, and after them of all others.

    As in a search ties get the best rank, and NaN is last.
    """
    known = np.where(np.isnan(mean), -np.inf, mean)
    is_better = (known > known[:, None]) & (is_candidate == is_candidate[:, None])
    is_better |= is_candidate & ~is_candidate[:, None]
    ranks: NDArray[np.int32] = (1 + is_better.sum(axis=1)).astype(np.int32)
    return ranks


def chosen(
    refit: str | Callable[..., Any], results: Mapping[str, Any], metric: str
) -> int:
    """Index of the beta that is chosen, checked where the user chooses it."""
    if not callable(refit):
        return int(results[f"rank_test_{metric}"].argmin())
    candidates = np.arange(len(results["params"]))
    if "n_complete" in results:
        candidates = np.flatnonzero(results["n_complete"])
        results = {name: _taken(each, candidates) for name, each in results.items()}
    index: Any = refit(results)
    n_betas = len(candidates)
    if not isinstance(index, Integral) or not 0 <= int(index) < n_betas:
        raise ValueError(
            f"refit must return the index of one of the {n_betas} betas, from 0 to "
            f"{n_betas - 1}, got {index!r}."
        )
    return int(candidates[index])


def _taken(values: Any, index: NDArray[np.intp]) -> Any:
    """Some entries of a result, which is an array or a list."""
    return [values[i] for i in index] if isinstance(values, list) else values[index]
