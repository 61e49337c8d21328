"""Rows beside what a model makes of them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae.displays import ReconstructionDisplay


def made(n_samples=40, n_features=6, **settings):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, n_features))
    error = 0.5 * rng.normal(size=X.shape)
    return ReconstructionDisplay(X, X - error, 0.5 * error**2 / 0.25, **settings)


# --- where the numbers come from -----------------------------------------------------


def test_from_estimator(vae, frame):
    display = ReconstructionDisplay.from_estimator(vae, frame)
    assert_array_equal(display.X, frame.to_numpy())
    expected = vae.inverse_transform(np.asarray(vae.transform(frame)))
    assert_allclose(display.reconstruction, expected)
    assert_allclose(display.cells, vae.score_cells(frame))
    assert_array_equal(display.feature_names, frame.columns)


def test_from_pipeline_is_in_the_units_of_the_model(vae, frame):
    pipeline = make_pipeline(StandardScaler(), clone(vae)).fit(frame)
    display = ReconstructionDisplay.from_estimator(pipeline, frame)
    assert_allclose(display.X.std(axis=0), 1.0)
    assert np.abs(display.X - display.reconstruction).mean() < 1.0


# --- what is drawn -------------------------------------------------------------------


def test_cells_of_the_oddest_rows():
    display = made().plot(n_rows=10)
    distortion = display.cells.sum(axis=1)
    assert (np.diff(distortion[display.rows_]) <= 0.0).all()
    assert distortion[display.rows_].min() >= np.sort(distortion)[-10]
    drawn = display.image_.get_array()
    assert drawn.shape == (10, 6)
    expected = display.cells - np.median(display.cells, axis=0)
    assert_allclose(drawn, expected[display.rows_])
    assert display.image_.get_clim()[0] == 0.0
    assert "nats" in display.colorbar_.ax.get_ylabel()


def test_cells_do_not_depend_on_units():
    display = made()
    shifted = ReconstructionDisplay(
        display.X, display.reconstruction, display.cells + 100.0 * np.arange(6)
    )
    drawn = [one.plot().image_.get_array() for one in (display, shifted)]
    assert_allclose(drawn[0], drawn[1], atol=1e-9)


def test_residuals_are_in_units_of_their_size():
    display = made().plot(kind="residuals", n_rows=40)
    drawn = display.image_.get_array()
    assert_allclose(np.square(drawn).mean(axis=0), 1.0)
    low, high = display.image_.get_clim()
    assert low == -high
    residual = (display.X - display.reconstruction)[display.rows_]
    assert_array_equal(np.sign(drawn), np.sign(residual))


def test_column_without_residuals():
    X = np.ones((4, 2))
    display = ReconstructionDisplay(X, X, np.zeros((4, 2))).plot(kind="residuals")
    assert_array_equal(display.image_.get_array(), 0.0)
    assert display.image_.get_clim() == (-1.0, 1.0)


def test_images_are_in_the_order_of_the_rows():
    display = made().plot(kind="images", image_shape=(2, 3), n_rows=4)
    picture = display.image_.get_array()
    assert picture.shape == (2 * 2 + 1, 4 * 3 + 3)
    assert_array_equal(display.rows_, range(4))
    assert_allclose(picture[:2, :3].ravel(), display.X[0])
    assert_allclose(picture[3:, 4:7].ravel(), display.reconstruction[1])
    assert display.image_.get_clim() == (display.X[:4].min(), display.X[:4].max())
    assert display.colorbar_ is None


def test_colours():
    rng = np.random.default_rng(0)
    X = rng.random((3, 12))
    display = ReconstructionDisplay(X, X, X).plot(kind="images", image_shape=(2, 2, 3))
    assert display.image_.get_array().shape == (5, 8, 4)


LONG_NAMES = [f"a very long name of a column, the {i}th of them" for i in range(40)]


@pytest.mark.parametrize(
    ("kind", "n_samples", "n_features", "settings"),
    [
        ("cells", 40, 40, {}),
        ("cells", 200, 40, {"n_rows": 200}),
        ("cells", 1, 4, {}),
        ("residuals", 40, 40, {}),
        ("images", 40, 40, {"image_shape": (5, 8), "n_rows": 12}),
        ("images", 1, 40, {"image_shape": (5, 8)}),
    ],
)
def test_texts_do_not_overlap(kind, n_samples, n_features, settings, overlaps):
    names = LONG_NAMES[:n_features]
    display = made(n_samples, n_features, feature_names=names)
    assert overlaps(display.plot(kind=kind, **settings).figure_) == []


@pytest.mark.parametrize("kind", ["cells", "images"])
def test_draws_into_given_axes(kind):
    figure, ax = plt.subplots()
    display = made().plot(ax, kind=kind, image_shape=(2, 3))
    assert display.ax_ is ax
    assert display.figure_ is figure


# --- errors --------------------------------------------------------------------------


def test_shapes_must_agree():
    with pytest.raises(
        ValueError, match=r"must be of one shape .*\(2, 3\), \(2, 3\), "
    ):
        ReconstructionDisplay(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"must be of one shape \(n_samples, n_featu"):
        ReconstructionDisplay(np.ones(3), np.ones(3), np.ones(3))


def test_names_must_be_as_many_as_features():
    with pytest.raises(ValueError, match="must name 6 features, got 2 names"):
        made(feature_names=["a", "b"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "rows"}, r"kind must be one of \('cells', 'residuals', 'images'\)"),
        ({"n_rows": 0}, "n_rows must be at least 1, got 0"),
        ({"kind": "images"}, r"needs image_shape=\(height, width\)"),
        (
            {"kind": "images", "image_shape": (9, 9)},
            "is of 81 features, but a row has 6",
        ),
    ],
)
def test_impossible_plots(settings, message):
    with pytest.raises(ValueError, match=message):
        made().plot(**settings)
