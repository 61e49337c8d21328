"""Controlled capacity: a rate of a given number of nats."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import Sizes, Terms
from skvae.balance._set_point import RateSetPoint, rate_at

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.linear._model import LinearModel


class CapacityState(NamedTuple):
    """State of `Capacity`."""

    beta: Tensor
    variance: Tensor
    target: Tensor
    """Rate to hold in nats per row, of shape (n_replicas,)."""


class Capacity(RateSetPoint):
    r"""Charge for each nat by which the rate misses a target.

    With C = `target` the objective is [1]_

    .. math:: \mathrm{distortion} + \gamma\, |\mathrm{rate} - C|, \qquad
              \gamma = \mathrm{weight} \cdot \beta

    where beta is the estimator's. If :math:`\gamma` is large enough, the rate ends at
    C whatever the data are, and the distortion is the least that this rate allows.

    Parameters
    ----------
    target : float or "auto", default="auto"
        C in nats per row, at least 0. "auto" is the rate of probabilistic PCA with
        as many latents, in closed form (with a noise of at least a thousandth of the
        mean eigenvalue); it needs a likelihood with a variance.

    weight : float, default=5.0
        :math:`\gamma` at ``beta=1``, above 0.

    per_row : bool, default=False
        If True, each row is to have the rate C, and not only their mean:
        :math:`\gamma` weighs the mean of :math:`|\mathrm{KL}_i - C|` over rows i,
        which is never smaller.

    See Also
    --------
    Control : Hold the rate by a moving beta.
    FreeBits : Charge only for nats above a floor.

    Notes
    -----
    `beta_` is :math:`\gamma`, the weight in force of a missing or surplus nat, and
    `theta_` its product with the decoder's variance. The effective weight of the rate
    at the target is lower: the slope of the rate-distortion function at C, which has to
    be below :math:`\gamma`, or else the rate stays above C.

    Published are a weight of 1000 and targets that rise from 0 to 25 nats over
    100,000 steps, on pictures of thousands of pixels whose distortion is of the order
    of the penalty. An adaptive optimiser scales its steps by the largest part of the
    gradient, which is the penalty's, so that with a weight of 1000 a table's
    distortion would hardly be trained.

    References
    ----------
    .. [1] C. P. Burgess, I. Higgins, A. Pal, L. Matthey, N. Watters, G. Desjardins
       and A. Lerchner, "Understanding disentangling in beta-VAE", NeurIPS 2017
       workshop on learning disentangled representations.
       https://arxiv.org/abs/1804.03599

    Examples
    --------
    >>> from skvae.balance import Capacity
    >>> Capacity(target=3.0)
    Capacity(target=3.0)
    """

    _parameter_constraints = {
        "target": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "weight": [Interval(Real, 0, None, closed="neither")],
        "per_row": ["boolean"],
    }

    out_of_reach = (
        "Choose a target between the two, or a larger weight, which lowers the first."
    )

    def __init__(
        self,
        target: float | str = "auto",
        weight: float = 5.0,
        per_row: bool = False,
    ) -> None:
        self.target = target
        self.weight = weight
        self.per_row = per_row

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: the target, and weight times beta."""
        return CapacityState(
            beta=self.weight * beta,
            variance=self.start_variance(sizes),
            target=self.start_target(beta, sizes),
        )

    def reach(
        self, model: LinearModel, beta: Tensor, sizes: Sizes
    ) -> tuple[float, float]:
        """Rates at which a nat is worth less than gamma."""
        gamma = self.weight * float(beta.min())
        # At beta = 0 there is no target.
        low = model.rate(gamma) if gamma > 0.0 else 0.0
        return low, rate_at(model, 0.0)

    def objective(self, terms: Terms, state: Any) -> Tensor:
        """Distortion and the weighted distance of the rate from its target."""
        if self.per_row:
            miss = terms.mean((terms.kl.sum(dim=2) - state.target[:, None]).abs())
        else:
            miss = (terms.rate - state.target).abs()
        return terms.distortion + state.beta * miss
