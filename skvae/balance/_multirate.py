"""One model for every beta."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import Interval
from skvae.balance._base import BalancePolicy, Sizes, Terms

if TYPE_CHECKING:
    from torch import Tensor

# Multiples of it fill the unit interval evenly, however many there are of them.
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)

_ROOT_3 = math.sqrt(3.0)


class MultiRateState(NamedTuple):
    """State of a `MultiRate`."""

    beta: Tensor
    """Beta that the fitted estimator is at; training does not depend on it."""
    variance: Tensor
    phase: Tensor
    """Where in its stretch of betas each row of a batch is, in [0, 1), of shape
    (n_replicas,)."""


class MultiRate(BalancePolicy):
    r"""Train one model for every beta of a range, and choose beta afterwards.

    Each row i of a batch has a beta of its own, log-uniform over the range, and the
    objective is [1]_

    .. math:: \tfrac{1}{n} \sum_i \left( \mathrm{distortion}_i +
              \beta_i\, \mathrm{rate}_i \right), \qquad
              \log \beta_i = \tfrac{1}{2} \log(\mathtt{low} \cdot \mathtt{high})
              + \tfrac{\eta_i}{2 \sqrt{3}} \log \tfrac{\mathtt{high}}{\mathtt{low}}

    with :math:`\eta` uniform of mean 0 and variance 1. The networks know it: every
    hidden unit is multiplied, before its activation, by a gate that moves with
    :math:`\eta`, in the encoder :math:`\sigma(w \eta + b)` and in the decoder
    :math:`\sqrt{\max(1 - e^{w \eta + b}, \epsilon)}`. The fitted estimator is at its
    own `beta`, and ``at_beta(beta)`` is a copy of it at another one.

    Parameters
    ----------
    low : float, default=0.01
        The least beta, above 0. As with `Constant` beta is :math:`\theta`: a Gaussian
        decoder has unit variance while it trains.

    high : float, default=10.0
        The largest beta, above `low`.

    See Also
    --------
    Constant : A model for one beta.
    skvae.BalancedVAE.at_beta : A copy of the fitted estimator at another beta.

    Notes
    -----
    The distortion is a whole log-likelihood, so that the squared error in it carries
    the factor 1/2. The decoder's variance is calibrated at each beta by itself.

    The linear path of `MLP` has gates too, on the latents, and starts at the closed
    form of every beta at once: with eigenvalue :math:`l_j` of the covariance, the
    gate of latent j in encoder and decoder is :math:`\sqrt{1 - \beta / l_j}` and its
    posterior variance :math:`\beta / l_j` [2]_, both functions of
    :math:`\log \beta - \log l_j`, which is affine in :math:`\eta`. Without hidden
    layers one model therefore lies on the whole rate-distortion curve.

    The betas of a batch are spread evenly over the range, one in each of as many
    stretches as there are rows, and the rows come in random order: the beta of each
    is uniform, and the mean over the batch has less noise than with independent ones.

    Held-out rows choose one epoch for all betas, by the mean of the elbo over five of
    them. What is reported of an epoch is a mean over betas.

    It is not the same as separate trainings. On three real tables, with five latents
    and two hidden layers of 64, its distortion on new rows is above the curve of models
    that were trained for one beta each by 1.6, 2.4 and 2.9 % of the range of
    distortions on average: by less than 5 % from beta = 0.1 up, and by up to 9 % at the
    lower end, where the curve is flat and a row in ten has to teach what all rows
    teach a separate model (``benchmarks/multirate.py``). More epochs narrow
    it. On a hundred rows the two
    differ by more, either way: separate trainings stop early at a small beta, where
    they overfit, and late at a large one, and here one epoch serves all betas.
    Without hidden layers there is no difference.

    A step takes 1.5 to 1.9 times that of a model for one beta, and about as long as one
    of the default policy, which trains two models. The larger the networks, the less
    the gates matter.

    References
    ----------
    .. [1] J. Bae, M. R. Zhang, M. Ruan, E. Wang, S. Hasegawa, J. Ba and R. Grosse,
       "Multi-Rate VAE: Train once, get the full rate-distortion curve", ICLR 2023.
       https://arxiv.org/abs/2212.03905
    .. [2] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.balance import MultiRate
    >>> vae = BalancedVAE(
    ...     2, balance=MultiRate(low=0.1, high=4.0), max_iter=20, random_state=0
    ... ).fit(load_wine().data)
    >>> vae.at_beta(0.2).rate_ > vae.at_beta(2.0).rate_
    True
    """

    _parameter_constraints = {
        "low": [Interval(Real, 0, None, closed="neither")],
        "high": [Interval(Real, 0, None, closed="neither")],
    }

    weighs_kl = True

    def __init__(self, low: float = 0.01, high: float = 10.0) -> None:
        self.low = low
        self.high = high

    @property
    def is_weighted_sum(self) -> bool:
        """Whether the objective is the distortion plus what `price` charges."""
        return type(self).objective is MultiRate.objective

    @property
    def slope(self) -> float:
        """By how much log beta rises with eta."""
        return math.log(self.high / self.low) / (2.0 * _ROOT_3)

    def eta_of(self, beta: float) -> float:
        """Where in the range a beta is: -sqrt(3) at `low`, sqrt(3) at `high`.

        Raises
        ------
        ValueError
            If it is outside.
        """
        if not self.low < self.high:
            raise ValueError(
                f"balance={self} needs low below high, the range of betas to train. "
                f"Exchange them, or widen the range: low={self.low!r}, "
                f"high={self.high!r}."
            )
        # Rounding may put the logarithm of an end beyond the other end.
        if not self.low * (1.0 - 1e-6) <= beta <= self.high * (1.0 + 1e-6):
            raise ValueError(
                f"balance={self} trains the betas from {self.low:g} to {self.high:g}, "
                f"but beta={beta!r} is outside of that range. Use a beta in it, or fit "
                "with a MultiRate whose low and high enclose that beta."
            )
        share = math.log(beta / self.low) / math.log(self.high / self.low)
        return _ROOT_3 * (2.0 * min(max(share, 0.0), 1.0) - 1.0)

    def beta_of(self, eta: Any) -> Any:
        """Beta at a place in the range: the inverse of `eta_of`, of tensors too."""
        log_beta = self.slope * (eta + _ROOT_3) + math.log(self.low)
        return math.exp(log_beta) if isinstance(log_beta, float) else log_beta.exp()

    def weight_of(self, beta: Any, n_features: int, n_components: int) -> Any:
        """The beta itself, or ValueError where it is outside of the range."""
        self.eta_of(beta)
        return beta

    def starts_at(self, beta: Any, n_features: int, n_components: int) -> Any:
        """Beta of the linear start: the lowest, from which the gates lead up."""
        return self.low

    def init_state(self, beta: Tensor, sizes: Sizes) -> Any:
        """State before the first step."""
        variance = self.start_variance(sizes)
        return MultiRateState(beta=beta, variance=variance, phase=0.0 * beta + 0.5)

    def eta(self, state: Any, n_rows: int) -> Tensor:
        """Place of each row's beta in the range, (n_replicas, n_rows)."""
        import torch

        phase = state.phase
        row = torch.arange(n_rows, dtype=phase.dtype, device=phase.device)
        return (row + phase[:, None]) * (2.0 * _ROOT_3 / n_rows) - _ROOT_3

    def price(self, state: Any, n_rows: int) -> Tensor:
        """Beta of each row, of shape (n_replicas, n_rows)."""
        return self.beta_of(self.eta(state, n_rows))

    def objective(self, terms: Terms, state: Any) -> Tensor:
        """Distortion and the rate of each row at its own beta."""
        charged = self.price(state, terms.kl.shape[1]) * terms.kl.sum(dim=2)
        return terms.distortion + terms.mean(charged)

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: other betas for the next batch."""
        return state._replace(phase=(state.phase + _GOLDEN).frac())
