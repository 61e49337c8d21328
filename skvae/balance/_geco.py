"""GECO: a distortion of a given number of nats."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import Sizes, Terms, fraction_of
from skvae.balance._set_point import SetPoint

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.balance._base import RateTerm
    from skvae.linear._model import LinearModel

# Limits of beta, and of the factor by which one step changes it: the error of an
# untrained decoder does not predict the later one.
_LOWEST, _HIGHEST = 1e-10, 1e10
_SLOWEST, _FASTEST = 0.9, 1.1


class GecoState(NamedTuple):
    """State of `Geco`."""

    beta: Tensor
    variance: Tensor
    target: Tensor
    """Distortion to hold in nats per row of X, of shape (n_replicas,)."""
    log_jacobian: Tensor
    """Nats that the distortion gains in the units of X, of shape (n_replicas,)."""
    average: Tensor
    """Running average of the distortion in the units of X, of shape (n_replicas,)."""
    started: Tensor
    """0 before the first batch and 1 after it, of shape (n_replicas,)."""
    gain: Tensor
    """Change of log beta per nat and step, of shape (n_replicas,)."""


class Geco(SetPoint):
    r"""Minimise the rate subject to a distortion that is good enough.

    The weight of the rate falls while the distortion is above its target and rises
    while it is below. With the running average d of the distortion of the batches,

    .. math:: d \leftarrow \rho\, d + (1 - \rho)\, \mathrm{distortion}, \qquad
              \beta \leftarrow \beta\, e^{\eta\, (\mathrm{target} - d)}

    which is the multiplier of [1]_ written as a weight of the rate in place of the
    error. The estimator's beta is where it starts.

    Parameters
    ----------
    target : float or "auto", default="auto"
        Distortion to hold, in nats per row in the units of X. "auto" is that of
        probabilistic PCA with as many latents, in closed form (with a noise of at
        least a thousandth of the mean eigenvalue); it needs a likelihood with a
        variance.

    decay : float, default=0.99
        :math:`\rho`, the fraction of the average that a step keeps, in [0, 1).

    step : float, default=0.002
        Fraction of its way to the target that log beta goes in a step, above 0:
        :math:`\eta` is `step` over the nats by which the distortion of the linear
        model of the same size changes there for a unit of log beta. Without such a
        model, which needs a variance, half a nat for each latent is taken for them.

    speedup : float, default=10.0
        Factor of :math:`\eta` while the distortion is below its target, at least 1.

    hold : float, default=0.1
        Fraction of the planned steps before beta moves, in [0, 1).

    See Also
    --------
    Control : Hold the rate in place of the distortion.

    Notes
    -----
    A Gaussian decoder whose variance is free has unit variance while it trains, in
    units of the standardized columns. With D columns, an explained fraction s of their
    variance is then the target

    .. math:: \tfrac{D}{2} (1 - s + \log 2 \pi) + \sum_d \log \mathrm{sd}_d

    where the sum over the columns' standard deviations is left out with
    ``standardize=False``. Here 1 - s includes the noise of the latents: the
    distortion is a mean over draws of them.

    Published are a decay of 0.99, a start at 1, the speedup of 10, and an
    :math:`\eta` of about 1e-5 for errors summed over ten thousand pixels. Beta is held
    at first, so that the error of an untrained decoder does not drive it to zero, and a
    step changes it by at most a tenth, within 1e-10 and 1e10.

    References
    ----------
    .. [1] D. J. Rezende and F. Viola, "Taming VAEs", 2018.
       https://arxiv.org/abs/1810.00597

    Examples
    --------
    >>> from skvae.balance import Geco
    >>> Geco(decay=0.95)
    Geco(decay=0.95)
    """

    _parameter_constraints = {
        "target": [Interval(Real, None, None, closed="neither"), StrOptions({"auto"})],
        "decay": [Interval(Real, 0, 1, closed="left")],
        "step": [Interval(Real, 0, None, closed="neither")],
        "speedup": [Interval(Real, 1, None, closed="left")],
        "hold": [Interval(Real, 0, 1, closed="left")],
    }

    steered = "distortion"

    out_of_reach = (
        "Choose a target between the two, in the units of X, or more latents, which "
        "lower the first."
    )

    def __init__(
        self,
        target: float | str = "auto",
        decay: float = 0.99,
        step: float = 0.002,
        speedup: float = 10.0,
        hold: float = 0.1,
    ) -> None:
        self.target = target
        self.decay = decay
        self.step = step
        self.speedup = speedup
        self.hold = hold

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: the requested beta."""
        target = self.start_target(beta, sizes)
        return GecoState(
            beta=beta.clamp(_LOWEST, _HIGHEST),
            variance=self.start_variance(sizes),
            target=target,
            log_jacobian=beta.new_full(beta.shape, sizes.log_jacobian),
            average=target,
            started=0.0 * target,
            gain=beta.new_full(beta.shape, self.step / self._slope(target, sizes)),
        )

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why beta may become too large for a bound."""
        if divergence.is_bound:
            return "raises beta as far as its target requires, above 1 too"
        return ""

    def remedy(self, beta: float) -> str:
        """Return a sentence on what to change where latents have collapsed."""
        return "Lower the target of balance, which is a distortion, or train longer."

    def at_level(self, model: LinearModel, theta: float, sizes: Sizes) -> float:
        """Distortion at the linear model's optimum for a water level."""
        return 0.5 * model.squared_error(theta) + _constant(sizes)

    def reach(
        self, model: LinearModel, beta: Tensor, sizes: Sizes
    ) -> tuple[float, float]:
        """Distortions without noise and without latents."""
        return self.at_level(model, 0.0, sizes), self.at_level(model, np.inf, sizes)

    def _slope(self, target: Tensor, sizes: Sizes) -> float:
        """Nats of distortion for a unit of log beta, about the target."""
        # Half a nat for each latent at beta = 1.
        slope = 0.5 * sizes.n_components
        if sizes.linear_model is None:
            return slope
        model = sizes.linear_model()
        error = 2.0 * (float(target[0]) - _constant(sizes))
        largest = float(model.eigenvalues[0])
        theta = min(max(model.theta_at_squared_error(error), 1e-3 * largest), largest)
        n_active = max(1, int((model.eigenvalues > theta).sum()))
        return 0.5 * theta * n_active or slope

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: beta a little closer to where the target is met."""
        kept = self.decay * state.started
        distortion = terms.distortion + state.log_jacobian
        average = kept * state.average + (1.0 - kept) * distortion
        room = state.target - average
        gain = state.gain * (1.0 + (self.speedup - 1.0) * (room > 0.0))
        gain = gain * (fraction_of(progress, gain) > self.hold)
        factor = (gain * room).exp().clamp(_SLOWEST, _FASTEST)
        return state._replace(
            beta=(state.beta * factor).clamp(_LOWEST, _HIGHEST),
            average=average,
            started=state.started * 0.0 + 1.0,
        )


def _constant(sizes: Sizes) -> float:
    """Distortion of a reconstruction without error, in nats per row of X."""
    variance = sizes.variance.cpu().double().numpy()
    nats = np.log(2.0 * np.pi * np.broadcast_to(variance, sizes.n_features)).sum()
    return float(0.5 * nats) + sizes.log_jacobian
