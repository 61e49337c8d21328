"""Scorers of one number, for every `scoring` parameter of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from skvae.fitted import _measures as measures
from skvae.fitted._measures import seen_by
from skvae.metrics._base_scorer import BaseScorer


class Scorer(BaseScorer):
    r"""Score of rows under a fitted model, as one number; greater is better.

    There is one instance for each number, under its name in `skvae.metrics`:

    - `elbo_scorer`, the mean evidence lower bound: the default score.
    - `neg_rate_scorer`, minus the mean rate.
    - `neg_distortion_scorer`, minus the mean distortion.
    - `log_likelihood_scorer`, the mean importance-weighted bound on the
      log-likelihood [1]_, from 100 draws for each row, always the same.
    - `active_units_scorer`, the number of latents whose posterior mean has a
      variance over the rows above 0.01 [1]_.

    All but the last are in nats per row.

    Parameters
    ----------
    score_func : callable
        Function of rows under a model and their weights that returns the number.

    See Also
    --------
    rate_distortion_scoring : Several metrics from one encoding of the rows.

    Notes
    -----
    The estimator is a fitted `BalancedVAE`, a Pipeline that ends in one, or a search
    over either. The steps before the model transform the rows first. The numbers are
    in the units of what they return; the Jacobian of these steps is not included.
    Models behind different scalers therefore cannot be compared by elbo, distortion
    or log-likelihood. Leave the scaling to the model, which accounts for it.

    Sample weights are used in the mean, or the variance, over rows. With metadata
    routing, request them with `set_score_request`. It changes the scorer itself, so
    use a clone, as the instances of this module are global:
    ``clone(elbo_scorer).set_score_request(sample_weight=True)``.

    References
    ----------
    .. [1] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted
       autoencoders", ICLR 2016. https://arxiv.org/abs/1509.00519

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import cross_val_score
    >>> from skvae import BalancedVAE
    >>> from skvae.metrics import active_units_scorer
    >>> vae = BalancedVAE(2, hidden_layer_sizes=(), max_iter=5, tol=10.0)
    >>> vae = vae.set_params(random_state=0)
    >>> cross_val_score(vae, load_wine().data, cv=3, scoring=active_units_scorer)
    array([2., 2., 2.])
    """

    # Before scikit-learn 1.8, weights that no scorer requests are dropped silently.
    __metadata_request__score = {"sample_weight": None}

    def __init__(self, score_func: Callable[..., float]) -> None:
        # The response method is not called: scikit-learn looks it up on the estimator
        # before it scores several metrics, and must find it.
        super().__init__(score_func, sign=1, kwargs={}, response_method="transform")

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
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
        score : float
            Greater is better.
        """
        return self._score_func(seen_by(estimator, X), sample_weight=sample_weight)

    def _score(self, method_caller: Any, *args: Any, **kwargs: Any) -> float:
        # Called by scikit-learn where several scorers share predictions.
        return self(*args, **kwargs)

    def __sklearn_clone__(self) -> Scorer:
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        return f"{self._score_func.__name__}_scorer"


elbo_scorer = Scorer(measures.elbo)
neg_rate_scorer = Scorer(measures.neg_rate)
neg_distortion_scorer = Scorer(measures.neg_distortion)
log_likelihood_scorer = Scorer(measures.log_likelihood)
active_units_scorer = Scorer(measures.active_units)
