"""Every kind of picture against one that was looked at.

What can be said of single artists is tested beside each display; this is for what it
all looks like together: what is in front of what, where the colours of a map lie,
whether a line is there at all. To draw the pictures anew, and look at them before they
are committed:

    python tests/displays/test_pictures.py

The pictures are made robust rather than the tolerance wide. All arrays are given, so
that no training is in them. All text is taken away, because its edges depend on the
version of the font library, and so is the layout that depends on its size. What is
left, lines and areas at a low resolution, differs between machines by rounding in the
anti-aliasing, which is far below the tolerance: a root mean square of 2 in 255. A curve
that is moved by two of its line widths is above it, as the last test shows.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text
from sklearn.utils.fixes import parse_version

from skvae.displays import (
    HistoryDisplay,
    LatentDisplay,
    RateDistortionDisplay,
    ReconstructionDisplay,
)

mpl.use("Agg")

BASELINE = Path(__file__).with_name("baseline")
STYLES = ("default", "dark_background")
TOLERANCE = 2.0


def rate_distortion(n_betas, shift=0.0):
    betas = np.geomspace(0.1, 10.0, 20)[:n_betas]
    rate = 12.0 / (1.0 + betas)
    distortion = 20.0 * np.exp(-rate / 3.0) - 5.0 + shift
    folds = np.array([-1.0, 0.0, 1.0])
    level = np.linspace(0.0, 14.0, 50)
    return RateDistortionDisplay(
        rate[:, None] + 0.3 * folds,
        distortion[:, None] - folds,
        betas=betas,
        bound=(level, 18.0 * np.exp(-level / 4.0) - 5.0),
        pca=(5.0, 2.0),
    )


def history():
    epochs = np.arange(1.0, 41.0)
    rate, distortion = 3.0 + epochs / 40.0, 8.0 + 50.0 / epochs**2
    terms = {"rate": rate, "distortion": distortion, "elbo": -(rate + distortion)}
    held_out = {f"validation_{name}": 1.1 * values for name, values in terms.items()}
    variance = 0.5 / epochs
    beta = np.minimum(1.0, epochs / 20.0)
    return HistoryDisplay(
        {**terms, **held_out, "beta": beta, "variance": variance, "theta": variance}
    )


def latent(color=None, n_components=4):
    rate = np.linspace(3.0, 0.0, n_components) if n_components > 1 else np.ones(1)
    steps = np.linspace(-2.0, 2.0, 7)
    angle = np.arange(90.0) * 2.4
    points = (
        0.25
        * np.sqrt(np.arange(90.0))[:, None]
        * np.cos(angle[:, None] + np.arange(n_components))
    )
    # A ramp whose slope turns from latent to latent.
    place = np.linspace(-1.0, 1.0, 12)
    ramps = np.cos(3.0 * place + np.arange(n_components)[:, None]) * rate[:, None]
    traversals = steps[:, None] * ramps[:, None]
    return LatentDisplay(
        points, rate, rate > 0.0, steps=steps, traversals=traversals, color=color
    )


def reconstruction():
    row, column = np.mgrid[:12, :12]
    X = np.cos(0.5 * row + 0.2 * column)
    error = 0.3 * np.sin(1.3 * row * column)
    cells = 2.0 * error**2
    return ReconstructionDisplay(X, X - error, cells)


CLASSES = np.arange(90) % 10
PICTURES = {
    "rate_distortion_20": lambda: rate_distortion(20).plot(),
    "rate_distortion_1": lambda: rate_distortion(1).plot(),
    "history": lambda: history().plot(),
    "latent_classes": lambda: latent(CLASSES).plot(),
    "latent_numbers": lambda: latent(np.arange(90.0)).plot(),
    "latent_line": lambda: latent(CLASSES, n_components=1).plot(),
    "latent_rate": lambda: latent().plot(kind="rate"),
    "latent_traversal": lambda: latent().plot(kind="traversal"),
    "latent_pictures": lambda: latent().plot(kind="traversal", image_shape=(3, 4)),
    "cells": lambda: reconstruction().plot(n_rows=8),
    "residuals": lambda: reconstruction().plot(kind="residuals"),
    "images": lambda: reconstruction().plot(kind="images", image_shape=(3, 4)),
}
# Maps of colours: matplotlib before 3.11 moves their edges by up to a pixel.
MAPS = {"latent_traversal", "latent_pictures", "cells", "residuals", "images"}
ROUNDS_EDGES = parse_version(mpl.__version__) < parse_version("3.11")


def draw(make, style, path):
    """Draw a display without text, small and always in the same place."""
    with plt.style.context(style):
        display = make()
        figure = display.figure_
        figure.set_layout_engine("none")
        for ax in figure.axes:
            if ax.get_legend():
                ax.get_legend().remove()
        for text in figure.findobj(Text):
            text.set_visible(False)
        figure.set_size_inches(4.0, 3.0)
        figure.savefig(path, dpi=50, metadata={"Software": None})
    plt.close("all")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_the_one_that_was_looked_at(name, style, tmp_path):
    if name in MAPS and ROUNDS_EDGES:
        pytest.skip("matplotlib before 3.11 moves the edges of maps")
    path = tmp_path / f"{name}.png"
    draw(PICTURES[name], style, path)
    expected = BASELINE / style / f"{name}.png"
    difference = compare_images(str(expected), str(path), TOLERANCE)
    assert difference is None, difference


def test_a_small_move_is_seen(tmp_path):
    path = tmp_path / "moved.png"
    # Two line widths, of an axis of about 25 nats in 115 pixels.
    draw(lambda: rate_distortion(20, shift=0.6).plot(), "default", path)
    expected = BASELINE / "default" / "rate_distortion_20.png"
    assert compare_images(str(expected), str(path), TOLERANCE) is not None


if __name__ == "__main__":
    for style in STYLES:
        (BASELINE / style).mkdir(parents=True, exist_ok=True)
        for name, make in PICTURES.items():
            draw(make, style, BASELINE / style / f"{name}.png")
