"""A learning rate that falls in steps."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from skvae._sklearn_compat import Interval
from skvae.learning_rates._base import LearningRate


class StepDecay(LearningRate):
    """Lower the learning rate by a factor at given fractions of the planned steps.

    Parameters
    ----------
    factor : float, default=0.1
        Factor of each step, in (0, 1). The published value for classifiers of
        pictures [1]_; the authors of the running average halve the rate [2]_.

    at : sequence of float, default=(0.5, 0.75)
        Fractions of the planned steps, in (0, 1), at which the rate falls. Those of
        the paper, which trains for 64,000 steps and divides at 32,000 and 48,000.

    See Also
    --------
    Cosine : Falls continuously.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image
       recognition", CVPR 2016, section 4.2. https://arxiv.org/abs/1512.03385
    .. [2] A. Asperti and M. Trentin, "Balancing reconstruction error and
       Kullback-Leibler divergence in variational autoencoders", IEEE Access 8,
       2020. https://arxiv.org/abs/2002.07514

    Examples
    --------
    Halved after each quarter:

    >>> from skvae.learning_rates import StepDecay
    >>> rate = StepDecay(factor=0.5, at=(0.25, 0.5, 0.75))
    >>> [rate(progress) for progress in (0.0, 0.25, 0.6, 1.0)]
    [1.0, 0.5, 0.25, 0.125]
    """

    _parameter_constraints = {
        "factor": [Interval(Real, 0, 1, closed="neither")],
        "at": ["array-like"],
    }

    def __init__(self, factor: float = 0.1, at: Sequence[float] = (0.5, 0.75)) -> None:
        self.factor = factor
        self.at = at

    def curve(self, progress: float) -> float:
        """Power of `factor`, one more for each fraction that is reached."""
        return self.factor ** sum(progress >= fraction for fraction in self.at)

    def check(self) -> None:
        """Raise ValueError where a fraction is none."""
        fraction: Any
        for fraction in self.at:
            if not isinstance(fraction, Real) or not 0.0 < float(fraction) < 1.0:
                raise ValueError(
                    "at of StepDecay must hold fractions of the planned steps, above "
                    f"0 and below 1, got {fraction!r}. An epoch e of max_iter is the "
                    "fraction e / max_iter."
                )
        super().check()
