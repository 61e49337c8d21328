"""The decoder variance in closed form, from each batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from skvae.balance._base import Sizes, pool
from skvae.balance._closed_form_variance import ClosedFormVariance, VarianceMap

if TYPE_CHECKING:
    from torch import Tensor


class OptimalVarianceState(NamedTuple):
    """State of `OptimalVariance`."""

    beta: Tensor
    variance: Tensor
    variance_map: VarianceMap


class OptimalVariance(ClosedFormVariance):
    r"""Set the variance of the Gaussian decoder to each batch's squared error.

    At :math:`\sigma^2 = \mathrm{MSE}` the distortion of a batch becomes

    .. math:: \frac{D}{2} \left( \log(2\pi\, \mathrm{MSE}) + 1 \right)

    (optimal sigma-VAE [1]_, the objective of [2]_ too). The gradient with the
    variance held fixed equals the one through it, by the envelope theorem, so it is
    held fixed. Scores use the variance that is calibrated when training ends, never
    the error of the rows that are scored.

    Parameters
    ----------
    scope : {"shared", "feature", "auto"}, default="shared"
        One variance for all features, one for each, or "auto": the better on held-out
        rows of two models that are trained side by side, as in `RunningAverage`.

    source : {"auto", "train", "validation"}, default="auto"
        The rows whose error is the variance: those of the batch, or "validation" for
        the level of the held-out rows, by the ratio of their error to that of the
        batches in the epoch before. "auto" takes held-out rows if there are any.

    See Also
    --------
    LearnedVariance : The same optimum by gradient.
    RunningAverage : Less noise from small batches.

    Notes
    -----
    The value is clamped hard at the likelihood's floor: a soft clamp shifts it by up
    to log 2 nearby. The logarithm of a batch's mean is below the logarithm of the
    table's mean, so small batches bend the objective; the bias falls with
    1 / `batch_size`.

    References
    ----------
    .. [1] O. Rybkin, K. Daniilidis and S. Levine, "Simple and effective VAE training
       with calibrated decoders", ICML 2021, Eq. 5. https://arxiv.org/abs/2006.13202
    .. [2] Y. Takida, W.-H. Liao, C.-H. Lai, T. Uesaka, S. Takahashi and
       Y. Mitsufuji, "Preventing oversmoothing in VAE via generalized variance
       parameterization", Neurocomputing 509, 2022. https://arxiv.org/abs/2102.08663

    Examples
    --------
    >>> from skvae.balance import OptimalVariance
    >>> OptimalVariance()
    OptimalVariance()
    """

    def __init__(self, scope: str = "shared", source: str = "auto") -> None:
        super().__init__(scope, source)

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step."""
        variance = self.start_variance(sizes)
        variance_map = self.init_variance_map(variance, sizes)
        return OptimalVarianceState(
            beta=beta, variance=variance, variance_map=variance_map
        )

    def move_variance(
        self,
        state: Any,
        error: Tensor,
        parameters: dict[str, Tensor],
        floor: Tensor,
    ) -> Any:
        """State with the maximum-likelihood variance of the batch."""
        error = pool(error, self.scope)
        return state._replace(
            variance=self.variance_of(error, state.variance_map, floor)
        )
