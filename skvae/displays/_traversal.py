"""Pictures of the decoder's mean along each latent in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skvae.displays._axes import NEUTRAL, label_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]


def draw_moves(
    ax: Axes,
    traversals: Floats,
    feature_names: Sequence[str] | NDArray[np.str_],
    components: NDArray[np.integer],
    steps: Floats,
) -> tuple[Any, Any]:
    """Draw features against the steps of each latent, one block after the other.

    Parameters
    ----------
    ax : matplotlib Axes
    traversals : ndarray of shape (n_shown, n_steps, n_features)
        In standard deviations.
    feature_names : sequence of str of length n_features
    components : ndarray of shape (n_shown,)
        Numbers of the latents.
    steps : ndarray of shape (n_steps,)

    Returns
    -------
    image, colorbar : matplotlib artists
    """
    n_shown, n_steps, n_features = traversals.shape
    moves = traversals - np.median(traversals, axis=1, keepdims=True)
    values = moves.transpose(2, 0, 1).reshape(n_features, n_shown * n_steps)
    most = float(np.abs(values).max()) or 1.0
    image = ax.imshow(
        values,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        interpolation="nearest",
    )
    for i in range(1, n_shown):
        ax.axvline(i * n_steps - 0.5, color=NEUTRAL, lw=1.5)
    colorbar = ax.figure.colorbar(image, ax=ax, label="move (standard deviations)")
    middles = [(i + 0.5) * n_steps - 0.5 for i in range(n_shown)]
    ax.set_xticks(middles, [str(latent) for latent in components])
    ax.set_xlabel(f"latent, each from {steps[0]:+.2g} to {steps[-1]:+.2g}")
    label_ticks(ax.yaxis, feature_names, max_labels=50)
    ax.tick_params(axis="y", labelsize=8)
    return image, colorbar


def draw_pictures(
    ax: Axes, picture: Floats, components: NDArray[np.integer], steps: Floats
) -> Any:
    """Draw a montage with a row for each latent and a column for each step."""
    image = ax.imshow(picture, cmap="gray")
    height, width = picture.shape[:2]
    n_steps, n_shown = len(steps), len(components)
    named = [0, n_steps // 2, n_steps - 1]
    ax.set_xticks(
        [(i + 0.5) * width / n_steps for i in named],
        [f"{steps[i]:+.2g}" for i in named],
    )
    ax.set_yticks(
        [(i + 0.5) * height / n_shown for i in range(n_shown)],
        [str(latent) for latent in components],
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="value of the latent", ylabel="latent")
    return image
