"""Sigmoid warm-up of beta."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval
from skvae.balance._base import BalancePolicy
from skvae.balance._schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Sigmoid(Schedule):
    r"""Raise beta along a logistic curve, then hold it.

    With t the fraction of the planned optimiser steps that are done, T = `warmup` and s
    the logistic function,

    .. math:: \beta_t = \beta\, s\left( \frac{t - T / 2}{T / 10} \right)
              \quad \text{for } t < T, \qquad \beta_t = \beta \text{ from there on}

    so that latents are free for a while, and the full weight is nearly there for a
    while before it counts [1]_. The curve starts at 0.0067 times beta and has
    reached 0.9933 times beta just before its end.

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
    Cosine : Less steep in the middle, and from 0.

    Notes
    -----
    The paper trained on text, with beta 1. For any other the whole curve is scaled:
    one that rises to 1 whatever beta is would jump at T.

    References
    ----------
    .. [1] S. R. Bowman, L. Vilnis, O. Vinyals, A. M. Dai, R. Jozefowicz and
       S. Bengio, "Generating sentences from a continuous space", CoNLL 2016.
       https://arxiv.org/abs/1511.06349

    Examples
    --------
    >>> from skvae.balance import Normalized, Sigmoid
    >>> Sigmoid(warmup=0.5)
    Sigmoid(warmup=0.5)
    >>> Sigmoid(policy=Normalized())
    Sigmoid(policy=Normalized())
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
        """Factor of beta: the logistic function from -5 to 5."""
        return (10.0 * fraction - 5.0).sigmoid()
