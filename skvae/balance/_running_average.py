"""The decoder variance as a running average of the squared error."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import Sizes, pool
from skvae.balance._closed_form_variance import ClosedFormVariance, VarianceMap

if TYPE_CHECKING:
    from torch import Tensor


class RunningAverageState(NamedTuple):
    """State of `RunningAverage`."""

    beta: Tensor
    variance: Tensor
    average: Tensor
    """Running average of the squared error, in the shape of the variance."""
    lowest: Tensor
    """The smallest that the average has been, in the same shape."""
    kept: Tensor
    """Fraction of the average that the next step keeps: 0 before the first batch, of
    shape (n_replicas, 1)."""
    variance_map: VarianceMap


class RunningAverage(ClosedFormVariance):
    r"""Keep reconstruction and rate in constant balance, by a deterministic rule.

    The variance of the Gaussian decoder follows the squared error m of the batches
    without any gradient [1]_:

    .. math:: v \leftarrow \rho\, v + (1 - \rho)\, m, \qquad
              \gamma^2 \leftarrow \min(\gamma^2, v)

    As the error falls, the rate is weighed down with it, and the reconstruction
    term stays at about D / 2 nats, the constant balance of the paper.

    Parameters
    ----------
    scope : {"auto", "shared", "feature"}, default="auto"
        One variance for all features, one for each, or "auto": two models are trained
        side by side, and the better one on held-out rows is kept. One starts at factor
        analysis with a variance for each feature, the other at probabilistic PCA with a
        variance that is shared at first. Without held-out rows "auto" is "shared", and
        a network without a linear start trains the second model alone.

    source : {"auto", "train", "validation"}, default="auto"
        The rows whose error is the variance: the training rows, or the held-out
        rows, on which overfitting does not lower the error. On the training rows an
        overfitted decoder has a variance that is too small, so that the rate weighs
        too little. "auto" takes held-out rows if there are any.

    variant : {"ema_min", "ema", "ratchet"}, default="ema_min"
        The formula above; :math:`\gamma^2 = v`; or, as in the authors' program,
        :math:`v \leftarrow \min(v, \rho v + (1 - \rho) m)`, :math:`\gamma^2 = v`,
        which ends at the smallest error of any batch instead of their mean.

    decay : float, default=0.99
        :math:`\rho`, the fraction of the average that a step keeps, in [0, 1). The
        published value, for batches of 100 pictures.

    start : float or None, default=None
        Squared error, above 0, that the average starts from, for each feature in
        squared units of the columns as the model sees them. None is the error of the
        first batch. The authors' program starts from 1; with "ema_min" and "ratchet" no
        variance is ever above it.

    See Also
    --------
    OptimalVariance : The error of the batch alone.
    LearnedVariance : The same optimum by gradient.

    Notes
    -----
    Started at the first batch's error, the rule holds for columns of any scale. The
    authors' program is ``RunningAverage("shared", "train", "ratchet", start=1.0)``, but
    for one step of delay: it averages a batch in only after the batch's own step. On
    pixels between 0 and 1 its start is a warm-up, in which the rate weighs more than at
    the end. The program also weighs the rate by the size of pictures and latents; that
    is `beta`.

    References
    ----------
    .. [1] A. Asperti and M. Trentin, "Balancing reconstruction error and
       Kullback-Leibler divergence in variational autoencoders", IEEE Access 8,
       2020. https://arxiv.org/abs/2002.07514

    Examples
    --------
    >>> from skvae.balance import RunningAverage
    >>> RunningAverage(scope="feature")
    RunningAverage(scope='feature')
    """

    _parameter_constraints = {
        **ClosedFormVariance._parameter_constraints,
        "variant": [StrOptions({"ema", "ema_min", "ratchet"})],
        "decay": [Interval(Real, 0, 1, closed="left")],
        "start": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        scope: str = "auto",
        source: str = "auto",
        variant: str = "ema_min",
        decay: float = 0.99,
        start: float | None = None,
    ) -> None:
        super().__init__(scope, source)
        self.variant = variant
        self.decay = decay
        self.start = start

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step: nothing averaged yet, or `start`."""
        import torch

        variance = self.start_variance(sizes)
        # Before the first batch there is nothing to stay below.
        lowest = torch.full_like(variance, torch.finfo(variance.dtype).max)
        average, kept = variance, 0.0 * beta[:, None]
        if self.start is not None:
            average = lowest = torch.full_like(variance, self.start)
            kept = kept + self.decay
        return RunningAverageState(
            beta=beta,
            variance=variance,
            average=average,
            lowest=lowest,
            kept=kept,
            variance_map=self.init_variance_map(variance, sizes),
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
        average = error.lerp(state.average, state.kept)
        lowest = state.lowest.minimum(average)
        if self.variant == "ratchet":
            average = lowest
        followed = average if self.variant == "ema" else lowest
        return state._replace(
            variance=self.variance_of(followed, state.variance_map, floor),
            average=average,
            lowest=lowest,
            kept=state.kept.clamp(min=self.decay),
        )
