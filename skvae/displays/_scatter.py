"""Pictures of rows by their latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skvae.displays._axes import NEUTRAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]

# The cycle of a style may have fewer colours, and give two classes the same.
_NAMES = "blue orange green red purple brown pink gray olive cyan"
COLORS = [f"tab:{name}" for name in _NAMES.split()]


def classes_of(
    color: NDArray[Any] | None, n_rows: int
) -> list[tuple[Any, NDArray[np.bool_]]] | None:
    """Name and rows of each class; None where the colour is a number."""
    if color is None:
        return [(None, np.ones(n_rows, dtype=bool))]
    classes = np.unique(color)
    if color.dtype.kind == "f" or (color.dtype.kind in "iu" and len(classes) > 10):
        return None
    if len(classes) > len(COLORS):
        raise ValueError(
            f"color has {len(classes)} classes, more than the {len(COLORS)} that can "
            "be told apart. Join the rare ones, or pass numbers."
        )
    return [(name, color == name) for name in classes]


def draw_plane(
    ax: Axes, points: Floats, color: NDArray[Any] | None
) -> tuple[Any, Any | None]:
    """Draw rows in the plane of two latents.

    Parameters
    ----------
    ax : matplotlib Axes
    points : ndarray of shape (n_samples, 2)
    color : ndarray of shape (n_samples,) or None

    Returns
    -------
    artist : matplotlib PathCollection, or list of them
        One for each class.
    colorbar : matplotlib Colorbar or None
    """
    from matplotlib.patches import Circle

    x, y = points.T
    size = float(np.clip(6000.0 / len(points), 8.0, 24.0))
    # The edge keeps a dark point on black, and a bright one on white.
    look: dict[str, Any] = {
        "s": size,
        "linewidths": 0.3,
        "edgecolors": NEUTRAL,
        "alpha": 0.8,
    }
    artist: Any
    colorbar = None
    classes = classes_of(color, len(points))
    if classes is None:
        artist = ax.scatter(x, y, c=color, cmap="viridis", **look)
        colorbar = ax.figure.colorbar(artist, ax=ax)
    else:
        artist = [
            ax.scatter(x[rows], y[rows], color=COLORS[i], label=name, **look)
            for i, (name, rows) in enumerate(classes)
        ]
        if color is not None:
            _draw_legend(ax)
    for radius in (1.0, 2.0):
        ring = Circle((0.0, 0.0), radius, fill=False, ec=NEUTRAL, lw=1, ls="--")
        ax.add_patch(ring)
    ax.set_aspect("equal", adjustable="datalim")
    return artist, colorbar


def draw_line(ax: Axes, values: Floats, color: NDArray[Any] | None) -> Any:
    """Draw how rows lie along one latent, against the colour where that is a number."""
    classes = classes_of(color, len(values))
    if classes is None:
        ax.set_ylabel("color")
        assert color is not None
        return ax.scatter(values, color, s=12, linewidths=0, color="C0")
    ax.set_ylabel("rows")
    bars = ax.hist(
        [values[rows] for _, rows in classes],
        bins=30,
        stacked=True,
        color=COLORS[: len(classes)],
        label=["" if name is None else str(name) for name, _ in classes],
    )[2]
    if color is not None:
        _draw_legend(ax)
    return bars


def _draw_legend(ax: Axes) -> None:
    """Name the classes beside the points, which fill the whole plane."""
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=2.0)
