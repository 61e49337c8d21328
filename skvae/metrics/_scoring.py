"""Several metrics from one encoding of the rows."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from skvae.fitted import _measures as measures
from skvae.fitted._measures import seen_by


class RateDistortionScoring(BaseEstimator):
    """Several scores of a fitted model from one encoding of the rows.

    See `rate_distortion_scoring`, which makes it.

    Parameters
    ----------
    n_importance_samples : int or None, default=None
        Draws for each row for "log_likelihood". None leaves it out.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.metrics import RateDistortionScoring
    >>> X = load_wine().data
    >>> vae = BalancedVAE(2, hidden_layer_sizes=(8,), max_iter=5, tol=10.0)
    >>> vae = vae.set_params(random_state=0).fit(X)
    >>> scores = RateDistortionScoring(n_importance_samples=10)(vae, X)
    >>> scores["log_likelihood"] > scores["elbo"]
    True
    """

    # The estimator is what is scored; a parameter not named X would count as metadata.
    __metadata_request__score = {"estimator": UNUSED}

    def __init__(self, n_importance_samples: int | None = None) -> None:
        self.n_importance_samples = n_importance_samples

    def score(
        self,
        estimator: Any,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]:
        """Score rows.

        Parameters
        ----------
        estimator : object
            A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.

        X : array-like of shape (n_samples, n_features)
            Rows.

        y : None
            Ignored.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, at least 0 and not all 0.

        Returns
        -------
        scores : dict of str to float
            "elbo", "neg_rate", "neg_distortion" and, with `n_importance_samples`,
            "log_likelihood" in nats per row, and "active_units"; greater is better.
        """
        seen = seen_by(estimator, X)
        scores = measures.measures_of(seen, sample_weight)
        if self.n_importance_samples is not None:
            scores["log_likelihood"] = measures.log_likelihood(
                seen, sample_weight, self.n_importance_samples
            )
        return scores

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]:
        """Score rows, as `score` does."""
        return self.score(estimator, X, y, sample_weight)


def rate_distortion_scoring(
    n_importance_samples: int | None = None,
) -> RateDistortionScoring:
    """Make a callable for `scoring` that gives all metrics from one encoding.

    With it, the `cv_results_` of a search hold what the refit rules of
    `skvae.model_selection` and a rate-distortion curve need, at the price of one
    metric.

    Parameters
    ----------
    n_importance_samples : int or None, default=None
        Draws for each row for the metric "log_likelihood", at least 1. None leaves it
        out, as it costs as much again as all others for each 32 draws.

    Returns
    -------
    scoring : RateDistortionScoring
        Returns the metrics "elbo", "neg_rate", "neg_distortion" and "active_units" as
        a dict. A search over it needs `refit`: one of these names, or a rule.

    See Also
    --------
    Scorer : One metric each, where `scoring` must be a single number.
    skvae.model_selection.knee : A rule that uses these metrics.

    Notes
    -----
    The notes of `Scorer` on pipelines, units, sample weights and routing apply here
    too; each call makes a new object, so that none needs to be cloned.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import cross_validate
    >>> from skvae import BalancedVAE
    >>> from skvae.metrics import rate_distortion_scoring
    >>> vae = BalancedVAE(2, hidden_layer_sizes=(), max_iter=5, tol=10.0)
    >>> vae = vae.set_params(random_state=0)
    >>> scoring = rate_distortion_scoring()
    >>> scores = cross_validate(vae, load_wine().data, cv=3, scoring=scoring)
    >>> [name for name in scores if name.startswith("test_")]
    ['test_elbo', 'test_neg_rate', 'test_neg_distortion', 'test_active_units']
    """
    return RateDistortionScoring(n_importance_samples)
