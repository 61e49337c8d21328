"""Base of the schedules: beta as a function of the fraction of the planned steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skvae.balance._base import Sizes, Terms, fraction_of
from skvae.balance._wrapper import Wrapper

if TYPE_CHECKING:
    from torch import Tensor


class Schedule(Wrapper):
    r"""Base of the policies that bring beta in over the first part of the training.

    A subclass gives the curve f, from 0 to 1. With t the fraction of the planned
    optimiser steps that are done, T = `warmup` and :math:`\beta` the weight that the
    policy inside has at the time,

    .. math:: \beta_t = \beta_0 + (\beta - \beta_0)\, f(t / T)

    until the schedule is complete, and :math:`\beta_t = \beta` from there on, to the
    last bit. A schedule is a fraction of the planned steps, never a number of epochs,
    and so it always ends; early stopping waits for its end.

    Parameters
    ----------
    policy : BalancePolicy or None, default=None
        The policy whose beta is brought in. None is `Constant()`.

    See Also
    --------
    Linear : At one pace; the simplest member.
    Ramp : The same for a set point.

    Examples
    --------
    >>> from skvae.balance import Schedule
    >>> class Quadratic(Schedule):
    ...     warmup = 0.25
    ...
    ...     def curve(self, fraction):
    ...         return fraction**2
    >>> Quadratic()
    Quadratic()
    """

    #: Where beta starts.
    start = 0.0

    #: Fraction of the planned steps that the curve is stretched over.
    warmup: float

    @property
    def ends_at_beta(self) -> bool:  # type: ignore[override]
        """True where the policy inside ends at the requested beta."""
        return self.inner.ends_at_beta

    @property
    def completed_at(self) -> float:
        """Fraction of the planned steps after which beta is no longer held down."""
        return self.warmup

    @property
    def settled_at(self) -> float:
        """Fraction of the planned steps after which the requested beta is reached."""
        return max(self.completed_at, super().settled_at)

    def curve(self, fraction: Tensor) -> Tensor:
        """Factor of beta, in [0, 1], when a fraction in [0, 1) of `warmup` is done."""
        raise NotImplementedError

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: beta at the start of the curve."""
        return self._on_curve(super().init_state(beta, sizes), 0.0)

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: beta on its curve."""
        return self._on_curve(super().update(state, terms, progress), progress)

    def _on_curve(self, state: Any, progress: float | Tensor) -> Any:
        full = state.inner.beta
        progress = fraction_of(progress, full)
        factor = self.curve(progress / self.warmup)
        # Not start + factor * difference, which rounds at the end point.
        beta = (1.0 - factor) * self.start + factor * full
        return state._replace(beta=beta.where(progress < self.completed_at, full))
