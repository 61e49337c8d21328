"""A constant learning rate."""

from __future__ import annotations

from skvae.learning_rates._base import LearningRate


class Constant(LearningRate):
    """Leave the learning rate where it is.

    Where training has no planned end. The noise of the gradient keeps moving the
    weights, so that they end further from the optimum than with a rate that falls.

    See Also
    --------
    Cosine : Falls to zero.

    Examples
    --------
    >>> from skvae.learning_rates import Constant
    >>> Constant()(0.5)
    1.0
    """

    def curve(self, progress: float) -> float:
        """Factor 1 throughout."""
        return 1.0

    def without_end(self, n_steps: float) -> float:
        """Factor 1 throughout, so that the latest rows always count as much."""
        return 1.0
