"""Base of the learning rates: a factor for each fraction of the planned steps."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from sklearn.base import BaseEstimator

# Fractions of the planned steps at which a curve is tried before a training.
_N_TRIED = 101

# Steps in which the learning rate rises where training has no planned end.
_N_RISING = 150


class LearningRate(BaseEstimator):
    """Base of the learning rates over the planned optimiser steps.

    A subclass gives the curve. The learning rate of a step is `learning_rate_init`
    times the curve at the fraction of the planned steps that are done, from 0 for the
    first step to almost 1 for the last one. A plain function of that fraction can take
    the place of an instance; a subclass also has parameters that a search can set.

    See Also
    --------
    OneCycle : The default.

    Examples
    --------
    >>> from skvae.learning_rates import LearningRate
    >>> class Polynomial(LearningRate):
    ...     def __init__(self, power=2.0):
    ...         self.power = power
    ...
    ...     def curve(self, progress):
    ...         return (1.0 - progress) ** self.power
    >>> Polynomial(power=3.0)(0.5)
    0.125
    """

    _parameter_constraints: dict[str, list] = {}

    def curve(self, progress: float) -> float:
        """Factor of `learning_rate_init`.

        Parameters
        ----------
        progress : float
            Fraction of the planned steps that are done, in [0, 1].

        Returns
        -------
        factor : float
            Finite and at least 0.
        """
        raise NotImplementedError

    def without_end(self, n_steps: float) -> float:
        """Factor after some steps of a training that has no planned end.

        It rises over the first 150 steps, in which Adam learns the sizes of the
        gradients, and then falls with the root of their number.
        """
        done = n_steps / _N_RISING
        return min(done, done**-0.5)

    def check(self) -> None:
        """Raise an error where the settings give no learning rate.

        Called before a training, so that it does not end in the middle.
        """
        for i in range(_N_TRIED):
            self(i / (_N_TRIED - 1))

    def __call__(self, progress: float) -> float:
        """Value of the curve, or ValueError where that is no factor."""
        factor: Any = self.curve(progress)
        if not isinstance(factor, Real) or not 0.0 <= float(factor) < math.inf:
            raise ValueError(
                f"learning_rate={self.as_given!r} must return a finite number of at "
                "least 0, the factor of learning_rate_init, for every fraction of the "
                f"planned steps in [0, 1], but returned {factor!r} for {progress!r}."
            )
        return float(factor)

    @property
    def as_given(self) -> Any:
        """Value of the estimator's parameter, for messages."""
        return self
