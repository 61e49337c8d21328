"""Display of rows and their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skvae.displays._axes import as_images, axes_or_new, label_ticks, montage
from skvae.displays._model import seen_by_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar

Floats = NDArray[np.floating]

KINDS = ("cells", "residuals", "images")


class ReconstructionDisplay:
    """Display of rows and their reconstructions, cell by cell or as pictures.

    It is recommended to create a display with `from_estimator`.

    Parameters
    ----------
    X, reconstruction : array-like of shape (n_samples, n_features)
        Rows, and the decoder's mean at their posterior means, in the same units.

    cells : array-like of shape (n_samples, n_features)
        Negative log-likelihood of each cell in nats, as `score_cells` returns it.

    feature_names : sequence of str of length n_features, default=None
        None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the picture is.

    figure_ : matplotlib Figure
        Where the axes are.

    image_ : matplotlib AxesImage
        The heat map, or the pictures.

    colorbar_ : matplotlib Colorbar or None
        None for pictures.

    rows_ : ndarray of shape (n_shown,)
        Which rows are drawn, in their order.

    See Also
    --------
    LatentDisplay : Latents and their rates.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.displays import ReconstructionDisplay
    >>> X = load_wine().data
    >>> vae = BalancedVAE(2, max_iter=20, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(vae, X[:10])
    >>> display.cells.shape
    (10, 13)
    >>> ax = display.plot(kind="residuals").ax_  # doctest: +SKIP
    """

    def __init__(
        self,
        X: ArrayLike,
        reconstruction: ArrayLike,
        cells: ArrayLike,
        *,
        feature_names: Sequence[str] | NDArray[np.str_] | None = None,
    ) -> None:
        self.X, self.reconstruction = np.asarray(X), np.asarray(reconstruction)
        self.cells = np.asarray(cells)
        shapes = [part.shape for part in (self.X, self.reconstruction, self.cells)]
        if len(set(shapes)) > 1 or len(shapes[0]) != 2:
            raise ValueError(
                "X, reconstruction and cells must be of one shape (n_samples, "
                f"n_features), got {', '.join(map(str, shapes))}."
            )
        n_features = shapes[0][1]
        if feature_names is None:
            feature_names = [f"x{i}" for i in range(n_features)]
        if len(feature_names) != n_features:
            raise ValueError(
                f"feature_names must name {n_features} features, got "
                f"{len(feature_names)} names."
            )
        self.feature_names = np.asarray(feature_names, dtype=str)

    @classmethod
    def from_estimator(cls, estimator: Any, X: ArrayLike) -> ReconstructionDisplay:
        """Reconstruct rows and score their cells.

        Parameters
        ----------
        estimator : object
            A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.
            Rows are reconstructed as the model sees them, after the other steps.

        X : array-like of shape (n_samples, n_features)
            Rows, as the estimator takes them.

        Returns
        -------
        display : ReconstructionDisplay
            Not drawn yet.
        """
        seen = seen_by_model(estimator, X, f"{cls.__name__}.from_estimator")
        vae, rows, names = seen
        return cls(
            seen.X,
            np.asarray(vae.inverse_transform(np.asarray(vae.transform(rows)))),
            vae.score_cells(rows),
            feature_names=names,
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "cells",
        n_rows: int = 30,
        image_shape: Sequence[int] | None = None,
    ) -> ReconstructionDisplay:
        """Draw rows and their reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        kind : {"cells", "residuals", "images"}, default="cells"
            "cells" is a heat map of how many nats a cell costs above the median of its
            column, with the rows of the largest distortion on top. "residuals" is
            X - reconstruction for the same rows, in units of each column's root mean
            square. "images" shows rows above their reconstructions, in the order of X.

        n_rows : int, default=30
            How many rows to draw at most, at least 1; columns of pictures for "images".

        image_shape : sequence of int, default=None
            (height, width), or (height, width, 3) for colours in [0, 1]: the shape of
            a row for "images", which needs it.

        Returns
        -------
        self : ReconstructionDisplay
            With the attributes of what was drawn.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
        if n_rows < 1:
            raise ValueError(f"n_rows must be at least 1, got {n_rows!r}.")
        if kind == "images":
            if image_shape is None:
                raise ValueError(
                    "kind='images' needs image_shape=(height, width), the shape of one "
                    "row."
                )
            self._draw_images(ax, n_rows, image_shape)
        else:
            self._draw_heat_map(ax, kind, n_rows)
        self.figure_ = self.ax_.figure
        return self

    def _draw_images(
        self, ax: Axes | None, n_rows: int, image_shape: Sequence[int]
    ) -> None:
        """Draw rows above their reconstructions, on one scale of grey."""
        self.rows_ = np.arange(min(n_rows, len(self.X)))
        pairs = np.stack([part[self.rows_] for part in (self.X, self.reconstruction)])
        picture = montage(as_images(pairs.astype(float), image_shape))
        height, width = picture.shape[:2]
        across = min(12.0, max(3.0, 0.8 * len(self.rows_)))
        self.ax_ = axes_or_new(ax, self, (across, across * height / width + 0.2))
        shown = self.X[self.rows_]
        # One scale for both: what is beyond the rows' range is shown as its end.
        self.image_ = self.ax_.imshow(
            picture, cmap="gray", vmin=shown.min(), vmax=shown.max()
        )
        self.colorbar_: Colorbar | None = None
        self.ax_.set_xticks([])
        self.ax_.set_yticks(
            [0.25 * height, 0.75 * height], ["row", "reconstruction"], fontsize=8
        )
        self.ax_.tick_params(length=0)
        self.ax_.spines[:].set_visible(False)

    def _draw_heat_map(self, ax: Axes | None, kind: str, n_rows: int) -> None:
        """Draw cells or residuals of the rows that are explained worst."""
        worst = np.argsort(-self.cells.sum(axis=1), kind="stable")
        self.rows_ = worst[:n_rows]
        n_shown, n_features = len(self.rows_), self.X.shape[1]
        size = (
            min(14.0, max(4.0, 2.2 + 0.25 * n_features)),
            min(12.0, max(4.0, 2.2 + 0.18 * n_shown)),
        )
        self.ax_ = axes_or_new(ax, self, size)
        if kind == "cells":
            values = self.cells - np.median(self.cells, axis=0)
            label, cmap, low = "nats above the column's median", "viridis", 0.0
        else:
            values = self.X - self.reconstruction
            size_of = np.sqrt(np.mean(np.square(values), axis=0))
            values = values / np.where(size_of > 0.0, size_of, 1.0)
            label, cmap, low = "residual / root mean square", "RdBu_r", None
        values = values[self.rows_]
        # One cell in a hundred may be off the scale, or nothing else has a colour.
        high = float(np.quantile(np.abs(values), 0.99)) or 1.0
        self.image_ = self.ax_.imshow(
            values,
            aspect="auto",
            cmap=cmap,
            vmin=-high if low is None else low,
            vmax=high,
            interpolation="nearest",
        )
        self.colorbar_ = self.ax_.figure.colorbar(
            self.image_, ax=self.ax_, label=label, extend="both"
        )
        label_ticks(self.ax_.xaxis, self.feature_names, max_labels=40)
        self.ax_.tick_params(axis="x", rotation=90, labelsize=8)
        label_ticks(self.ax_.yaxis, self.rows_, max_labels=30)
        self.ax_.tick_params(axis="y", labelsize=8)
        self.ax_.set_ylabel("row, the oddest on top")
