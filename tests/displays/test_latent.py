"""What the latents say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae.displays import LatentDisplay
from skvae.networks import MLP

CLASSES = load_wine().target


def made(n_components=4, color=None, n_features=6, **arrays):
    """A display of arrays, without a model; the last latent has collapsed."""
    rng = np.random.default_rng(0)
    rate = np.linspace(0.0, 3.0, n_components)[::-1]
    steps = np.linspace(-2.0, 2.0, 5)
    directions = rng.normal(size=(n_components, 1, n_features)) * rate[:, None, None]
    given = {
        "steps": steps,
        "traversals": 5.0 + steps[:, None] * directions,
        "color": color,
        **arrays,
    }
    latents = rng.normal(size=(90, n_components))
    return LatentDisplay(latents, rate, rate > 0.0, **given)


@pytest.fixture(scope="module")
def display(vae, frame):
    return LatentDisplay.from_estimator(vae, frame, color=CLASSES)


# --- where the numbers come from -----------------------------------------------------


def test_from_estimator(display, vae, frame):
    assert_allclose(display.latents, np.asarray(vae.transform(frame)))
    assert_array_equal(display.active, vae.active_units_)
    assert_array_equal(display.feature_names, frame.columns)
    assert_allclose(display.spread, frame.to_numpy().std(axis=0))


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_rates_of_the_latents_sum_to_the_rate(vae, frame, posterior):
    network = MLP((8,), posterior=posterior)
    vae = clone(vae).set_params(network=network).fit(frame)
    display = LatentDisplay.from_estimator(vae, frame)
    assert display.rate.shape == (3,)
    rate, _ = vae.rate_distortion(frame)
    assert display.rate.sum() == pytest.approx(rate.mean())


def test_traversals_are_decoded(display, vae):
    assert_allclose(display.steps, np.linspace(-2.0, 2.0, 7))
    expected = np.asarray(vae.inverse_transform([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
    assert_allclose(display.traversals[1, 6], expected[0])
    for latent in range(3):
        assert_allclose(display.traversals[latent, 3], expected[1])


def test_reach_and_steps(vae, frame):
    display = LatentDisplay.from_estimator(vae, frame, n_steps=2, reach=0.5)
    assert_array_equal(display.steps, [-0.5, 0.5])
    assert display.traversals.shape == (3, 2, 13)


def test_from_pipeline(vae, frame):
    pipeline = make_pipeline(StandardScaler(), clone(vae)).fit(frame)
    display = LatentDisplay.from_estimator(pipeline, frame)
    assert_allclose(display.latents, np.asarray(pipeline.transform(frame)))
    assert_allclose(display.spread, 1.0)


# --- what is drawn -------------------------------------------------------------------


def test_scatter_of_classes(display):
    display.plot()
    assert [points.get_label() for points in display.artist_] == ["0", "1", "2"]
    drawn = np.concatenate([points.get_offsets() for points in display.artist_])
    assert len(drawn) == len(CLASSES)
    first, second = display.components_
    rows = CLASSES == 0
    expected = display.latents[rows][:, [first, second]]
    assert_allclose(display.artist_[0].get_offsets(), expected)
    assert display.colorbar_ is None
    assert display.ax_.get_xlabel().startswith(f"latent {first} (")
    radii = [ring.get_radius() for ring in display.ax_.patches]
    assert radii == [1.0, 2.0]


def test_scatter_takes_the_two_of_the_largest_rate():
    display = made()
    display.rate = np.array([0.5, 3.0, 0.1, 2.0])
    assert display.plot().components_.tolist() == [1, 3]
    assert display.plot(components=[2, 0]).components_.tolist() == [2, 0]


def test_scatter_of_numbers_has_a_colorbar():
    display = made(color=np.linspace(0.0, 1.0, 90)).plot()
    assert_allclose(display.artist_.get_array(), np.linspace(0.0, 1.0, 90))
    assert display.colorbar_.mappable is display.artist_
    # So have many whole numbers.
    assert made(color=np.arange(90)).plot().colorbar_ is not None


def test_scatter_without_colour():
    display = made().plot()
    (points,) = display.artist_
    assert len(points.get_offsets()) == 90
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize("style", ["default", "dark_background", "ggplot"])
def test_ten_classes_have_ten_colours(style):
    with plt.style.context(style):
        display = made(color=np.arange(90) % 10).plot()
        colors = {tuple(points.get_facecolor()[0]) for points in display.artist_}
    assert len(colors) == 10


def test_one_latent_is_a_histogram():
    display = made(n_components=1, color=np.repeat(["a", "b", "c"], 30)).plot()
    heights = [bar.get_height() for bars in display.artist_ for bar in bars]
    assert sum(heights) == 90
    assert display.ax_.get_ylabel() == "rows"
    display = made(color=np.linspace(5.0, 6.0, 90)).plot(components=[3])
    assert_allclose(display.artist_.get_offsets()[:, 1], np.linspace(5.0, 6.0, 90))
    assert made().plot(components=[0]).ax_.get_legend() is None


def test_rates_are_sorted_and_collapsed_ones_hollow():
    display = made()
    display.rate = np.array([0.5, 3.0, 1e-4, 2.0])
    display.active = display.rate > 0.01
    display.plot(kind="rate")
    assert display.components_.tolist() == [1, 3, 0, 2]
    active, collapsed = display.artist_
    assert [bar.get_width() for bar in active] == [3.0, 2.0, 0.5]
    assert [bar.get_width() for bar in collapsed] == [1e-4]
    assert collapsed[0].get_facecolor()[3] == 0.0
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == ["1", "3", "0", "2"]
    display.active[:] = True
    assert display.plot(kind="rate").ax_.get_legend() is None


def test_traversal_is_in_standard_deviations():
    display = made(spread=np.full(6, 2.0)).plot(kind="traversal")
    # Those that have not collapsed.
    assert display.components_.tolist() == [0, 1, 2]
    drawn = display.artist_.get_array()
    assert drawn.shape == (6, 3 * 5)
    assert_allclose(drawn[:, 2], 0.0, atol=1e-12)
    move = display.traversals[1, 4] - display.traversals[1, 2]
    assert_allclose(drawn[:, 9], move / 2.0)
    low, high = display.artist_.get_clim()
    assert low == -high


def test_traversal_shows_at_most_eight_of_their_own_accord():
    assert len(made(n_components=20).plot(kind="traversal").components_) == 8
    every = made(n_components=20).plot(kind="traversal", components=range(20))
    assert len(every.components_) == 20


def test_constant_feature_does_not_move():
    spread = np.array([0.0, *np.ones(5)])
    drawn = made(spread=spread).plot(kind="traversal").artist_.get_array()
    assert np.isfinite(drawn).all()
    assert made(traversals=np.ones((4, 5, 6))).plot(kind="traversal").artist_


def test_traversal_as_pictures():
    display = made().plot(kind="traversal", image_shape=(2, 3))
    picture = display.artist_.get_array()
    assert picture.shape == (3 * 2 + 2, 5 * 3 + 4)
    assert_allclose(picture[:2, :3].ravel(), display.traversals[0, 0])
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["0", "1", "2"]


LONG_NAMES = [f"a very long name of a column, the {i}th of them" for i in range(40)]


@pytest.mark.parametrize(
    ("kind", "n_components", "settings"),
    [
        ("scatter", 4, {}),
        ("scatter", 1, {}),
        ("rate", 4, {}),
        ("rate", 64, {}),
        ("traversal", 4, {}),
        ("traversal", 30, {}),
        ("traversal", 2, {}),
        ("traversal", 4, {"image_shape": (5, 8)}),
    ],
)
def test_texts_do_not_overlap(kind, n_components, settings, overlaps):
    color = np.repeat([f"class number {i}" for i in range(10)], 9)
    display = made(n_components, color, 40, feature_names=LONG_NAMES)
    assert overlaps(display.plot(kind=kind, **settings).figure_) == []


@pytest.mark.parametrize("kind", ["scatter", "rate", "traversal"])
def test_draws_into_given_axes(display, kind):
    figure, ax = plt.subplots()
    assert display.plot(ax, kind=kind).ax_ is ax
    assert display.figure_ is figure


# --- errors --------------------------------------------------------------------------


def test_unknown_kind(display):
    with pytest.raises(ValueError, match=r"kind must be one of \('scatter', 'rate', "):
        display.plot(kind="bars")


@pytest.mark.parametrize("components", [[0, 1, 2], [4], [-1], [], 0, [0.5]])
def test_impossible_components(components):
    with pytest.raises(ValueError, match=r"numbers of the 4 latents, from 0, at most"):
        made().plot(components=components)
    if np.size(components) != 3:
        with pytest.raises(ValueError, match=r"of the 4 latents, from 0; got"):
            made().plot(kind="rate", components=components)


def test_collapsed_model_has_no_traversal():
    display = made()
    display.active[:] = False
    with pytest.raises(ValueError, match=r"No latent is active: all have collapsed"):
        display.plot(kind="traversal")
    assert len(display.plot(kind="traversal", components=[3]).components_) == 1


def test_colour_of_another_length():
    with pytest.raises(
        ValueError, match=r"color must have one value for each of the 90"
    ):
        made(color=np.ones(7))


def test_too_many_classes():
    color = np.array([f"class {i}" for i in range(90)])
    with pytest.raises(
        ValueError, match=r"color has 90 classes, more than the 10 that"
    ):
        made(color=color).plot()


@pytest.mark.parametrize("settings", [{"n_steps": 1}, {"reach": 0.0}])
def test_impossible_traversals(vae, frame, settings):
    with pytest.raises(ValueError, match=r"n_steps must be at least 2 and reach above"):
        LatentDisplay.from_estimator(vae, frame, **settings)


def test_image_shape_must_fit():
    with pytest.raises(ValueError, match=r"is of 9 features, but a row has 6"):
        made().plot(kind="traversal", image_shape=(3, 3))
