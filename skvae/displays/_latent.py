"""Display of the latents: rows, rates and traversals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skvae.displays._axes import (
    NEUTRAL,
    as_images,
    axes_or_new,
    label_ticks,
    montage,
)
from skvae.displays._model import Seen, seen_by_model
from skvae.displays._scatter import draw_line, draw_plane
from skvae.displays._traversal import draw_moves, draw_pictures
from skvae.fitted._access import admitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]

KINDS = ("scatter", "rate", "traversal")


class LatentDisplay:
    """Latents of rows, the rate of each, and its effect on a decoded row.

    It is recommended to create a display with `from_estimator`.

    Parameters
    ----------
    latents : array-like of shape (n_samples, n_components)
        Posterior means.

    rate : array-like of shape (n_components,)
        Mean rate of each latent in nats per row.

    active : array-like of shape (n_components,), dtype=bool
        Latents that are active.

    steps : array-like of shape (n_steps,)
        Values of a latent along its traversal, in standard deviations of the prior.

    traversals : array-like of shape (n_components, n_steps, n_features)
        Decoder means along each latent, with the others at zero.

    spread : array-like of shape (n_features,), default=None
        Standard deviation of each feature, the unit in which a traversal is drawn. None
        takes that of the traversals.

    color : array-like of shape (n_samples,), default=None
        Numbers or classes to colour rows by.

    feature_names : sequence of str of length n_features, default=None
        None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the picture is.

    figure_ : matplotlib Figure
        Where the axes are.

    artist_ : matplotlib artist, or list of them
        Points of each class, bars, or the picture of the traversals.

    colorbar_ : matplotlib Colorbar or None
        Where there is one.

    components_ : ndarray of shape (n_shown,)
        Latents that are drawn, in their order.

    See Also
    --------
    ReconstructionDisplay : Rows and their reconstructions.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.displays import LatentDisplay
    >>> X, y = load_wine(return_X_y=True)
    >>> vae = BalancedVAE(3, max_iter=20, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(vae, X, color=y)
    >>> display.traversals.shape
    (3, 7, 13)
    >>> ax = display.plot(kind="rate").ax_  # doctest: +SKIP
    """

    def __init__(
        self,
        latents: ArrayLike,
        rate: ArrayLike,
        active: ArrayLike,
        *,
        steps: ArrayLike,
        traversals: ArrayLike,
        spread: ArrayLike | None = None,
        color: ArrayLike | None = None,
        feature_names: Sequence[str] | NDArray[np.str_] | None = None,
    ) -> None:
        self.latents, self.rate = np.asarray(latents), np.asarray(rate)
        self.active = np.asarray(active, dtype=bool)
        self.steps, self.traversals = np.asarray(steps), np.asarray(traversals)
        n_features = self.traversals.shape[-1]
        if spread is None:
            spread = self.traversals.std(axis=(0, 1))
        self.spread = np.asarray(spread)
        self.color = None if color is None else np.asarray(color)
        if self.color is not None and self.color.shape != (len(self.latents),):
            raise ValueError(
                f"color must have one value for each of the {len(self.latents)} rows, "
                f"got shape {self.color.shape}."
            )
        if feature_names is None:
            feature_names = [f"x{i}" for i in range(n_features)]
        self.feature_names = np.asarray(feature_names, dtype=str)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        color: ArrayLike | None = None,
        n_steps: int = 7,
        reach: float = 2.0,
    ) -> LatentDisplay:
        """Encode rows, and decode along each latent.

        Parameters
        ----------
        estimator : object
            A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.
            Traversals are of the rows that the model sees, after the other steps.

        X : array-like of shape (n_samples, n_features)
            Rows, as the estimator takes them.

        color : array-like of shape (n_samples,), default=None
            Numbers or classes to colour rows by.

        n_steps : int, default=7
            Steps of a traversal, at least 2.

        reach : float, default=2.0
            How far a traversal goes to either side, in standard deviations of the
            prior; above 0.

        Returns
        -------
        display : LatentDisplay
            Not drawn yet.
        """
        if n_steps < 2 or not reach > 0.0:
            raise ValueError(
                "n_steps must be at least 2 and reach above 0, got "
                f"n_steps={n_steps!r} and reach={reach!r}."
            )
        seen = seen_by_model(estimator, X, f"{cls.__name__}.from_estimator")
        vae, n_components = seen.vae, seen.vae.n_components_
        steps = np.linspace(-reach, reach, n_steps)
        Z = np.einsum("s,jk->jsk", steps, np.eye(n_components))
        decoded = np.asarray(vae.inverse_transform(Z.reshape(-1, n_components)))
        return cls(
            np.asarray(vae.transform(seen.rows)),
            _rate_of_each(seen),
            vae.active_units_,
            steps=steps,
            traversals=decoded.reshape(n_components, n_steps, -1),
            spread=seen.X.std(axis=0, dtype=float),
            color=color,
            feature_names=seen.names,
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "scatter",
        components: Sequence[int] | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> LatentDisplay:
        """Draw rows by their latents, rates of the latents, or traversals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        kind : {"scatter", "rate", "traversal"}, default="scatter"
            "scatter" has a point for each row and rings at one and two standard
            deviations of the prior; a histogram with a single latent. "rate" has a
            bar for each latent. "traversal" shows how the decoder's mean moves with
            each latent, in standard deviations of the features; as pictures with
            `image_shape`.

        components : sequence of int, default=None
            Latents to draw: one or two for "scatter". None takes the two of the largest
            rate, all of them, and the eight active ones of the largest rate.

        image_shape : sequence of int, default=None
            (height, width), or (height, width, 3) for colours in [0, 1], of a row.

        Returns
        -------
        self : LatentDisplay
            With the attributes of what was drawn.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
        self.colorbar_ = None
        self.components_ = self._chosen(kind, components)
        if kind == "rate":
            self._draw_rates(ax)
        elif kind == "traversal":
            self._draw_traversals(ax, image_shape)
        else:
            self._draw_rows(ax)
        self.figure_ = self.ax_.figure
        return self

    def _chosen(
        self, kind: str, components: Sequence[int] | None
    ) -> NDArray[np.integer]:
        """Latents to draw."""
        n_components = len(self.rate)
        if components is not None:
            chosen = np.asarray(components)
            if (
                chosen.ndim != 1
                or not chosen.size
                or not np.isin(chosen, np.arange(n_components)).all()
                or (kind == "scatter" and len(chosen) > 2)
            ):
                raise ValueError(
                    f"components must be numbers of the {n_components} latents, from 0"
                    f"{', at most two' if kind == 'scatter' else ''}; got "
                    f"{components!r}."
                )
            return chosen
        order = np.argsort(-self.rate, kind="stable")
        if kind == "scatter":
            return np.sort(order[:2])
        if kind == "traversal":
            order = order[self.active[order]]
            if not len(order):
                raise ValueError(
                    "No latent is active: all have collapsed to the prior, and a "
                    "traversal changes nothing. Lower beta, or name components."
                )
            return order[:8]
        return order

    def _draw_rows(self, ax: Axes | None) -> None:
        """Draw rows along one latent, or in the plane of two."""
        values = self.latents[:, self.components_]
        labels = [self._label(latent) for latent in self.components_]
        if values.shape[1] == 1:
            self.ax_ = axes_or_new(ax, self, (5.6, 3.6))
            self.artist_ = draw_line(self.ax_, values[:, 0], self.color)
        else:
            self.ax_ = axes_or_new(ax, self, (5.6, 4.8))
            self.artist_, self.colorbar_ = draw_plane(self.ax_, values, self.color)
            self.ax_.set_ylabel(labels[1])
        self.ax_.set_xlabel(labels[0])

    def _label(self, latent: int) -> str:
        """Name of a latent and its rate."""
        return f"latent {latent} ({self.rate[latent]:.2g} nats per row)"

    def _draw_rates(self, ax: Axes | None) -> None:
        """Draw the rate of each latent, those that have collapsed without a filling."""
        n_shown = len(self.components_)
        self.ax_ = ax = axes_or_new(ax, self, (5.0, min(8.0, 1.2 + 0.25 * n_shown)))
        is_active = self.active[self.components_]
        self.artist_ = []
        for label, shown in (("active", is_active), ("collapsed", ~is_active)):
            if shown.any():
                bars = ax.barh(
                    np.flatnonzero(shown),
                    self.rate[self.components_][shown],
                    color="C0" if label == "active" else "none",
                    edgecolor="C0" if label == "active" else NEUTRAL,
                    label=label,
                )
                self.artist_.append(bars)
        label_ticks(ax.yaxis, self.components_, max_labels=30)
        ax.invert_yaxis()
        ax.set(xlabel="rate (nats per row)", ylabel="latent")
        if not is_active.all():
            ax.legend(loc="lower right")

    def _draw_traversals(
        self, ax: Axes | None, image_shape: Sequence[int] | None
    ) -> None:
        """Draw how the decoder's mean moves with each latent in turn."""
        moved = self.traversals[self.components_]
        n_shown, _, n_features = moved.shape
        if image_shape is None:
            width = min(12.0, max(5.5, 3.4 + 0.8 * n_shown))
            self.ax_ = axes_or_new(ax, self, (width, min(12.0, 1.6 + 0.2 * n_features)))
            self.artist_, self.colorbar_ = draw_moves(
                self.ax_,
                moved / np.where(self.spread > 0.0, self.spread, 1.0),
                self.feature_names,
                self.components_,
                self.steps,
            )
        else:
            picture = montage(as_images(moved, image_shape))
            height, width = picture.shape[:2]
            self.ax_ = axes_or_new(ax, self, (5.0, 5.0 * height / width + 0.6))
            self.artist_ = draw_pictures(
                self.ax_, picture, self.components_, self.steps
            )


def _rate_of_each(seen: Seen) -> Floats:
    """Mean rate of each latent over rows, in nats."""
    fitted, X = admitted(seen.vae, seen.rows)
    posterior = fitted.on(seen.vae.device, X.dtype).posterior(X)
    return posterior.kl()[0].double().mean(dim=0).numpy()
