"""ControlVAE: a PI controller that holds the rate."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import Sizes, Terms
from skvae.balance._set_point import RateSetPoint, rate_at

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.linear._model import LinearModel


class ControlState(NamedTuple):
    """State of `Control`."""

    beta: Tensor
    variance: Tensor
    target: Tensor
    """Rate to hold in nats per row, of shape (n_replicas,)."""
    integral: Tensor
    """Integral term with its sign, of shape (n_replicas,)."""


class Control(RateSetPoint):
    r"""Hold the rate at a target by a PI controller.

    With the error :math:`e_t = C - \mathrm{rate}_t`, C = `target`, and the logistic
    function s, the weight after step t is [1]_

    .. math:: \beta_t = \beta_{min} + K_p\, s(-e_t) - K_i \sum_{u \le t} e_u

    within :math:`[\beta_{min}, \beta_{max}]`. The sum is the estimator's beta at the
    start, and is kept from growing beyond what the limits let through.

    Parameters
    ----------
    target : float or "auto", default="auto"
        C in nats per row, above 0. "auto" is the rate of probabilistic PCA with as
        many latents, in closed form (with a noise of at least a thousandth of the
        mean eigenvalue); it needs a likelihood with a variance.

    proportional : float, default=0.01
        :math:`K_p`, at least 0.

    integral : float, default=0.001
        :math:`K_i` per nat, above 0.

    min_beta : float, default=0.0
        Smallest beta, at least 0.

    max_beta : float, default=100.0
        Largest beta, above `min_beta`.

    See Also
    --------
    Dynamic : The increments of such a controller, from a smoothed rate.
    Capacity : Hold the rate by a penalty.
    Geco : Hold the distortion in place of the rate.

    Notes
    -----
    Published are :math:`K_p = 0.01` throughout; :math:`K_i = 10^{-4}` with beta from
    0 to 1 for pictures and text, which starts at ``beta=0``; and :math:`K_i = 10^{-3}`
    with a beta of at least 1 and a target raised by 0.15 nats every 5,000 steps, for
    disentangling. The larger gain settles within the few thousand steps that a table
    gets.

    A controller whose sum goes on while beta is at a limit takes as long to come
    back as it was there; this one leaves a limit as soon as the error changes sign.

    References
    ----------
    .. [1] H. Shao, S. Yao, D. Sun, A. Zhang, S. Liu, D. Liu, J. Wang and T. Abdelzaher,
       "ControlVAE: Controllable variational autoencoder", ICML 2020.
       https://arxiv.org/abs/2004.05988

    Examples
    --------
    >>> from skvae.balance import Control
    >>> Control(target=3.0)
    Control(target=3.0)
    """

    _parameter_constraints = {
        "target": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "proportional": [Interval(Real, 0, None, closed="left")],
        "integral": [Interval(Real, 0, None, closed="neither")],
        "min_beta": [Interval(Real, 0, None, closed="left")],
        "max_beta": [Interval(Real, 0, None, closed="neither")],
    }

    out_of_reach = (
        "Choose a target between the two, a smaller min_beta, which raises the "
        "second, or a larger max_beta, which lowers the first."
    )

    def __init__(
        self,
        target: float | str = "auto",
        proportional: float = 0.01,
        integral: float = 1e-3,
        min_beta: float = 0.0,
        max_beta: float = 100.0,
    ) -> None:
        self.target = target
        self.proportional = proportional
        self.integral = integral
        self.min_beta = min_beta
        self.max_beta = max_beta

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: the requested beta."""
        if self.min_beta >= self.max_beta:
            raise ValueError(
                f"min_beta of Control must be below max_beta, got {self.min_beta} and "
                f"{self.max_beta}."
            )
        target = self.start_target(beta, sizes)
        beta = beta.clamp(self.min_beta, self.max_beta)
        return ControlState(
            beta=beta,
            variance=self.start_variance(sizes),
            target=target,
            integral=beta - self.min_beta,
        )

    def reach(
        self, model: LinearModel, beta: Tensor, sizes: Sizes
    ) -> tuple[float, float]:
        """Rates at the limits of beta."""
        return rate_at(model, self.max_beta), rate_at(model, self.min_beta)

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: beta against the error."""
        error = state.target - terms.rate
        proportional = self.proportional * (-error).sigmoid()
        integral = state.integral - self.integral * error
        # Never more than the limits of beta let through, or it would have to be
        # undone before beta moves again.
        room = self.max_beta - self.min_beta
        integral = integral.maximum(-proportional).minimum(room - proportional)
        beta = self.min_beta + proportional + integral
        return state._replace(
            beta=beta.clamp(self.min_beta, self.max_beta), integral=integral
        )
