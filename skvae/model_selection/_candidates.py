"""Scores of the candidates in the results of a search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_REMEDY = "Search with scoring=rate_distortion_scoring() from skvae.metrics."


class Candidates:
    """Scores of the candidates of a search; greater is better in all of them.

    Parameters
    ----------
    cv_results : dict of str to array-like
        As `cv_results_` of a search.
    needed_by : str
        Who asks, for messages.
    """

    def __init__(self, cv_results: Mapping[str, Any], needed_by: str) -> None:
        self.cv_results = cv_results
        self.needed_by = needed_by

    def mean(self, metric: str) -> Floats:
        """Mean over test folds of each candidate, shape (n_candidates,)."""
        key = f"mean_test_{metric}"
        if key not in self.cv_results:
            raise ValueError(
                f"{self.needed_by} needs {key!r} in cv_results, got "
                f"{self._scores_there()}. {_REMEDY}"
            )
        return np.asarray(self.cv_results[key], dtype=np.float64)

    def folds(self, metric: str) -> Floats:
        """Score in each test fold, of shape (n_folds, n_candidates)."""
        is_fold = re.compile(rf"split\d+_test_{metric}").fullmatch
        folds = [self.cv_results[key] for key in self.cv_results if is_fold(key)]
        if len(folds) < 2:
            raise ValueError(
                f"{self.needed_by} needs the scores of at least two test folds, as "
                f"'split0_test_{metric}' and so on, got {len(folds)}. Search with a cv "
                "of more folds."
            )
        return np.asarray(folds, dtype=np.float64)

    @property
    def elbo_metric(self) -> str:
        """Name of the elbo: a single metric has none, and the default one is it."""
        has_name = "mean_test_elbo" in self.cv_results
        return (
            "elbo" if has_name or "mean_test_score" not in self.cv_results else "score"
        )

    def simplicity(self) -> Floats:
        """Minus the rate of each candidate or else its beta, shape (n_candidates,)."""
        if "mean_test_neg_rate" in self.cv_results:
            return self.mean("neg_rate")
        is_beta = re.compile(r"param_(.+__)?beta").fullmatch
        betas = [self.cv_results[key] for key in self.cv_results if is_beta(key)]
        if len(betas) != 1 or np.ma.is_masked(betas[0]):
            raise ValueError(
                f"{self.needed_by} needs the rate of each candidate, as "
                "'mean_test_neg_rate' in cv_results, or one beta of each, as "
                f"'param_beta'; got {self._scores_there()}. {_REMEDY}"
            )
        return np.asarray(betas[0], dtype=np.float64)

    def usable(self, *scores: Floats) -> NDArray[np.intp]:
        """Candidates with finite scores; scikit-learn gives NaN to a fit that fails."""
        usable = np.flatnonzero(np.isfinite(scores).all(axis=0))
        if not len(usable):
            raise ValueError(
                f"{self.needed_by} found no candidate with finite scores in "
                "cv_results. Search with error_score='raise' to see why."
            )
        return usable

    def _scores_there(self) -> str:
        found = [repr(key) for key in self.cv_results if key.startswith("mean_test_")]
        return ", ".join(found) or "no test scores"
