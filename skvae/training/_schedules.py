"""Learning-rate schedules, as factors of the learning rate asked for."""

import math
from collections.abc import Callable

# Smith (2018): 30 % of the steps upwards from a 25th, the rest down along a cosine to
# a 10,000th of the start.
_RISE = 0.3
_START = 1.0 / 25.0
_END = _START / 1e4


def constant(progress: float) -> float:
    """Factor 1 throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def one_cycle(progress: float) -> float:
    """Half a cosine up from 1/25 to 1, then one down to almost 0."""
    if progress < _RISE:
        return 1.0 + (_START - 1.0) * cosine(progress / _RISE)
    return _END + (1.0 - _END) * cosine((progress - _RISE) / (1.0 - _RISE))


#: Each maps the share of the planned steps that are done, in [0, 1], to a factor.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}
