"""Rate, distortion and beta from the results of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def scores_of(cv_results: Mapping[str, Any], name: str) -> Floats:
    """Test scores of each setting, by fold if they are there."""
    splits = [
        key
        for key in cv_results
        if key.startswith("split") and key.endswith(f"_test_{name}")
    ]
    if splits:
        # In the order in which the search wrote them.
        return np.column_stack([np.asarray(cv_results[key], float) for key in splits])
    if f"mean_test_{name}" not in cv_results:
        raise ValueError(
            f"cv_results lacks 'mean_test_{name}'. Search with "
            "scoring=skvae.metrics.rate_distortion_scoring(), and refit='elbo'."
        )
    return np.asarray(cv_results[f"mean_test_{name}"], float)


def settings_over_beta(
    cv_results: Mapping[str, Any], where: Mapping[str, Any]
) -> tuple[NDArray[np.intp], Floats]:
    """Settings that differ in beta alone, and their betas."""
    params = [dict(setting) for setting in cv_results["params"]]
    names = {name for setting in params for name in setting}
    beta_names = sorted(name for name in names if name.split("__")[-1] == "beta")
    if len(beta_names) != 1:
        raise ValueError(
            "cv_results must be of a search over one parameter named beta, such as "
            f"'balancedvae__beta', got {sorted(names)}."
        )
    (beta_name,) = beta_names
    unknown = sorted(set(where) - names)
    if unknown:
        raise ValueError(
            f"where names {unknown}, but the search varied {sorted(names)}."
        )
    chosen = [
        i
        for i, setting in enumerate(params)
        if beta_name in setting
        and all(name in setting and setting[name] == where[name] for name in where)
    ]
    if not chosen:
        raise ValueError(f"No setting of the search has beta and {dict(where)}.")
    others = {
        name: {repr(params[i].get(name)) for i in chosen}
        for name in names - {beta_name}
    }
    mixed = sorted(name for name, values in others.items() if len(values) > 1)
    if mixed:
        example = {mixed[0]: params[chosen[0]].get(mixed[0])}
        raise ValueError(
            f"The search varied {mixed} besides {beta_name!r}, which would join points "
            f"of different curves. Choose one with where={example!r}."
        )
    return np.array(chosen), np.array([params[i][beta_name] for i in chosen], float)
