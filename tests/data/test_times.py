"""Times of all units and libraries as seconds, and back."""

import datetime as dt

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.data._times import PYTHON_TIMES, Time, python_seconds, seconds_of

INSTANT = "2021-03-04T05:06:07.123456"


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_an_instant_is_one_number_in_every_unit(unit):
    seconds = seconds_of(np.array([INSTANT, "NaT"], dtype=f"datetime64[{unit}]"))
    moment = dt.datetime.fromisoformat(INSTANT)
    assert seconds[0] == python_seconds(moment)
    assert seconds[0] == python_seconds(moment.replace(tzinfo=dt.UTC))
    assert np.isnan(seconds[1])


def test_units_of_calendars_count_from_their_start():
    months = np.array(["2020-02"], dtype="datetime64[M]")
    assert_array_equal(seconds_of(months), seconds_of(months.astype("datetime64[s]")))


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    ("form", "letter"), [("instant", "M"), ("duration", "m"), ("clock", "m")]
)
def test_there_and_back(unit, form, letter):
    ticks = np.array([0, 1, 7, "NaT"], dtype=f"{letter}8[{unit}]")
    if form == "clock" and unit == "D":
        pytest.skip("a time of day has no unit of days")
    again = Time(form, unit).to_values(seconds_of(ticks))
    assert again.dtype == ticks.dtype
    assert_array_equal(again, ticks)


@pytest.mark.parametrize(
    ("form", "unit"),
    [("instant", "ns"), ("instant", "us"), ("duration", "ns"), ("duration", "s")],
)
def test_what_is_drawn_far_away_stays_in_the_type(form, unit):
    low, high = Time(form, unit).to_values(np.array([-1e300, 1e300]))
    assert low < np.array(0, low.dtype) < high


def test_a_time_of_day_stays_within_the_day():
    early, late = PYTHON_TIMES["time"].to_values(np.array([-5.0, 1e9]))
    assert (early, late) == (dt.time(0), dt.time(23, 59, 59, 999999))


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2021, 3, 4, 5, 6, 7, 8),
        dt.date(1969, 12, 31),
        dt.time(1, 2, 3, 4),
        dt.timedelta(days=-1, microseconds=5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_python_objects_come_back(value):
    kind = PYTHON_TIMES[type(value).__name__]
    found = kind.to_values(np.array([python_seconds(value), np.nan]))
    assert found.tolist() == [value, None]


def test_python_objects_come_back_in_their_zone():
    zone = dt.timezone(dt.timedelta(hours=5))
    value = dt.datetime(2021, 3, 4, 5, tzinfo=zone)
    kind = Time("instant", "us", "datetime", zone)
    (found,) = kind.to_values(np.array([python_seconds(value)]))
    assert found == value
    assert found.tzinfo is zone
