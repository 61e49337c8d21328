"""Times as seconds, and the way back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

# Ticks in a second; a day is the only unit longer than that.
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400

# Seconds since 1970 that every library can show: the years 1 to 9999. In nanoseconds,
# 64 bits hold some 292 years around it.
_YEARS = -62_135_596_800.0, 253_402_300_799.0
_OF_NANOSECONDS = 9_223_372_000.0
_LONGEST = dt.timedelta.max.total_seconds() - 1.0


def seconds_of(times: NDArray[Any]) -> NDArray[np.float64]:
    """Times or durations in seconds, NaN where there is none.

    The same instant gives the same number whatever its unit is.

    Parameters
    ----------
    times : ndarray of dtype datetime64 or timedelta64

    Examples
    --------
    >>> import numpy as np
    >>> seconds_of(np.array(["1970-01-02", "NaT"], dtype="datetime64[D]"))
    array([86400.,    nan])
    """
    unit, step = np.datetime_data(times.dtype)
    if unit not in (*_PER_SECOND, "D") or step != 1:
        kind = times.dtype.kind
        return seconds_of(times.astype(f"{kind}8[s]"))
    ticks = times.view(np.int64)
    if unit == "D":
        seconds = ticks * float(_DAY)
    else:
        whole, rest = np.divmod(ticks, _PER_SECOND[unit])
        seconds = whole + rest / _PER_SECOND[unit]
    return np.where(np.isnat(times), np.nan, seconds)


@dataclass(frozen=True)
class Time:
    """Column of instants, durations or times of day, as seconds.

    Attributes
    ----------
    form : {"instant", "duration", "clock"}
        Instants count from 1970 in universal time, times of day from midnight.
    unit : {"D", "s", "ms", "us", "ns"}
        Resolution of the values.
    python : {"datetime", "date", "time", "timedelta"} or None
        Type of the values where they are Python objects.
    zone : tzinfo or None
        Time zone of Python objects.
    """

    form: str
    unit: str
    python: str | None = None
    zone: Any = None

    def to_values(self, numbers: Floats) -> NDArray[Any]:
        """Values of seconds: of dtype datetime64 or timedelta64, or Python objects."""
        numbers = np.clip(numbers.astype(np.float64), *self._range())
        missing = np.isnan(numbers)
        filled = np.where(missing, 0.0, numbers)
        if self.unit == "D":
            ticks = np.rint(filled / _DAY).astype(np.int64)
        else:
            whole = np.floor(filled)
            per_second = _PER_SECOND[self.unit]
            rest = np.rint((filled - whole) * per_second)
            ticks = whole.astype(np.int64) * per_second + rest.astype(np.int64)
        letter = "M" if self.form == "instant" else "m"
        times = ticks.view(f"{letter}8[{self.unit}]")
        times[missing] = np.array("NaT", dtype=times.dtype)
        return times if self.python is None else self._as_python(times)

    def _range(self) -> tuple[float, float]:
        """Seconds that values of the type can be."""
        if self.form == "clock":
            # Half a tick less than a day rounds to the last tick.
            return 0.0, _DAY - 0.75 / _PER_SECOND[self.unit]
        if self.unit == "ns":
            return -_OF_NANOSECONDS, _OF_NANOSECONDS
        return _YEARS if self.form == "instant" else (-_LONGEST, _LONGEST)

    def _as_python(self, times: NDArray[Any]) -> NDArray[np.object_]:
        """Times as objects of the standard library, None where missing."""
        found = times.astype(object)
        for i, value in enumerate(found):
            if value is None:
                continue
            if self.python == "time":
                found[i] = (dt.datetime.min + value).time()
            elif self.zone is not None:
                found[i] = value.replace(tzinfo=dt.UTC).astimezone(self.zone)
        return found


#: Resolution of the types of the standard library.
PYTHON_TIMES = {
    "datetime": Time("instant", "us", "datetime"),
    "date": Time("instant", "D", "date"),
    "time": Time("clock", "us", "time"),
    "timedelta": Time("duration", "us", "timedelta"),
}


def python_seconds(value: Any) -> float:
    """Seconds of an object of the standard library.

    >>> import datetime
    >>> python_seconds(datetime.date(1970, 1, 2))
    86400.0
    >>> python_seconds(datetime.time(0, 1))
    60.0
    """
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.time):
        midnight = dt.datetime.min
        return (dt.datetime.combine(midnight, value) - midnight).total_seconds()
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=dt.UTC)
        return (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds()
    return float((value - dt.date(1970, 1, 1)).days * _DAY)
