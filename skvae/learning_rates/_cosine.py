"""A learning rate that falls along a cosine, with restarts."""

from __future__ import annotations

import math
from numbers import Integral, Real

from skvae._sklearn_compat import Interval
from skvae.learning_rates._base import LearningRate


class Cosine(LearningRate):
    r"""Lower the learning rate along half a cosine, once or with warm restarts.

    With v the fraction of the current cycle that is done and l = `lowest` (Eq. 5 in
    [1]_),

    .. math:: f = l + (1 - l)\, (1 + \cos \pi v) / 2.

    At the end of each cycle but the last one, the rate jumps back to the highest.

    Parameters
    ----------
    n_cycles : int, default=1
        Number of cycles, at least 1: one more than there are restarts.

    growth : float, default=1.0
        Steps of each cycle relative to the one before, at least 1. The paper
        recommends 2 with restarts.

    lowest : float, default=0.0
        Factor of `learning_rate_init` at the end of a cycle, in [0, 1].

    See Also
    --------
    OneCycle : With a rise before the descent.
    Cyclical : Rises and falls at one pace.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm
       restarts", ICLR 2017. https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> from skvae.learning_rates import Cosine
    >>> rate = Cosine(n_cycles=2, growth=3.0)
    >>> [round(rate(progress), 6) for progress in (0.0, 0.125, 0.25, 0.625, 1.0)]
    [1.0, 0.5, 1.0, 0.5, 0.0]
    """

    _parameter_constraints = {
        "n_cycles": [Interval(Integral, 1, None, closed="left")],
        "growth": [Interval(Real, 1, None, closed="left")],
        "lowest": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self, n_cycles: int = 1, growth: float = 1.0, lowest: float = 0.0
    ) -> None:
        self.n_cycles = n_cycles
        self.growth = growth
        self.lowest = lowest

    def curve(self, progress: float) -> float:
        """Half a cosine from 1 down to `lowest` in each cycle."""
        # In units of the last and longest one, so that none is too large for a float.
        growth = float(self.growth)
        lengths = [growth**-i for i in reversed(range(self.n_cycles))]
        passed = progress * sum(lengths)
        for length in lengths[:-1]:
            if passed < length:
                break
            passed -= length
        else:
            # The last cycle has an end, and no restart.
            length = lengths[-1]
        descent = 0.5 * (1.0 + math.cos(math.pi * (passed / length)))
        return self.lowest + (1.0 - self.lowest) * descent
