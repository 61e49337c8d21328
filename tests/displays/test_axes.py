"""Axes, ticks and colours that the displays have in common."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae.displays._axes import (
    MAX_LABEL,
    annotate_apart,
    apart,
    as_images,
    label_ticks,
    limits_kept,
    montage,
    short_number,
    shortened,
    split_axes,
)


def test_long_names_keep_both_ends():
    assert shortened("alcohol") == "alcohol"
    name = "od280/od315_of_diluted_wines, in the second measurement"
    short = shortened(name)
    assert len(short) == MAX_LABEL
    start, end = short.split("…")
    assert name.startswith(start)
    assert name.endswith(end)
    assert shortened(3) == "3"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.00123, "0.0012"),
        (0.999, "1"),
        (10.0, "10"),
        (1234.0, "1200"),
        (2e5, "2e+05"),
        (1.234e-7, "1.2e-07"),
    ],
)
def test_numbers_are_short(value, expected):
    assert short_number(value) == expected


def test_axes_outside_of_a_grid_are_split_in_their_place():
    ax = plt.figure().add_axes((0.2, 0.1, 0.5, 0.8))
    upper, lower = (part.get_position() for part in split_axes(ax, (2, 1)))
    assert_allclose([lower.x0, lower.y0], [0.2, 0.1])
    assert_allclose([upper.x1, upper.y1], [0.7, 0.9])
    assert upper.height == pytest.approx(2.0 * lower.height)


@pytest.mark.parametrize(("n_labels", "expected"), [(5, 5), (40, 40), (41, 21)])
def test_ticks_are_thinned_out(n_labels, expected):
    ax = plt.subplots()[1]
    label_ticks(ax.xaxis, range(n_labels), max_labels=40)
    texts = [text.get_text() for text in ax.get_xticklabels()]
    assert len(texts) == expected
    assert texts == [str(int(place)) for place in ax.get_xticks()]


def test_points_are_chosen_apart():
    points = np.column_stack([np.arange(11.0), np.zeros(11)])
    assert apart(points, 2.0, first=5) == [0, 2, 5, 7, 10]
    assert apart(points, 100.0, first=3) == [3]
    assert apart(points[:1], 2.0, first=0) == [0]


def test_annotations_do_not_overlap_each_other():
    fig, ax = plt.subplots()
    points = np.column_stack([np.linspace(0.0, 1.0, 50), np.zeros(50)])
    ax.plot(*points.T)
    texts = [f"{i}.25" for i in range(50)]
    notes = annotate_apart(ax, points, texts, first=20)
    assert "20.25" in {note.get_text() for note in notes}
    fig.canvas.draw()
    boxes = [note.get_window_extent() for note in notes]
    assert len(boxes) > 5
    assert not any(
        box.overlaps(other) for box in boxes for other in boxes if other != box
    )


def test_limits_are_kept_and_still_follow():
    ax = plt.subplots()[1]
    ax.plot([0.0, 1.0], [0.0, 1.0])
    with limits_kept(ax):
        ax.plot([0.0, 100.0], [0.0, 100.0])
    assert ax.get_xlim()[1] < 2.0
    ax.plot([0.0, 10.0], [0.0, 1.0])
    assert 10.0 < ax.get_xlim()[1] < 20.0


def test_montage_of_grey_pictures():
    images = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
    picture = montage(images)
    assert picture.shape == (2 * 4 + 1, 3 * 5 + 2)
    assert_array_equal(picture[:4, :5], images[0, 0])
    assert_array_equal(picture[5:, 12:], images[1, 2])
    assert np.isnan(picture[4]).all()
    assert np.isnan(picture[:, 5]).all()


def test_montage_of_colours_is_transparent_between():
    images = np.full((1, 2, 3, 3, 3), 1.5)
    picture = montage(images)
    assert picture.shape == (3, 7, 4)
    assert_array_equal(picture[:, :3], 1.0)
    assert_array_equal(picture[:, 3, 3], 0.0)


def test_rows_become_images():
    rows = np.arange(24.0).reshape(2, 12)
    assert as_images(rows, (3, 4)).shape == (2, 3, 4)
    assert as_images(rows, [2, 2, 3]).shape == (2, 2, 2, 3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((12,), r"must be \(height, width\), or \(height, width, 3\)"),
        ((2, 2, 4), r"must be \(height, width\), or \(height, width, 3\)"),
        ((3, 5), r"is of 15 features, but a row has 12"),
    ],
)
def test_impossible_image_shapes(shape, message):
    with pytest.raises(ValueError, match=message):
        as_images(np.zeros((2, 12)), shape)


def test_overlaps_are_found(overlaps):
    figure, ax = plt.subplots()
    ax.text(0.5, 0.5, "one")
    assert overlaps(figure) == []
    ax.text(0.51, 0.51, "another")
    assert overlaps(figure) == [("another", "one")]
    ax.texts[-1].set_position((2.0, 0.5))
    assert overlaps(figure) == [("another", "the edge")]
