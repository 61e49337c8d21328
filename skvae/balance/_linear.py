"""Linear warm-up of beta."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from skvae._sklearn_compat import Interval
from skvae.balance._base import BalancePolicy
from skvae.balance._schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Linear(Schedule):
    r"""Raise beta linearly to its value, then hold it.

    With t the fraction of the planned optimiser steps that are done and T = `warmup`,

    .. math:: \beta_t = \beta_0 + (\beta - \beta_0) \min(1, t / T)

    so that latents carry something before the rate is charged in full [1]_ [2]_.
    The warm-up is a fraction of the planned steps, never a number of epochs, and so it
    always ends; early stopping waits for its end.

    Parameters
    ----------
    start : float, default=0.0
        Where beta starts, at least 0; 0.1 is also common.

    warmup : float, default=0.25
        Fraction of the planned steps until beta is reached, in (0, 1].

    policy : BalancePolicy or None, default=None
        The policy whose beta is brought in, such as `LearnedVariance()`. None is
        `Constant()`.

    See Also
    --------
    Constant : Full weight from the first step.
    Sigmoid : Slow at both ends, steep between.
    Cosine : Slow at both ends.
    Cyclical : The rise repeated.

    Notes
    -----
    The papers trained on text [1]_ and, with 200 epochs of warm-up, on pictures of
    digits [2]_. In the state of the policy inside, beta is full at any time: a
    policy that moves beta by itself is not affected by the warm-up.

    References
    ----------
    .. [1] S. R. Bowman, L. Vilnis, O. Vinyals, A. M. Dai, R. Jozefowicz and
       S. Bengio, "Generating sentences from a continuous space", CoNLL 2016.
       https://arxiv.org/abs/1511.06349
    .. [2] C. K. Sonderby, T. Raiko, L. Maaloe, S. K. Sonderby and O. Winther,
       "Ladder variational autoencoders", NeurIPS 2016.
       https://arxiv.org/abs/1602.02282

    Examples
    --------
    >>> from skvae.balance import LearnedVariance, Linear
    >>> Linear(warmup=0.5)
    Linear(warmup=0.5)
    >>> Linear(policy=LearnedVariance())
    Linear(policy=LearnedVariance())
    """

    _parameter_constraints = {
        "start": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="right")],
        "policy": [BalancePolicy, None],
    }

    def __init__(
        self,
        start: float = 0.0,
        warmup: float = 0.25,
        policy: BalancePolicy | None = None,
    ) -> None:
        self.start = start
        self.warmup = warmup
        self.policy = policy

    def curve(self, fraction: Tensor) -> Tensor:
        """Factor of beta: the fraction itself."""
        return fraction
