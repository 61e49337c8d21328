"""Predict posterior collapse before a fit, from the linear model of the same size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae.exceptions import PosteriorCollapseWarning

if TYPE_CHECKING:
    from skvae.balance import BalancePolicy, Sizes, VariancePolicy
    from skvae.model._spec import ModelSpec

Floats = NDArray[np.floating]


class LinearBound(NamedTuple):
    """Thresholds at which the linear model of the same size loses its latents."""

    theta: float
    """Beta times the decoder variance of a model without latents."""
    largest: float
    """Largest eigenvalue of the covariance, in the same units."""
    beta_for_one: float
    """Beta below which one latent stays active."""
    beta_for_all: float
    """Beta below which `n_usable` do."""
    n_usable: int
    """Latents for which there is a direction in which the rows vary."""

    @property
    def collapses(self) -> bool:
        """True where no latent is active.

        A tie is not counted as a collapse: columns without any correlation tie at a
        beta of 1.
        """
        return self.theta > self.largest * (1.0 + 1e-6)


def linear_bound(
    policy: BalancePolicy, beta: float, sizes: Sizes
) -> LinearBound | None:
    r"""Compare theta with the eigenvalues of the covariance, in closed form.

    With a decoder variance that nothing moves, latent j is active where its
    eigenvalue :math:`l_j` is above :math:`\theta = \beta \sigma^2` [1]_. Where the
    variance is moved to its optimum, :math:`\sigma^2 = E(\theta) / D` with the squared
    error E, so that latent j is active for betas below :math:`D\, l_j / E(l_j)`.

    Parameters
    ----------
    policy : BalancePolicy
        The policy that moves beta or the variance.
    beta : float
        The requested weight.
    sizes : Sizes
        Variances, and the linear model.

    Returns
    -------
    bound : LinearBound or None
        None where there is no closed form: the likelihood has no variance, the policy
        does not end at the requested beta, or all rows are equal.

    References
    ----------
    .. [1] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469
    """
    if sizes.linear_model is None or not policy.ends_at_beta:
        return None
    mover = policy.variance_policy
    if mover is not None and (beta <= 1.0 or not _is_one_variance(mover, sizes)):
        # The largest eigenvalue is at least the mean, so that a beta of 1 is safe.
        return None
    model = sizes.linear_model()
    largest = float(model.eigenvalues[0])
    if largest <= 0.0:
        return None
    n_usable = n_directions(model.eigenvalues)
    last = float(model.eigenvalues[n_usable - 1])
    # Weight of the rate at a beta of 1.
    unit = float(policy.weight_of(1.0, sizes.n_features, sizes.n_components))
    if mover is not None:
        variance = (float(model.eigenvalues.sum()) + model.residual) / sizes.n_features
        limits = [
            sizes.n_features * level / model.squared_error(level) / unit
            for level in (largest, last)
        ]
    else:
        # The eigenvalues are in units of it; one for each feature has no other unit.
        variance = 1.0
        limits = [largest / unit, last / unit]
        if len(sizes.variance) == 1:
            variance = float(sizes.variance[0])
            largest *= variance
    one, each = limits
    return LinearBound(unit * beta * variance, largest, one, each, n_usable)


def n_directions(eigenvalues: Floats) -> int:
    """Count the directions in which the rows vary."""
    return int((eigenvalues > 1e-6 * eigenvalues[0]).sum())


def _is_one_variance(policy: VariancePolicy, sizes: Sizes) -> bool:
    """True where a moved variance is the same for all features without latents."""
    data_variance = sizes.data_variance.cpu().double().numpy()
    return policy.scope == "shared" or np.allclose(data_variance, 1.0, rtol=1e-5)


def warn_before_fit(spec: ModelSpec, beta: float, sizes: Sizes) -> None:
    """Warn if a linear model with this weight of the rate has no active latent."""
    policy = spec.policy
    has_closed_form = spec.divergence.is_mean_rate
    bound = linear_bound(policy, beta, sizes) if has_closed_form else None
    if bound is None or not bound.collapses:
        return
    moved = "" if policy.variance_policy is None else " without latents"
    more = ""
    if bound.n_usable > 1:
        n_latents = f"all {sizes.n_components}"
        if bound.n_usable < sizes.n_components:
            n_latents = f"the {bound.n_usable} that the columns can use"
        more = f", below {bound.beta_for_all:.3g} {n_latents}"
    usual = ""
    if np.isclose(bound.theta, 0.5 * sizes.n_features):
        usual = (
            " A mean squared error with a summed KL stands for this theta, half the "
            "number of features; see skvae.balance.beta_from_loss."
        )
    warnings.warn(
        f"The latents will collapse: with beta={beta:.4g} and balance={policy}, theta "
        f"(beta times the decoder's variance{moved}) is {bound.theta:.4g}, but the "
        "largest eigenvalue of the covariance of the columns, as the model sees them, "
        f"is {bound.largest:.4g}, and a linear model keeps a latent only where its "
        f"eigenvalue is above theta. A beta below {bound.beta_for_one:.3g} keeps one "
        f"latent{more}. {spec.remedy(beta)}{usual}",
        PosteriorCollapseWarning,
        stacklevel=2,
    )
