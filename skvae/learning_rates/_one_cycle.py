"""One cycle of the learning rate: up, and down to almost nothing."""

from __future__ import annotations

import math
from numbers import Real

from skvae._sklearn_compat import Interval
from skvae.learning_rates._base import LearningRate


class OneCycle(LearningRate):
    r"""Raise the learning rate along half a cosine, then lower it along another.

    With t the fraction of the planned steps that are done, R = `rise`, a = `start`,
    b = `end` and :math:`c(v) = (1 + \cos \pi v) / 2` [1]_,

    .. math:: f(t) = 1 + (a - 1)\, c(t / R) \text{ for } t < R, \qquad
              f(t) = b + (1 - b)\, c\!\left(\frac{t - R}{1 - R}\right)
              \text{ for } t \ge R.

    A high rate in the middle finds a flat region in few steps, and the long descent
    averages the noise of the gradient out.

    Parameters
    ----------
    rise : float, default=0.3
        Fraction of the planned steps in which the rate rises, in (0, 1).

    start : float, default=0.04
        Factor of `learning_rate_init` at the first step, in (0, 1].

    end : float, default=4e-6
        Factor of `learning_rate_init` at the end, in [0, 1].

    See Also
    --------
    Cosine : The descent alone.
    Cyclical : Several cycles.

    Notes
    -----
    The paper has straight lines; cosines, and these defaults, are those of the
    implementations in fastai and torch.

    References
    ----------
    .. [1] L. N. Smith and N. Topin, "Super-convergence: Very fast training of neural
       networks using large learning rates", 2018. https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> from skvae.learning_rates import OneCycle
    >>> rate = OneCycle(rise=0.25, end=0.0)
    >>> [round(rate(progress), 6) for progress in (0.0, 0.25, 1.0)]
    [0.04, 1.0, 0.0]
    """

    _parameter_constraints = {
        "rise": [Interval(Real, 0, 1, closed="neither")],
        "start": [Interval(Real, 0, 1, closed="right")],
        "end": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self, rise: float = 0.3, start: float = 0.04, end: float = 4e-6
    ) -> None:
        self.rise = rise
        self.start = start
        self.end = end

    def curve(self, progress: float) -> float:
        """Half a cosine up from `start` to 1, then one down to `end`."""
        if progress < self.rise:
            return 1.0 + (self.start - 1.0) * _descent(progress / self.rise)
        fraction = (progress - self.rise) / (1.0 - self.rise)
        return self.end + (1.0 - self.end) * _descent(fraction)


def _descent(fraction: float) -> float:
    """Half a cosine from 1 down to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * fraction))
