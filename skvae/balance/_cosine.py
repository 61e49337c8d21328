"""Cosine warm-up of beta."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval
from skvae.balance._base import BalancePolicy
from skvae.balance._schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Cosine(Schedule):
    r"""Raise beta along half a cosine, then hold it.

    With t the fraction of the planned optimiser steps that are done and T = `warmup`,

    .. math:: \beta_t = \frac{\beta}{2} \left( 1 - \cos(\pi \min(1, t / T)) \right)

    which leaves 0 slowly and reaches beta slowly, one of the shapes of [1]_.

    Parameters
    ----------
    warmup : float, default=0.25
        Fraction of the planned steps until beta is reached, in (0, 1].

    policy : BalancePolicy or None, default=None
        The policy whose beta is brought in, such as `LearnedVariance()`. None is
        `Constant()`.

    See Also
    --------
    Linear : At one pace.
    Sigmoid : Steeper in the middle.
    Cyclical : The rise repeated.

    Notes
    -----
    The paper repeats the shape, on language models; a single rise of it is
    ``Cyclical(n_cycles=1, shape="cosine")`` too. Early stopping waits for its end.

    References
    ----------
    .. [1] H. Fu, C. Li, X. Liu, J. Gao, A. Celikyilmaz and L. Carin, "Cyclical
       annealing schedule: A simple approach to mitigating KL vanishing", NAACL 2019.
       https://arxiv.org/abs/1903.10145

    Examples
    --------
    >>> from skvae.balance import Cosine, RunningAverage
    >>> Cosine(warmup=0.5)
    Cosine(warmup=0.5)
    >>> Cosine(policy=RunningAverage())
    Cosine(policy=RunningAverage())
    """

    _parameter_constraints = {
        "warmup": [Interval(Real, 0, 1, closed="right")],
        "policy": [BalancePolicy, None],
    }

    def __init__(
        self, warmup: float = 0.25, policy: BalancePolicy | None = None
    ) -> None:
        self.warmup = warmup
        self.policy = policy

    def curve(self, fraction: Tensor) -> Tensor:
        """Factor of beta: half a cosine from 0 to 1."""
        return 0.5 * (1.0 - (math.pi * fraction).cos())
