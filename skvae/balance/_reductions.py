"""Conversion between beta and the weight of the KL in losses reduced otherwise."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from skvae._sklearn_compat import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)

_CONSTRAINTS = {
    "weight": [Interval(Real, 0, None, closed="left")],
    "beta": [Interval(Real, 0, None, closed="left")],
    "n_features": [Interval(Integral, 1, None, closed="left")],
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "error": [StrOptions({"squared", "half_squared", "cross_entropy"})],
    "error_reduction": [StrOptions({"sum", "mean"})],
    "kl_reduction": [StrOptions({"sum", "mean"})],
    "batch_size": [Interval(Integral, 1, None, closed="left"), None],
}


def _beta_per_weight(caller: str, settings: dict[str, Any]) -> float:
    """Beta that corresponds to a weight of 1, for the settings of a function below."""
    constraints = {name: _CONSTRAINTS[name] for name in settings}
    validate_parameter_constraints(constraints, settings, caller_name=caller)
    # Divide the loss by its factor of one feature's nats.
    beta = 0.5 if settings["error"] == "squared" else 1.0
    if settings["error_reduction"] == "mean":
        beta *= settings["n_features"]
    if settings["kl_reduction"] == "mean":
        beta /= settings["n_components"]
    if settings["batch_size"] is not None:
        beta *= settings["batch_size"]
    return beta


def beta_from_loss(
    weight: float = 1.0,
    *,
    n_features: int,
    n_components: int,
    error: str = "squared",
    error_reduction: str = "mean",
    kl_reduction: str = "sum",
    batch_size: int | None = None,
) -> float:
    r"""Beta that is equivalent to a loss written as ``error + weight * KL``.

    Losses are written with sums or means over features and latents; `BalancedVAE`
    sums both. Divided by its factor of one feature's negative log-likelihood, a loss
    has beta as the weight of the rate. For squared errors the result is beta for a
    Gaussian decoder of unit variance, or equally the variance at beta = 1: the solution
    depends on their product :math:`\theta` only.

    Parameters
    ----------
    weight : float, default=1.0
        Weight of the KL divergence as the loss writes it, at least 0.

    n_features : int
        Number of features, at least 1.

    n_components : int
        Number of latents, at least 1.

    error : {"squared", "half_squared", "cross_entropy"}, default="squared"
        Error of one feature: :math:`(x - m)^2`, half of that, or the binary cross
        entropy.

    error_reduction : {"mean", "sum"}, default="mean"
        How the loss reduces errors over features.

    kl_reduction : {"sum", "mean"}, default="sum"
        How the loss reduces the divergence over latents.

    batch_size : int or None, default=None
        Rows of a batch, at least 1, where the loss sums the divergence over them but
        takes the mean of the errors, as ``F.mse_loss(m, x)`` beside ``kl.sum()`` does:
        the rate then weighs `batch_size` times as much. None where it reduces both
        alike. Weights such as batch size / number of rows belong into `weight`.

    Returns
    -------
    beta : float
        Weight of the rate in ``BalancedVAE(beta=beta, balance="constant")``.

    See Also
    --------
    loss_from_beta : The way back.

    Notes
    -----
    On standardized columns a linear model keeps latent j only if the j-th eigenvalue
    of the correlation matrix is above :math:`\theta`. The mean squared error with the
    summed KL has :math:`\theta = D/2`: at most one latent survives it, and only if
    the first principal component explains more than half of the variance.

    Examples
    --------
    >>> from skvae.balance import beta_from_loss
    >>> beta_from_loss(n_features=30, n_components=5)  # MSE + KL
    15.0
    >>> beta_from_loss(0.5, n_features=30, n_components=5, kl_reduction="mean")
    1.5
    >>> beta_from_loss(n_features=30, n_components=5, batch_size=128)
    1920.0
    """
    return weight * _beta_per_weight("beta_from_loss", locals())


def loss_from_beta(
    beta: float = 1.0,
    *,
    n_features: int,
    n_components: int,
    error: str = "squared",
    error_reduction: str = "mean",
    kl_reduction: str = "sum",
    batch_size: int | None = None,
) -> float:
    r"""Weight of the KL at which a loss is equivalent to a given beta.

    The inverse of `beta_from_loss`, with the same parameters.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of the rate in summed nats at unit variance, or the variance of a
        Gaussian decoder at beta = 1; at least 0.

    n_features : int
        Number of features, at least 1.

    n_components : int
        Number of latents, at least 1.

    error : {"squared", "half_squared", "cross_entropy"}, default="squared"
        Error of one feature.

    error_reduction : {"mean", "sum"}, default="mean"
        How the loss reduces errors over features.

    kl_reduction : {"sum", "mean"}, default="sum"
        How the loss reduces the divergence over latents.

    batch_size : int or None, default=None
        Rows of a batch where the loss sums the divergence, but not the errors, over
        them; None where it reduces both alike.

    Returns
    -------
    weight : float
        Weight w for which ``error + w * KL`` has the same solutions.

    See Also
    --------
    beta_from_loss : The way there.

    Examples
    --------
    >>> from skvae.balance import loss_from_beta
    >>> loss_from_beta(15.0, n_features=30, n_components=5)
    1.0
    """
    return beta / _beta_per_weight("loss_from_beta", locals())
