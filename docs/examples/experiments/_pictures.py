"""Rows of small pictures, one above the other, for the experiments."""

import matplotlib.pyplot as plt
import numpy as np


def show_pictures(rows, image_shape, highest):
    """Draw a dict of labels and arrays of shape (n_pictures, n_pixels)."""
    n_pictures = len(next(iter(rows.values())))
    size = (1.7 + 0.55 * n_pictures, 0.6 * len(rows))
    figure, axes = plt.subplots(len(rows), squeeze=False, figsize=size)
    figure.subplots_adjust(1.65 / size[0], 0.01, 0.99, 0.99, hspace=0.08)
    for ax, (label, pictures) in zip(axes.flat, rows.items(), strict=True):
        framed = np.pad(
            np.reshape(pictures, (n_pictures, *image_shape)),
            ((0, 0), (0, 0), (0, 1)),
            constant_values=highest,
        )
        ax.imshow(np.hstack(framed), cmap="gray", vmin=0, vmax=highest)
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    return figure
