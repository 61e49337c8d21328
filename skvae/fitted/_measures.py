"""Scores of rows under a fitted model, from one encoding of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skvae._sklearn_compat import check_sample_weight
from skvae.fitted._access import admitted
from skvae.fitted._attributes import MIN_ACTIVITY
from skvae.fitted._pipeline import model_and_rows

Floats = NDArray[np.floating]


@dataclass
class Seen:
    """Rows under a fitted model, encoded when they are first needed, and once."""

    vae: Any
    """The model."""
    X: Any
    """Rows as they reach it."""

    @cached_property
    def scored(self) -> Any:
        """Rate, distortion of each cell and posterior mean."""
        fitted, X = admitted(self.vae, self.X)
        return fitted.on(self.vae.device, X.dtype).score(X)

    @property
    def rate(self) -> Floats:
        """Rate of each row, shape (n_samples,)."""
        return self.scored.rate

    @property
    def distortion(self) -> Floats:
        """Distortion of each row, shape (n_samples,)."""
        return self.scored.distortion


def seen_by(estimator: Any, X: Any) -> Seen:
    """Find the model in an estimator, and bring rows to it.

    Parameters
    ----------
    estimator : object
        A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.
    X : array-like of shape (n_samples, n_features)
        Rows as the estimator takes them.
    """
    return Seen(*model_and_rows(estimator, X, "A scorer of skvae"))


def _mean(nats: Floats, sample_weight: ArrayLike | None) -> float:
    weight = check_sample_weight(sample_weight, nats)
    return float(np.average(nats.astype(np.float64), weights=weight))


def elbo(seen: Seen, sample_weight: ArrayLike | None = None) -> float:
    """Mean evidence lower bound, with weight 1."""
    return _mean(-(seen.rate + seen.distortion), sample_weight)


def neg_rate(seen: Seen, sample_weight: ArrayLike | None = None) -> float:
    """Minus the mean rate."""
    return _mean(-seen.rate, sample_weight)


def neg_distortion(seen: Seen, sample_weight: ArrayLike | None = None) -> float:
    """Minus the mean distortion."""
    return _mean(-seen.distortion, sample_weight)


def log_likelihood(
    seen: Seen,
    sample_weight: ArrayLike | None = None,
    n_importance_samples: int = 100,
) -> float:
    """Mean importance-weighted bound on the log-likelihood."""
    bound = seen.vae.log_likelihood(seen.X, n_importance_samples)
    return _mean(bound, sample_weight)


def active_units(seen: Seen, sample_weight: ArrayLike | None = None) -> float:
    """Latents whose posterior mean varies over the rows."""
    mean = seen.scored.mean.astype(np.float64)
    weight = check_sample_weight(sample_weight, mean)
    deviation = mean - np.average(mean, axis=0, weights=weight)
    activity = np.average(deviation**2, axis=0, weights=weight)
    return float((activity > MIN_ACTIVITY).sum())


def measures_of(seen: Seen, sample_weight: ArrayLike | None = None) -> dict[str, float]:
    """All measures that come from one encoding, by their names; greater is better."""
    measures = (elbo, neg_rate, neg_distortion, active_units)
    return {measure.__name__: measure(seen, sample_weight) for measure in measures}
