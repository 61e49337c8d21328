"""Distortion against rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skvae.displays._axes import (
    NEUTRAL,
    annotate_apart,
    axes_or_new,
    limits_kept,
    short_number,
)
from skvae.displays._linear_reference import linear_models
from skvae.displays._model import seen_by_model
from skvae.displays._search_results import scores_of, settings_over_beta
from skvae.model_selection._rules import knee_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]


class RateDistortionDisplay:
    r"""Distortion against rate of several models, in nats per row.

    The lower left is better. Along a straight line of slope -1 the elbo is the same;
    the lowest such line that touches the curve touches it where beta = 1 is best. It is
    recommended to create a display with one of the class methods.

    Parameters
    ----------
    rate, distortion : array-like of shape (n_points,) or (n_points, n_folds)
        In nats per row. A point with a value that is not finite is not drawn.

    betas : array-like of shape (n_points,), default=None
        Weight of the rate of each point. Points are joined in the order of beta, or
        of the rate without it.

    bound : tuple of two ndarrays of shape (n_bound,), default=None
        Rate and distortion of the linear bound.

    pca : tuple of two floats, default=None
        Rate and distortion of probabilistic PCA.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the curve is.

    figure_ : matplotlib Figure
        Where the axes are.

    line_ : matplotlib Line2D
        The curve through the means over folds.

    errorbar_ : matplotlib ErrorbarContainer or None
        One standard deviation over folds to either side; None without folds.

    elbo_line_ : matplotlib AxLine or None
        Line of the best point's elbo; None with a single point.

    knee_ : matplotlib Line2D or None
        Ring around the knee; None where the curve has none.

    bound_line_, pca_point_ : matplotlib Line2D or None
        The linear models; None where they were not given.

    annotations_ : list of matplotlib Annotation
        The betas.

    See Also
    --------
    HistoryDisplay : The same terms over the epochs of one training.

    Notes
    -----
    The bound is the optimum of linear models with any number of latents: the Gaussian
    rate-distortion function of the (standardized) covariance [1]_, its squared error in
    nats at the optimal decoder variance, one for each column as in a calibrated
    `BalancedVAE`. A model below it has found structure that is not Gaussian, or
    has weighed the columns better. It is computed on X itself, and so is a little
    lower than linear models reach on new rows.

    The knee is the point that is farthest below the chord of the curve, in units of
    its ends [2]_. It is a rule of thumb for a small representation; the best elbo is
    usually at a higher rate.

    References
    ----------
    .. [1] T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd ed.,
       Wiley 2006, Theorem 10.3.3.
    .. [2] V. Satopaa, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in
       a haystack: Detecting knee points in system behavior", ICDCS workshops 2011.
    .. [3] A. A. Alemi, B. Poole, I. Fischer, J. V. Dillon, R. A. Saurous and
       K. Murphy, "Fixing a broken ELBO", ICML 2018. https://arxiv.org/abs/1711.00464

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.displays import RateDistortionDisplay
    >>> X = load_wine().data
    >>> settings = dict(balance="constant", hidden_layer_sizes=(), max_iter=20)
    >>> models = [
    ...     BalancedVAE(5, beta=beta, random_state=0, **settings).fit(X)
    ...     for beta in (0.1, 0.3, 1.0)
    ... ]
    >>> display = RateDistortionDisplay.from_estimators(models, X)
    >>> display.rate.shape
    (3,)
    >>> ax = display.plot().ax_  # doctest: +SKIP
    """

    def __init__(
        self,
        rate: ArrayLike,
        distortion: ArrayLike,
        *,
        betas: ArrayLike | None = None,
        bound: tuple[Floats, Floats] | None = None,
        pca: tuple[float, float] | None = None,
    ) -> None:
        self.rate, self.distortion = np.asarray(rate), np.asarray(distortion)
        self.betas = None if betas is None else np.asarray(betas)
        self.bound, self.pca = bound, pca
        shape = self.rate.shape
        if shape != self.distortion.shape or len(shape) not in (1, 2):
            raise ValueError(
                "rate and distortion must both be of shape (n_points,) or (n_points, "
                f"n_folds), got {shape} and {self.distortion.shape}."
            )
        if self.betas is not None and self.betas.shape != shape[:1]:
            raise ValueError(
                f"betas must be of shape (n_points,), here {shape[:1]}, got "
                f"{self.betas.shape}."
            )

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        where: Mapping[str, Any] | None = None,
        X: ArrayLike | None = None,
        n_components: int | str = "auto",
        standardize: bool | str = True,
    ) -> RateDistortionDisplay:
        """Display the held-out rate and distortion that a search has found.

        Parameters
        ----------
        cv_results : dict
            `cv_results_` of a search over beta whose scorer gives "neg_rate" and
            "neg_distortion", as `skvae.metrics.rate_distortion_scoring()` does.

        where : dict, default=None
            Values of the other parameters that the search varied, by the names in its
            grid: they select one of its curves.

        X : array-like of shape (n_samples, n_features), default=None
            Rows as the model sees them, after the other steps of a Pipeline. With
            them, linear models are drawn too.

        n_components : int or "auto", default="auto"
            Number of latents of PCA; "auto" as in `BalancedVAE`.

        standardize : bool or "robust", default=True
            Whether linear models work on standardized columns, as `BalancedVAE` does.

        Returns
        -------
        display : RateDistortionDisplay
            Not drawn yet.
        """
        rate, distortion = (
            -scores_of(cv_results, name) for name in ("neg_rate", "neg_distortion")
        )
        chosen, betas = settings_over_beta(cv_results, where or {})
        linear = linear_models(
            rate[chosen], X, n_components=n_components, standardize=standardize
        )
        return cls(rate[chosen], distortion[chosen], betas=betas, **linear)

    @classmethod
    def from_path(
        cls,
        path: Any,
        *,
        X: ArrayLike | None = None,
        n_components: int | str = "auto",
        standardize: bool | str = True,
    ) -> RateDistortionDisplay:
        """Display a path of betas.

        Parameters
        ----------
        path : object with `betas`, `rate` and `distortion`
            Arrays of shape (n_betas,), and (n_betas,) or (n_betas, n_folds) for the
            last two, in nats per row.

        X : array-like of shape (n_samples, n_features), default=None
            Rows as the model sees them. With them, linear models are drawn too.

        n_components : int or "auto", default="auto"
            Number of latents of PCA; "auto" as in `BalancedVAE`.

        standardize : bool or "robust", default=True
            Whether linear models work on standardized columns, as `BalancedVAE` does.

        Returns
        -------
        display : RateDistortionDisplay
            Not drawn yet.
        """
        linear = linear_models(
            np.asarray(path.rate), X, n_components=n_components, standardize=standardize
        )
        return cls(path.rate, path.distortion, betas=path.betas, **linear)

    @classmethod
    def from_estimators(
        cls, estimators: Sequence[Any], X: ArrayLike, *, linear: bool = True
    ) -> RateDistortionDisplay:
        """Display the mean rate and distortion of fitted models on the same rows.

        Parameters
        ----------
        estimators : sequence of BalancedVAE, or of Pipelines that end in one
            Fitted.

        X : array-like of shape (n_samples, n_features)
            Rows, as the estimators take them.

        linear : bool, default=True
            Whether to draw linear models of the rows too: PCA with as many latents as
            the largest of the estimators has, and the bound. They are left out where an
            estimator has a likelihood without a variance, or
            ``standardize="quantile"``: then the distortion is not that of a density.

        Returns
        -------
        display : RateDistortionDisplay
            Not drawn yet.
        """
        estimators = list(estimators)
        if not estimators:
            raise ValueError(
                "estimators must hold at least one fitted model, got none."
            )
        seen = [
            seen_by_model(estimator, X, f"{cls.__name__}.from_estimators")
            for estimator in estimators
        ]
        terms = [vae.rate_distortion(rows) for vae, rows, _ in seen]
        rate = np.array([rate.mean(dtype=float) for rate, _ in terms])
        vaes = [vae for vae, *_ in seen]
        models: dict[str, Any] = {}
        is_density = all(
            vae.variance_ is not None and vae.standardize != "quantile" for vae in vaes
        )
        if linear and is_density:
            models = linear_models(
                rate,
                seen[0].rows,
                n_components=max(vae.n_components_ for vae in vaes),
                standardize=vaes[0].standardize,
                per_feature=any(np.ndim(vae.variance_) == 1 for vae in vaes),
            )
        return cls(
            rate,
            np.array([distortion.mean(dtype=float) for _, distortion in terms]),
            betas=np.array([vae.beta_ for vae in vaes]),
            **models,
        )

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, knee: bool = True
    ) -> RateDistortionDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        name : str, default=None
            Name of the curve in the legend.

        knee : bool, default=True
            Whether to mark the knee.

        Returns
        -------
        self : RateDistortionDisplay
            With the attributes of what was drawn.
        """
        rate, distortion, deviation, betas = self._points()
        ax = axes_or_new(ax, self, (6.0, 4.5))
        (self.line_,) = ax.plot(rate, distortion, "o-", ms=4, label=name or "models")
        color = self.line_.get_color()
        self.errorbar_ = None
        if deviation is not None:
            self.errorbar_ = ax.errorbar(
                rate,
                distortion,
                xerr=deviation[0],
                yerr=deviation[1],
                fmt="none",
                ecolor=color,
                elinewidth=1,
                capsize=2,
            )
        ax.margins(x=0.12, y=0.08)
        self._draw_linear(ax, makes_room=len(rate) == 1)
        self._draw_elbo(ax, rate, distortion)
        at_knee = knee_of(rate, distortion) if knee else None
        self.knee_ = None
        if at_knee is not None:
            label = "knee"
            if betas is not None:
                label += f", beta = {short_number(betas[at_knee])}"
            (self.knee_,) = ax.plot(
                rate[at_knee],
                distortion[at_knee],
                "o",
                ms=12,
                mfc="none",
                mec=color,
                mew=1.5,
                label=label,
            )
        self.annotations_ = []
        if betas is not None:
            texts = [short_number(beta) for beta in betas]
            places = np.column_stack([rate, distortion])
            self.annotations_ = annotate_apart(ax, places, texts, at_knee or 0)
        ax.set(xlabel="rate (nats per row)", ylabel="distortion (nats per row)")
        ax.legend(loc="upper right")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _points(self) -> tuple[Floats, Floats, tuple[Floats, Floats] | None, Any]:
        """Finite points in order: means and standard deviations over folds, betas."""
        rate, distortion, deviation = self.rate, self.distortion, None
        if rate.ndim == 2:
            with np.errstate(invalid="ignore"):
                deviation = (rate.std(axis=1), distortion.std(axis=1))
            rate, distortion = rate.mean(axis=1), distortion.mean(axis=1)
        finite = np.isfinite(rate) & np.isfinite(distortion)
        if not finite.any():
            raise ValueError(
                f"None of the {len(rate)} points has a finite rate and distortion. "
                "Look for failed fits: error_score='raise' shows the first."
            )
        key = rate if self.betas is None else self.betas
        order = np.argsort(key, kind="stable")
        order = order[finite[order]]
        if deviation is not None:
            deviation = (deviation[0][order], deviation[1][order])
        betas = None if self.betas is None else self.betas[order]
        return rate[order], distortion[order], deviation, betas

    def _draw_linear(self, ax: Axes, makes_room: bool) -> None:
        """Draw the linear models; the bound extends far beyond a curve's end."""
        self.bound_line_ = self.pca_point_ = None
        if self.pca is not None:
            (self.pca_point_,) = ax.plot(
                *self.pca, "s", color=NEUTRAL, ms=6, label="probabilistic PCA"
            )
        if self.bound is not None:
            with nullcontext() if makes_room else limits_kept(ax):
                (self.bound_line_,) = ax.plot(
                    *self.bound, "--", color=NEUTRAL, lw=1.2, label="linear bound"
                )

    def _draw_elbo(self, ax: Axes, rate: Floats, distortion: Floats) -> None:
        """Draw the line of the best elbo."""
        self.elbo_line_ = None
        if len(rate) > 1:
            place = (0.0, (rate + distortion).min())
            with limits_kept(ax):
                self.elbo_line_ = ax.axline(
                    place,
                    slope=-1.0,
                    ls=":",
                    color=NEUTRAL,
                    lw=1,
                    zorder=0,
                    label="best elbo",
                )
