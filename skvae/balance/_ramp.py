"""A set point that is reached step by step."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval
from skvae.balance._base import BalancePolicy, Sizes, Terms, fraction_of
from skvae.balance._wrapper import Wrapper

if TYPE_CHECKING:
    from torch import Tensor


class RampState(NamedTuple):
    """State of `Ramp`."""

    beta: Tensor
    variance: Tensor
    inner: Any
    final: Tensor
    """Final set point, of shape (n_replicas,)."""


class Ramp(Wrapper):
    r"""Move the set point of a policy linearly to its value, then hold it.

    A set point C is what a policy steers to, such as a rate in nats per row. With t
    the fraction of the planned optimiser steps that are done and T = `warmup`, the
    policy inside sees

    .. math:: C_t = C_0 + (C - C_0) \min(1, t / T)

    as in controlled capacity [1]_, where latents are taken into use one after the
    other, the most useful first. The end point is exact, and early stopping waits
    for it.

    Parameters
    ----------
    policy : BalancePolicy
        The policy inside, one with a set point.

    start : float, default=0.0
        Where the set point starts, in its units. 0 is meant for a rate; for a
        distortion, start above the requested value.

    warmup : float, default=0.25
        Fraction of the planned steps until the set point is reached, in (0, 1].

    See Also
    --------
    Capacity, Control, Dynamic : Policies that steer to a rate.
    Geco : Steers to a distortion.
    Linear : The same for beta.

    Notes
    -----
    The paper raises the rate from 0 to 25 nats over 100,000 steps, on pictures.

    The policy inside has its set point in an entry `target` of its state, of shape
    (n_replicas,). A schedule of beta goes around a ramp, not between the two:
    ``Linear(policy=Ramp(policy))``.

    References
    ----------
    .. [1] C. P. Burgess, I. Higgins, A. Pal, L. Matthey, N. Watters, G. Desjardins
       and A. Lerchner, "Understanding disentangling in beta-VAE", 2018.
       https://arxiv.org/abs/1804.03599

    Examples
    --------
    >>> from skvae.balance import Capacity, Ramp
    >>> Ramp(Capacity(target=5.0), warmup=0.5)
    Ramp(policy=Capacity(target=5.0), warmup=0.5)
    """

    _parameter_constraints = {
        "policy": [BalancePolicy],
        "start": [Interval(Real, None, None, closed="neither")],
        "warmup": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self, policy: BalancePolicy, start: float = 0.0, warmup: float = 0.25
    ) -> None:
        self.policy = policy
        self.start = start
        self.warmup = warmup

    @property
    def settled_at(self) -> float:
        """Fraction of the planned steps after which the set point is reached."""
        return max(self.warmup, super().settled_at)

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: the set point at its start."""
        state = super().init_state(beta, sizes)
        if "target" not in state.inner._fields:
            raise ValueError(
                f"Ramp moves the set point of its policy, but policy={self.policy!r} "
                "has none: its state has no entry 'target'. Wrap Ramp around the "
                "policy that has the set point, as in Linear(policy=Ramp(policy)), "
                "or pass the policy without Ramp."
            )
        state = RampState(**state._asdict(), final=state.inner.target)
        return self._on_ramp(state, 0.0)

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: the set point on its ramp."""
        return self._on_ramp(super().update(state, terms, progress), progress)

    def _on_ramp(self, state: Any, progress: float | Tensor) -> Any:
        fraction = (fraction_of(progress, state.final) / self.warmup).clamp(max=1.0)
        target = (1.0 - fraction) * self.start + fraction * state.final
        return state._replace(inner=state.inner._replace(target=target))
