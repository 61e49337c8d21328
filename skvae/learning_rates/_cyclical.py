"""Cycles of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real

from skvae._sklearn_compat import Interval, StrOptions
from skvae.learning_rates._base import LearningRate

# Fall from the middle of a cycle to its ends, for distances from 0 to 1.
_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda distance: distance,
    "cosine": lambda distance: 0.5 * (1.0 - math.cos(math.pi * distance)),
}


class Cyclical(LearningRate):
    r"""Let the learning rate rise and fall several times.

    With t the fraction of the planned steps that are done, C = `n_cycles`, l =
    `lowest`, and :math:`k = \lfloor C t \rfloor` the cycles that are complete [1]_,

    .. math:: f(t) = h_k + (l - h_k)\, s(|2 (C t - k) - 1|), \qquad
              h_k = l + (1 - l)\, d^k

    where s is the shape and d = `decay` lowers the tops of later cycles.

    Parameters
    ----------
    n_cycles : int, default=4
        Number of cycles C, at least 1.

    lowest : float, default=0.04
        Factor of `learning_rate_init` at both ends of a cycle, in [0, 1]. The paper
        puts it at a third or a quarter. Here training ends at the bottom of the last
        cycle, and so high a rate would still move the weights that are kept.

    shape : {"linear", "cosine"}, default="linear"
        How the rate rises and falls: s(v) is v, as in the paper, or half a cosine.

    decay : float, default=1.0
        Height of each cycle relative to the one before, in (0, 1]. 1 is the policy
        "triangular" of the paper, 0.5 is "triangular2".

    See Also
    --------
    OneCycle : A single cycle that ends lower.
    Cosine : Falls slowly and restarts at once.

    References
    ----------
    .. [1] L. N. Smith, "Cyclical learning rates for training neural networks", WACV
       2017. https://arxiv.org/abs/1506.01186

    Examples
    --------
    >>> from skvae.learning_rates import Cyclical
    >>> rate = Cyclical(n_cycles=2, lowest=0.0, decay=0.5)
    >>> [rate(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [0.0, 1.0, 0.0, 0.5, 0.0]
    """

    _parameter_constraints = {
        "n_cycles": [Interval(Integral, 1, None, closed="left")],
        "lowest": [Interval(Real, 0, 1, closed="both")],
        "shape": [StrOptions(set(_SHAPES))],
        "decay": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        n_cycles: int = 4,
        lowest: float = 0.04,
        shape: str = "linear",
        decay: float = 1.0,
    ) -> None:
        self.n_cycles = n_cycles
        self.lowest = lowest
        self.shape = shape
        self.decay = decay

    def curve(self, progress: float) -> float:
        """Rise from `lowest` to the height of the cycle, and fall back."""
        half = 0.5 / self.n_cycles
        cycle = math.floor(1.0 + progress / (2.0 * half))
        distance = abs(progress / half - 2.0 * cycle + 1.0)
        # Exactly 1 without decay.
        height = 1.0 - (1.0 - self.decay ** (cycle - 1)) * (1.0 - self.lowest)
        return height + (self.lowest - height) * _SHAPES[self.shape](distance)
