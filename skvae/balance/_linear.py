"""Linear warm-up of beta."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval
from skvae.balance._base import BalancePolicy, Sizes, Terms

if TYPE_CHECKING:
    from torch import Tensor


class LinearState(NamedTuple):
    """State of `Linear`."""

    beta: Tensor
    variance: Tensor
    target: Tensor
    """The beta asked for, of shape (n_replicas,)."""


class Linear(BalancePolicy):
    r"""Raise beta linearly to its value, then hold it.

    With t the share of the planned optimiser steps that are done and T = `warmup`,

    .. math:: \beta_t = \beta_0 + (\beta - \beta_0) \min(1, t / T)

    so that latents carry something before the rate is charged in full [1]_ [2]_.
    The warm-up is a share of the planned steps, never a number of epochs, and so it
    always ends; early stopping waits for its end.

    Parameters
    ----------
    start : float, default=0.0
        Where beta starts, at least 0; 0.1 is also common.

    warmup : float, default=0.25
        Share of the planned steps until beta is reached, in (0, 1].

    See Also
    --------
    Constant : Full weight from the first step.

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
    >>> from skvae.balance import Linear
    >>> Linear(warmup=0.5)
    Linear(warmup=0.5)
    """

    _parameter_constraints = {
        "start": [Interval(Real, 0, None, closed="left")],
        "warmup": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(self, start: float = 0.0, warmup: float = 0.25) -> None:
        self.start = start
        self.warmup = warmup

    @property
    def settled_at(self) -> float:
        """Share of the planned steps after which the beta asked for is reached."""
        return self.warmup

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: beta at its start."""
        return LinearState(
            beta=self.start + 0.0 * beta,
            variance=self.start_variance(sizes),
            target=beta,
        )

    def update(self, state: Any, terms: Terms, progress: float) -> Any:
        """State after a step: beta on its line."""
        share = min(1.0, progress / self.warmup)
        return state._replace(beta=self.start + (state.target - self.start) * share)
