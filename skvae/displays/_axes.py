"""Axes, ticks and colours that the displays have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skvae.ground._optional import import_optional_dependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecBase

# Seen on white and on black, unlike a colour of the style that is in force.
NEUTRAL = "0.5"

MAX_LABEL = 24


def axes_or_new(ax: Axes | None, display: object, figsize: tuple[float, float]) -> Axes:
    """Return the axes that the user passed, or those of a new figure."""
    pyplot = import_optional_dependency(
        "matplotlib.pyplot", needed_by=f"{type(display).__name__}.plot"
    )
    if ax is None:
        _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
    return ax


def split_axes(ax: Axes, heights: Sequence[float]) -> list[Axes]:
    """Axes above each other, with a common x, in the place of some axes."""
    figure, place, box = ax.figure, ax.get_subplotspec(), ax.get_position()
    grid: GridSpecBase
    if place is not None:
        grid = place.subgridspec(len(heights), 1, height_ratios=heights)
    else:
        # Axes that were added by their corners are in no grid.
        grid = figure.add_gridspec(
            len(heights),
            1,
            height_ratios=heights,
            **{"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1},
        )
    ax.remove()
    first = figure.add_subplot(grid[0])
    others = [figure.add_subplot(grid[i], sharex=first) for i in range(1, len(heights))]
    for upper in [first, *others][:-1]:
        upper.tick_params(labelbottom=False)
    return [first, *others]


def shortened(name: object) -> str:
    """Name that fits beside an axis; the middle of a long one is left out."""
    name = str(name)
    if len(name) <= MAX_LABEL:
        return name
    # Names with a common beginning often differ at their end.
    kept = MAX_LABEL - 1
    return f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"


def short_number(value: float) -> str:
    """Two significant digits, without an exponent where that is no longer.

    >>> short_number(0.00312), short_number(1.0), short_number(561.0)
    ('0.0031', '1', '560')
    """
    if value != 0.0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2g}"
    return np.format_float_positional(float(f"{value:.2g}"), trim="-")


def label_ticks(
    axis: Any, labels: Sequence[Any] | NDArray[Any], max_labels: int
) -> None:
    """Name the whole numbers along an axis, or every so many where there are more."""
    step = -(-len(labels) // max_labels)
    places = range(0, len(labels), max(1, step))
    axis.set_ticks(list(places), [shortened(labels[i]) for i in places])


@contextmanager
def limits_kept(ax: Axes) -> Iterator[None]:
    """Draw without making room; the limits go on following what else is drawn."""
    limits = ax.dataLim.frozen()
    yield
    ax.dataLim.set(limits)
    ax.autoscale_view()


def apart(points: NDArray[np.float64], distance: float, first: int) -> list[int]:
    """Choose points that are some distance from each other.

    Parameters
    ----------
    points : ndarray of shape (n_points, 2)
    distance : float
    first : int
        One that is chosen in any case.

    Returns
    -------
    chosen : list of int
        In ascending order.
    """
    # Then the ends, which show the range, and the others in their order.
    order = dict.fromkeys([first, 0, len(points) - 1, *range(len(points))])
    chosen: list[int] = []
    for i in order:
        gaps = np.hypot(*(points[chosen] - points[i]).T)
        if (gaps >= distance).all():
            chosen.append(i)
    return sorted(chosen)


def annotate_apart(
    ax: Axes, points: NDArray[np.floating], texts: Sequence[str], first: int
) -> list[Any]:
    """Write texts to the upper right of points, as many as there is room for.

    Parameters
    ----------
    ax : matplotlib Axes
    points : ndarray of shape (n_points, 2)
        In the units of the data.
    texts : sequence of str of length n_points
    first : int
        The one that is written in any case.
    """
    size = 8.0
    # A character is about 0.65 times as wide as it is high.
    room = (0.65 * max(map(len, texts)) + 0.5) * size * ax.figure.dpi / 72.0
    chosen = apart(ax.transData.transform(points), room, first)
    return [
        ax.annotate(
            texts[i], points[i], (7, 5), textcoords="offset points", fontsize=size
        )
        for i in chosen
    ]


def montage(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put a grid of pictures side by side, with a gap that stays transparent.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_columns, height, width[, n_channels])
        Grey values in any unit; colours, with three channels, in [0, 1].

    Returns
    -------
    picture : ndarray of shape (n_pixels_down, n_pixels_across[, 4])
        The gap is nan, or has an opacity of zero in a fourth channel.
    """
    if images.ndim == 5:
        opacity = np.ones((*images.shape[:-1], 1))
        images = np.concatenate([images.clip(0.0, 1.0), opacity], axis=-1)
    n_rows, n_columns, height, width, *channels = images.shape
    gap = max(1, min(height, width) // 8)
    blank = 0.0 if channels else np.nan
    shape = (n_rows, n_columns, height + gap, width + gap, *channels)
    tiles = np.full(shape, blank)
    tiles[:, :, :height, :width] = images
    picture = tiles.swapaxes(1, 2).reshape(
        n_rows * (height + gap), n_columns * (width + gap), *channels
    )
    return picture[:-gap, :-gap]


def as_images(
    rows: NDArray[np.float64], image_shape: Sequence[int]
) -> NDArray[np.float64]:
    """Rows, along the last axis, as pictures of a shape.

    Parameters
    ----------
    rows : ndarray of shape (..., n_features)
    image_shape : sequence of int
        (height, width), or (height, width, 3) for colours.
    """
    shape = tuple(int(size) for size in image_shape)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        raise ValueError(
            "image_shape must be (height, width), or (height, width, 3) for colours, "
            f"got {image_shape!r}."
        )
    if int(np.prod(shape)) != rows.shape[-1]:
        raise ValueError(
            f"image_shape={image_shape!r} is of {int(np.prod(shape))} features, but a "
            f"row has {rows.shape[-1]}."
        )
    return rows.reshape(*rows.shape[:-1], *shape)
