"""A decoder variance trained by gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skvae._sklearn_compat import StrOptions
from skvae.balance._base import Sizes, VariancePolicy, pool

if TYPE_CHECKING:
    from torch import Tensor


class LearnedVariance(VariancePolicy):
    r"""Train the variance of the Gaussian decoder beside the network.

    The Gaussian distortion with all its constants,

    .. math:: \sum_d \frac{(x_d - m_d)^2}{2 \sigma_d^2}
              + \frac{1}{2} \log \sigma_d^2 + \frac{1}{2} \log 2\pi

    is minimised over :math:`\log \sigma_d^2` too [1]_ [2]_ [3]_. Its optimum is the
    mean squared error, so the reconstruction finds its own weight against the rate,
    and no beta has to be tuned.

    Parameters
    ----------
    scope : {"shared", "feature"}, default="shared"
        One variance for all features, or one for each.

    See Also
    --------
    OptimalVariance : The same optimum in closed form, from each batch.
    RunningAverage : The same optimum from a running average of the error.

    Notes
    -----
    A linear model ends at probabilistic PCA ("shared") or factor analysis
    ("feature"). The likelihood's floor keeps a variance from falling to zero where
    a decoder can interpolate. Leave beta at 1: above, the variance swells and
    latents switch off; below, with as many latents as features, there is no minimum.
    The gradient uses the training rows only. `RunningAverage` and `OptimalVariance`
    follow the error on held-out rows.

    References
    ----------
    .. [1] B. Dai and D. Wipf, "Diagnosing and enhancing VAE models", ICLR 2019.
       https://arxiv.org/abs/1903.05789
    .. [2] S. Lin, R. Clark, R. Birke, S. Schoenborn, N. Trigoni and S. Roberts,
       "Balancing reconstruction quality and regularisation in evidence lower bound
       for variational autoencoders", 2019. https://arxiv.org/abs/1909.03765
    .. [3] O. Rybkin, K. Daniilidis and S. Levine, "Simple and effective VAE training
       with calibrated decoders", ICML 2021. https://arxiv.org/abs/2006.13202

    Examples
    --------
    >>> from skvae.balance import LearnedVariance
    >>> LearnedVariance(scope="feature")
    LearnedVariance(scope='feature')
    """

    _parameter_constraints = {"scope": [StrOptions({"shared", "feature"})]}

    ends_at_beta = True

    def __init__(self, scope: str = "shared") -> None:
        self.scope = scope

    def init_parameters(self, sizes: Sizes) -> dict[str, Tensor]:
        """Log-variances, started at the variance of the data."""
        return {"log_variance": self.start_variance(sizes).log()}

    def move_variance(
        self,
        state: Any,
        error: Tensor,
        parameters: dict[str, Tensor],
        floor: Tensor,
    ) -> Any:
        """State with the variance as trained so far."""
        # The floor is added rather than clamped to: a clamp has no gradient below
        # itself, so a variance that once fell there would never come back.
        variance = parameters["log_variance"].exp() + pool(floor, self.scope)
        return state._replace(variance=variance)
