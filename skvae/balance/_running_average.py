"""The decoder variance as a running average of the squared error."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import BalancePolicy, Sizes, pool

if TYPE_CHECKING:
    from torch import Tensor


class RunningAverageState(NamedTuple):
    """State of `RunningAverage`."""

    beta: Tensor
    variance: Tensor
    average: Tensor
    """Running average of the squared error, in the shape of the variance."""
    started: Tensor
    """0 before the first batch and 1 after it, of shape (n_replicas, 1)."""


class RunningAverage(BalancePolicy):
    r"""Keep reconstruction and rate in constant balance, by a deterministic rule.

    The variance of the Gaussian decoder follows the squared error m of the batches
    without any gradient [1]_:

    .. math:: v \leftarrow \rho\, v + (1 - \rho)\, m, \qquad
              \gamma^2 \leftarrow \min(\gamma^2, v)

    As the error falls, the rate is weighed down with it, and the reconstruction
    term stays at about D / 2 nats, the constant balance of the paper.

    Parameters
    ----------
    scope : {"shared", "feature"}, default="shared"
        One variance for all features, or one for each.

    decay : float, default=0.99
        :math:`\rho`, the share of the average that a step keeps, in [0, 1). The
        published value, for batches of 100 pictures.

    See Also
    --------
    OptimalVariance : The error of the batch alone.
    LearnedVariance : The same optimum by gradient.

    Notes
    -----
    The average starts at the first batch's error. (Started at 1, it would cap the
    variance at 1, which is wrong for columns that are not standardized.) The minimum
    is taken of :math:`\gamma^2` and not inside the average: an average that is itself
    clamped ends at the smallest error of any batch instead of their mean.

    References
    ----------
    .. [1] A. Asperti and M. Trentin, "Balancing reconstruction error and
       Kullback-Leibler divergence in variational autoencoders", IEEE Access 8,
       2020. https://arxiv.org/abs/2002.07514

    Examples
    --------
    >>> from skvae.balance import RunningAverage
    >>> RunningAverage(decay=0.95)
    RunningAverage(decay=0.95)
    """

    _parameter_constraints = {
        "scope": [StrOptions({"shared", "feature"})],
        "decay": [Interval(Real, 0, 1, closed="left")],
    }

    moves_variance = True

    def __init__(self, scope: str = "shared", decay: float = 0.99) -> None:
        self.scope = scope
        self.decay = decay

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: nothing averaged yet."""
        variance = self.start_variance(sizes)
        return RunningAverageState(
            beta=beta,
            variance=variance,
            average=variance,
            started=0.0 * beta[:, None],
        )

    def move_variance(
        self,
        state: Any,
        error: Tensor,
        parameters: dict[str, Tensor],
        floor: Tensor,
    ) -> Any:
        """State with the batch's error averaged in."""
        error = pool(error, self.scope)
        kept = self.decay * state.started
        average = kept * state.average + (1.0 - kept) * error
        # Before the first batch there is no variance to stay below.
        lowest = average.minimum(state.variance)
        variance = average + state.started * (lowest - average)
        return state._replace(
            variance=variance.clamp(min=pool(floor[None], self.scope)),
            average=average,
            started=state.started * 0.0 + 1.0,
        )
