"""The knee of a rate-distortion curve."""

import numpy as np
import pytest

from skvae.displays._knee import knee_of

RATE = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
# The chord falls by 10 over 8: the second point is 6.75 below it, the third 7.5.
DISTORTION = np.array([10.0, 2.0, 0.0, 0.0, 0.0])


def test_knee_is_farthest_below_the_chord():
    assert knee_of(RATE, DISTORTION) == 2


def test_order_and_units_do_not_matter():
    order = np.array([3, 2, 0, 4, 1])
    assert knee_of(RATE[order], DISTORTION[order]) == 1
    assert knee_of(1e3 * RATE + 7.0, 1e-3 * DISTORTION - 7.0) == 2


def test_curve_that_turns_up_at_its_end():
    assert knee_of(np.array([0.0, 1.0, 2.0]), np.array([0.0, -1.0, 1.0])) == 1
    worse = np.append(DISTORTION, 50.0)
    assert knee_of(np.append(RATE, 9.0), worse) == 2


@pytest.mark.parametrize(
    ("rate", "distortion"),
    [
        ([1.0], [1.0]),
        ([0.0, 1.0], [1.0, 0.0]),
        ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0]),  # straight
        ([0.0, 1.0, 2.0], [2.0, 1.9, 0.0]),  # above the chord
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]),  # more rate does not help
        ([1.0, 1.0, 1.0], [2.0, 1.0, 0.0]),  # all at one rate
    ],
)
def test_curves_without_a_knee(rate, distortion):
    assert knee_of(np.array(rate), np.array(distortion)) is None
