"""Rules that choose a model from the results of a search, for its `refit`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.model_selection._candidates import Candidates

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class RefitRule:
    """A choice among the candidates of a search, for its `refit`.

    Made by `knee`, `one_standard_error`, `target_rate` and `target_distortion`.

    Parameters
    ----------
    choose : callable
        From `cv_results_` and the settings to an index.

    settings : tuple of (str, float)
        Keyword arguments of it.
    """

    choose: Callable[..., np.integer]
    settings: tuple[tuple[str, float], ...] = ()

    def __call__(self, cv_results: Mapping[str, Any]) -> int:
        """Choose a candidate.

        Parameters
        ----------
        cv_results : dict of str to array-like
            As `cv_results_` of a search.

        Returns
        -------
        index : int
            Of the candidate.
        """
        return int(self.choose(cv_results, **dict(self.settings)))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings)
        return f"{self.choose.__name__.removeprefix('_choose_')}({settings})"


def knee() -> RefitRule:
    r"""Choose the knee of the rate-distortion curve.

    Beyond the knee, more rate buys little distortion: a short code that keeps most of
    what can be kept. Use it where the latents are to be looked at or worked with, and
    the best elbo for a model of the density.

    Returns
    -------
    rule : RefitRule
        For the `refit` of a search with ``scoring=rate_distortion_scoring()``.

    Warns
    -----
    UserWarning
        If the curve has no knee: fewer than three candidates of which none is worse
        in both rate and distortion than another, or no bend. The best elbo is taken.

    See Also
    --------
    one_standard_error : Where the elbo matters, but not its last bit.

    Notes
    -----
    The point that is farthest below the chord of the curve is the knee [1]_,

    .. math::
        \max_i \; \frac{D_0 - D_i}{D_0 - D_1} - \frac{R_i - R_0}{R_1 - R_0}

    with the rates R and distortions D, means over the test folds, of the candidate i
    and of the ends of the curve, 0 and 1. A candidate that has more of both than
    another is never chosen; in the curve, the distortion of the other takes the place
    of its own. The curve is neither smoothed nor interpolated. Where it ends depends
    on the grid, and so does the knee: take betas from full collapse down to where the
    elbo falls again.

    References
    ----------
    .. [1] V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in
       a haystack: Detecting knee points in system behavior", ICDCS workshops 2011.

    Examples
    --------
    >>> from skvae.model_selection import knee
    >>> results = {
    ...     "mean_test_elbo": [-16.0, -11.5, -12.0, -15.0],
    ...     "mean_test_neg_rate": [-0.0, -1.5, -3.0, -6.5],
    ...     "mean_test_neg_distortion": [-16.0, -10.0, -9.0, -8.5],
    ... }
    >>> knee()(results)
    1
    """
    return RefitRule(_choose_knee)


def one_standard_error() -> RefitRule:
    r"""Choose the simplest model within one standard error of the best elbo.

    The simplest is that of the lowest rate: its latents say least about a row. Where
    the rate was not scored, that of the largest beta.

    Returns
    -------
    rule : RefitRule
        For the `refit` of a search with ``scoring=rate_distortion_scoring()``, or
        over beta with the elbo, which is the default score, as the only metric.

    See Also
    --------
    knee : Where a short code matters more than the elbo.

    Notes
    -----
    The standard error is that of the elbo of the best candidate, the standard
    deviation over the K test folds divided by :math:`\sqrt{K}` [1]_. It is far too
    large where folds are of different kinds, as those of a table sorted by class are:
    shuffle the rows with ``cv=KFold(shuffle=True)``. Of several candidates that are
    equally simple, the one with the best elbo is taken.

    References
    ----------
    .. [1] L. Breiman, J. H. Friedman, R. A. Olshen and C. J. Stone, "Classification
       and regression trees", Wadsworth 1984, section 3.4.3.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import GridSearchCV, KFold
    >>> from skvae import BalancedVAE
    >>> from skvae.model_selection import one_standard_error
    >>> vae = BalancedVAE(5, hidden_layer_sizes=(), max_iter=10, tol=10.0)
    >>> vae = vae.set_params(balance="constant", random_state=0)
    >>> search = GridSearchCV(
    ...     vae,
    ...     {"beta": [0.3, 0.4, 1.0]},
    ...     cv=KFold(3, shuffle=True, random_state=0),
    ...     refit=one_standard_error(),
    ... )
    >>> search.fit(load_wine().data).best_params_
    {'beta': 1.0}
    """
    return RefitRule(_choose_one_standard_error)


def target_rate(nats: float, *, tol: float = 0.0) -> RefitRule:
    """Choose the candidate whose rate is closest to a target.

    Parameters
    ----------
    nats : float
        Rate in nats per row, at least 0.

    tol : float, default=0.0
        Candidates that are as close as this, in nats per row, are as good as equal;
        of them, or of others that tie, the one with the best elbo is taken. For grids
        over more than beta.

    Returns
    -------
    rule : RefitRule
        For the `refit` of a search with ``scoring=rate_distortion_scoring()``.

    Warns
    -----
    UserWarning
        If the target is below or above what all candidates have. The closest is
        taken.

    See Also
    --------
    target_distortion : The other axis of the curve.
    skvae.balance.Control : Holds the rate at a target in one fit.

    Examples
    --------
    >>> from skvae.model_selection import target_rate
    >>> results = {
    ...     "mean_test_elbo": [-16.0, -11.5, -12.0, -15.0],
    ...     "mean_test_neg_rate": [-0.0, -1.5, -3.0, -6.5],
    ...     "mean_test_neg_distortion": [-16.0, -10.0, -9.0, -8.5],
    ... }
    >>> target_rate(4.0)(results)
    2
    """
    if not _is_finite(nats) or nats < 0:
        raise ValueError(
            "nats of target_rate must be a finite number of at least 0, in nats per "
            f"row, got {nats!r}."
        )
    return RefitRule(_choose_target_rate, _target("target_rate", nats, tol))


def target_distortion(nats: float, *, tol: float = 0.0) -> RefitRule:
    """Choose the candidate whose distortion is closest to a target.

    Parameters
    ----------
    nats : float
        Distortion in nats per row, with all constants and in the units of X. Below 0
        where densities are above 1.

    tol : float, default=0.0
        Candidates that are as close as this, in nats per row, are as good as equal;
        of them, or of others that tie, the one with the best elbo is taken. For grids
        over more than beta.

    Returns
    -------
    rule : RefitRule
        For the `refit` of a search with ``scoring=rate_distortion_scoring()``.

    Warns
    -----
    UserWarning
        If the target is below or above what all candidates have. The closest is
        taken.

    See Also
    --------
    target_rate : The other axis of the curve.
    skvae.balance.Geco : Holds the distortion at a target in one fit.

    Examples
    --------
    >>> from skvae.model_selection import target_distortion
    >>> results = {
    ...     "mean_test_elbo": [-16.0, -11.5, -12.0, -15.0],
    ...     "mean_test_neg_rate": [-0.0, -1.5, -3.0, -6.5],
    ...     "mean_test_neg_distortion": [-16.0, -10.0, -9.0, -8.5],
    ... }
    >>> target_distortion(10.2)(results)
    1
    """
    if not _is_finite(nats):
        raise ValueError(
            "nats of target_distortion must be a finite number, in nats per row, got "
            f"{nats!r}."
        )
    return RefitRule(_choose_target_distortion, _target("target_distortion", nats, tol))


def knee_of(rate: NDArray[np.floating], distortion: NDArray[np.floating]) -> int | None:
    """Index of the point that is farthest below the chord of a curve.

    Parameters
    ----------
    rate, distortion : ndarray of shape (n_points,)
        Finite, in any order.

    Returns
    -------
    index : int or None
        None where no point is below the chord: with fewer than three, or where the
        curve has no bend.
    """
    order = np.lexsort((distortion, rate))
    rate, distortion = rate[order], distortion[order]
    least = np.minimum.accumulate(distortion)
    run, drop = np.ptp(rate), np.ptp(least)
    if not (run > 0.0 and drop > 0.0):
        return None
    below = (least[0] - least) / drop - (rate - rate[0]) / run
    # The first of equal points has the least rate, and is its own least distortion.
    index = below.argmax()
    return int(order[index]) if below[index] > 1e-9 else None


def _choose_knee(cv_results: Mapping[str, Any]) -> np.integer:
    candidates = Candidates(cv_results, "knee")
    neg_rate = candidates.mean("neg_rate")
    neg_distortion = candidates.mean("neg_distortion")
    usable = candidates.usable(neg_rate, neg_distortion)
    at_knee = knee_of(-neg_rate[usable], -neg_distortion[usable])
    if at_knee is None:
        at_knee = int((neg_rate + neg_distortion)[usable].argmax())
        warnings.warn(
            f"The rate-distortion curve of {len(usable)} candidates has no knee; the "
            "one with the best elbo is taken. A knee needs at least three points and "
            "a bend: search over more betas, from full collapse down to where the "
            "elbo falls again.",
            UserWarning,
            stacklevel=3,
        )
    return usable[at_knee]


def _choose_one_standard_error(cv_results: Mapping[str, Any]) -> np.integer:
    candidates = Candidates(cv_results, "one_standard_error")
    elbo = candidates.mean(candidates.elbo_metric)
    folds = candidates.folds(candidates.elbo_metric)
    simplicity = candidates.simplicity()
    usable = candidates.usable(elbo, simplicity)
    best = usable[elbo[usable].argmax()]
    error = folds[:, best].std(ddof=1) / np.sqrt(len(folds))
    within = usable[elbo[usable] >= elbo[best] - error]
    return within[np.lexsort((elbo[within], simplicity[within]))[-1]]


def _choose_target_rate(cv_results: Mapping[str, Any], **target: float) -> np.integer:
    return _choose_closest(cv_results, "rate", **target)


def _choose_target_distortion(
    cv_results: Mapping[str, Any], **target: float
) -> np.integer:
    return _choose_closest(cv_results, "distortion", **target)


def _choose_closest(
    cv_results: Mapping[str, Any], name: str, nats: float, tol: float = 0.0
) -> np.integer:
    candidates = Candidates(cv_results, f"target_{name}")
    neg_rate = candidates.mean("neg_rate")
    neg_distortion = candidates.mean("neg_distortion")
    usable = candidates.usable(neg_rate, neg_distortion)
    elbo = (neg_rate + neg_distortion)[usable]
    values = -(neg_rate if name == "rate" else neg_distortion)[usable]
    distance = np.maximum(np.abs(values - nats) - tol, 0.0)
    closest = np.lexsort((-elbo, distance))[0]
    low, high = values.min(), values.max()
    if not low - tol <= nats <= high + tol:
        direction = "smaller" if (nats > high) == (name == "rate") else "larger"
        warnings.warn(
            f"A {name} of {nats:.4g} nats per row is out of reach: the candidates have "
            f"{low:.4g} to {high:.4g}. The closest is taken, with "
            f"{values[closest]:.4g}. Search {direction} betas.",
            UserWarning,
            stacklevel=4,
        )
    return usable[closest]


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _target(rule: str, nats: float, tol: float) -> tuple[tuple[str, float], ...]:
    """Checked settings, without those that are left at their default."""
    if not _is_finite(tol) or tol < 0:
        raise ValueError(
            f"tol of {rule} must be a finite number of at least 0, in nats per row, "
            f"got {tol!r}."
        )
    return (("nats", nats), ("tol", tol)) if tol else (("nats", nats),)
