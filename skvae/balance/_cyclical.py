"""Cyclical annealing of beta."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import BalancePolicy
from skvae.balance._schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

# Shapes of the rise within a cycle.
_SHAPES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda v: v,
    "sigmoid": lambda v: (12.0 * v - 6.0).sigmoid(),
    "cosine": lambda v: 0.5 * (1.0 - (math.pi * v).cos()),
}


class Cyclical(Schedule):
    r"""Raise beta from 0 several times, and hold it at the end of each cycle.

    With t the fraction of the planned optimiser steps that are done, T = `warmup`, C =
    `n_cycles` and R = `ratio` [1]_,

    .. math:: \tau = \mathrm{frac}(C\, t / T), \qquad
              \beta_t = \beta\, f(\tau / R) \text{ for } \tau < R, \qquad
              \beta_t = \beta \text{ for } \tau \ge R

    so that each cycle starts from latents that the cycle before has filled. From the
    plateau of the last cycle on, beta stays where it is: training never ends at a
    weight below it, and early stopping and the choice of the best weights look at
    nothing before.

    Parameters
    ----------
    n_cycles : int, default=4
        Number of cycles C, at least 1.

    ratio : float, default=0.5
        Fraction of a cycle in which beta rises, R, in (0, 1].

    shape : {"linear", "sigmoid", "cosine"}, default="linear"
        How beta rises: f(v) is v, the logistic function of 12 v - 6, or half a cosine.

    warmup : float, default=1.0
        Fraction of the planned steps that the cycles take, in (0, 1]. Below 1, training
        goes on at full weight after the last cycle.

    policy : BalancePolicy or None, default=None
        The policy whose beta is brought in, such as `LearnedVariance()`. None is
        `Constant()`.

    See Also
    --------
    Linear : One cycle.

    Notes
    -----
    Defaults are those of the paper, which trained language models at a learning rate
    of their own. The last plateau is then the last eighth of the training, where a
    decaying learning rate such as "one_cycle" leaves little to learn: with it,
    ``warmup=0.5`` ends closer to the optimum. One cycle is a warm-up over the fraction
    R T of the planned steps.

    References
    ----------
    .. [1] H. Fu, C. Li, X. Liu, J. Gao, A. Celikyilmaz and L. Carin, "Cyclical
       annealing schedule: A simple approach to mitigating KL vanishing", NAACL 2019.
       https://arxiv.org/abs/1903.10145

    Examples
    --------
    >>> from skvae.balance import Cyclical, LearnedVariance
    >>> Cyclical(n_cycles=3, shape="cosine")
    Cyclical(n_cycles=3, shape='cosine')
    >>> Cyclical(warmup=0.5, policy=LearnedVariance())
    Cyclical(policy=LearnedVariance(), warmup=0.5)
    """

    _parameter_constraints = {
        "n_cycles": [Interval(Integral, 1, None, closed="left")],
        "ratio": [Interval(Real, 0, 1, closed="right")],
        "shape": [StrOptions(set(_SHAPES))],
        "warmup": [Interval(Real, 0, 1, closed="right")],
        "policy": [BalancePolicy, None],
    }

    def __init__(
        self,
        n_cycles: int = 4,
        ratio: float = 0.5,
        shape: str = "linear",
        warmup: float = 1.0,
        policy: BalancePolicy | None = None,
    ) -> None:
        self.n_cycles = n_cycles
        self.ratio = ratio
        self.shape = shape
        self.warmup = warmup
        self.policy = policy

    @property
    def completed_at(self) -> float:
        """Fraction of the planned steps after which beta stays full."""
        return self.warmup * (self.n_cycles - 1 + self.ratio) / self.n_cycles

    def curve(self, fraction: Tensor) -> Tensor:
        """Factor of beta: the shape in the first part of a cycle, 1 in the rest."""
        rise = fraction * self.n_cycles % 1.0 / self.ratio
        return _SHAPES[self.shape](rise).where(rise < 1.0, 1.0)
