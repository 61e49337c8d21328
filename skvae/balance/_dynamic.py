"""DynamicVAE: an incremental PI controller that holds the rate."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import Sizes, Terms
from skvae.balance._set_point import RateSetPoint, rate_at

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.linear._model import LinearModel


class DynamicState(NamedTuple):
    """State of `Dynamic`."""

    beta: Tensor
    variance: Tensor
    target: Tensor
    """Rate to hold in nats per row, of shape (n_replicas,)."""
    window: Tensor
    """Rates of the last batches, the newest last, of shape (n_replicas, window)."""
    n_seen: Tensor
    """Number of rates in the window, of shape (n_replicas,)."""
    proportional: Tensor
    """Proportional term of the last step, of shape (n_replicas,)."""


class Dynamic(RateSetPoint):
    r"""Hold the rate at a target by the increments of a PI controller.

    With the error :math:`e_t` of C = `target` minus the mean rate of the last
    batches, and the logistic function s, a step changes beta by [1]_

    .. math:: \beta_t = \max\left(\beta_{min},\; \beta_{t-1} +
              K_p\, [s(-e_t) - s(-e_{t-1})] - K_i\, e_t\right)

    from the estimator's beta on. Started high, the latents are let in one by one.

    Parameters
    ----------
    target : float or "auto", default="auto"
        C in nats per row, above 0. "auto" is the rate of probabilistic PCA with as
        many latents, in closed form (with a noise of at least a thousandth of the
        mean eigenvalue); it needs a likelihood with a variance.

    proportional : float, default=0.01
        :math:`K_p`, at least 0.

    integral : float, default=0.005
        :math:`K_i` per nat, above 0.

    min_beta : float, default=0.001
        Smallest beta, at least 0. At this floor an error that would lower beta
        further adds nothing to it.

    window : int, default=5
        Number of batches whose rate is averaged, at least 1.

    See Also
    --------
    Control : The controller itself, from the rate of the batch alone.

    Notes
    -----
    Published are :math:`K_p = 0.01`, :math:`K_i = 0.005`, five batches, a floor of
    0.1 and a start between 50 and 100 (``beta=50``), on pictures, with a target
    raised in small steps over some hundred thousand of them. On a standardized table
    the water level of probabilistic PCA is below 1 and often below 0.1, and a start
    at 50 takes most of a small fit to come down from.

    References
    ----------
    .. [1] H. Shao, Y. Yang, H. Lin, L. Lin, Y. Chen, Q. Yang and H. Zhao, "Rethinking
       controllable variational autoencoders", CVPR 2022.
       https://openaccess.thecvf.com/content/CVPR2022/html/Shao_Rethinking_Controllable_Variational_Autoencoders_CVPR_2022_paper.html

    Examples
    --------
    >>> from skvae.balance import Dynamic
    >>> Dynamic(target=3.0)
    Dynamic(target=3.0)
    """

    _parameter_constraints = {
        "target": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "proportional": [Interval(Real, 0, None, closed="left")],
        "integral": [Interval(Real, 0, None, closed="neither")],
        "min_beta": [Interval(Real, 0, None, closed="left")],
        "window": [Interval(Integral, 1, None, closed="left")],
    }

    out_of_reach = (
        "Choose a target between the two, or a smaller min_beta, which raises the "
        "second."
    )

    def __init__(
        self,
        target: float | str = "auto",
        proportional: float = 0.01,
        integral: float = 5e-3,
        min_beta: float = 1e-3,
        window: int = 5,
    ) -> None:
        self.target = target
        self.proportional = proportional
        self.integral = integral
        self.min_beta = min_beta
        self.window = window

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: the requested beta."""
        target = self.start_target(beta, sizes)
        return DynamicState(
            beta=beta.clamp(min=self.min_beta),
            variance=self.start_variance(sizes),
            target=target,
            window=beta.new_zeros((len(beta), self.window)),
            n_seen=0.0 * target,
            proportional=0.0 * target,
        )

    def reach(
        self, model: LinearModel, beta: Tensor, sizes: Sizes
    ) -> tuple[float, float]:
        """Rates at an infinite beta and at the floor."""
        return 0.0, rate_at(model, self.min_beta)

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: beta changed against the error."""
        window = state.window.roll(-1, dims=1)
        window[:, -1] = terms.rate
        n_seen = (state.n_seen + 1.0).clamp(max=self.window)
        error = state.target - window.sum(dim=1) / n_seen
        proportional = self.proportional * (-error).sigmoid()
        is_held = (state.beta <= self.min_beta) & (error > 0.0)
        integral = (self.integral * error).masked_fill(is_held, 0.0)
        beta = state.beta + (proportional - state.proportional) - integral
        return state._replace(
            beta=beta.clamp(min=self.min_beta),
            window=window,
            n_seen=n_seen,
            proportional=proportional,
        )
