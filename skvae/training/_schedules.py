"""Learning-rate schedules, as factors of `learning_rate_init`."""

import math
from collections.abc import Callable

# Smith (2018): 30 % of the steps upwards from a 25th, the rest down along a cosine to
# a 10,000th of the start.
_RISE = 0.3
_START = 1.0 / 25.0
_END = _START / 1e4

# Smith (2017) finds both bounds by a range test, and in its absence puts the lower one
# at a third or a quarter of the upper one. Here it is where `one_cycle` starts, a
# 25th: training ends at the bottom of the last cycle, and at a third of the highest
# rate the noise of the gradient would still move the weights that are kept.
_N_CYCLES = 4
_BOTTOM = _START


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


def cyclical(progress: float) -> float:
    """Straight up from 1/25 to 1 and down again, four times."""
    half = 0.5 / _N_CYCLES
    cycle = math.floor(1.0 + progress / (2.0 * half))
    distance = abs(progress / half - 2.0 * cycle + 1.0)
    return 1.0 + (_BOTTOM - 1.0) * distance


#: Each maps the fraction of the planned steps that are done to a factor.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "cyclical": cyclical,
    "one_cycle": one_cycle,
}
