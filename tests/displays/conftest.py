import matplotlib as mpl
import pytest
from sklearn.datasets import load_wine

from skvae import BalancedVAE

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _figures_are_closed():
    """Matplotlib warns of more than twenty open figures."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def frame():
    return load_wine(as_frame=True).data


@pytest.fixture(scope="module")
def vae(frame):
    """A small model of a frame, held-out rows included; for tests that read it."""
    settings = {"hidden_layer_sizes": (8,), "max_iter": 5, "tol": 1e3}
    return BalancedVAE(3, random_state=0, **settings).fit(frame)


@pytest.fixture(scope="module")
def models(frame):
    """Linear models at four betas."""
    from skvae.path._runs import fit_betas

    settings = {"balance": "constant", "hidden_layer_sizes": (), "max_iter": 10}
    base = BalancedVAE(13, early_stopping=False, random_state=0, tol=1e3, **settings)
    return fit_betas(base, frame, [0.2, 0.5, 1.0, 8.0]).models


def _boxes(ax):
    """Text and place of all that is written in and around some axes."""
    texts = [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        room = 1e-6 * (high - low)
        # Ticks outside the limits are there, but not drawn.
        texts += [
            tick.label1
            for tick in axis.get_major_ticks()
            if low - room <= tick.get_loc() <= high + room
        ]
    for text in texts:
        if text.get_visible() and text.get_text().strip():
            yield text.get_text(), text.get_window_extent()
    if ax.get_legend():
        yield "legend", ax.get_legend().get_window_extent()


def _overlaps(figure):
    figure.canvas.draw()
    boxes = [box for ax in figure.axes for box in _boxes(ax)]
    assert boxes, "nothing is written"
    width, height = figure.canvas.get_width_height()
    for i, (name, box) in enumerate(boxes):
        is_inside = box.x0 >= -1 and box.x1 <= width + 1
        if not (is_inside and box.y0 >= -1 and box.y1 <= height + 1):
            yield name, "the edge"
        for other, other_box in boxes[:i]:
            if box.overlaps(other_box):
                yield name, other


@pytest.fixture
def overlaps():
    """Pairs of texts of a figure that fall on each other, or on its edge.

    In the default style: dark ones have other colours, and texts in the same places.
    """
    return lambda figure: list(_overlaps(figure))
