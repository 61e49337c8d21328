"""Latents that say nothing: how they are told, before a fit and after it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skvae.balance import (
    BalancePolicy,
    Capacity,
    ClosedFormVariance,
    Constant,
    Control,
    Dynamic,
    FreeBits,
    Geco,
    LearnedVariance,
    Normalized,
    Schedule,
    Wrapper,
)
from skvae.divergences import KL, MonteCarloKL
from skvae.exceptions import PosteriorCollapseWarning
from skvae.likelihoods import Gaussian
from skvae.linear._model import LinearModel

if TYPE_CHECKING:
    from skvae.balance import Sizes
    from skvae.fitted._fitted import Fitted
    from skvae.model._spec import ModelSpec

Floats = NDArray[np.floating]

# A latent has collapsed if its rate is below the first, in nats, on all rows but this
# share of them.
MIN_RATE, RARE = 0.01, 0.01

# Nats of distortion that are nothing.
MIN_EXPLAINED = 0.1

# Rows that are looked at after a fit. Fewer may well have nothing to say that could be
# told from noise, which is no fault of the model; of more, a share is what counts.
MIN_ROWS, MAX_ROWS = 50, 2000

# Numbers that a layer holds for them, of which only a column of very many levels has
# more.
MAX_CELLS = 2**21


class LinearBound(NamedTuple):
    """Where the linear model of the same size gives its latents up."""

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
        """Whether no latent is active.

        A tie is left to what the training makes of it: columns that are not
        correlated at all are one at a beta of 1.
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
        What moves beta or the variance.
    beta : float
        The weight asked for.
    sizes : Sizes
        Variances, and the linear model.

    Returns
    -------
    bound : LinearBound or None
        None where there is no closed form: the likelihood has no variance, the policy
        does not end at the beta asked for, or all rows are equal.

    References
    ----------
    .. [1] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
       https://arxiv.org/abs/1911.02469
    """
    if sizes.linear_model is None or not _ends_at_beta(policy):
        return None
    if policy.moves_variance and (beta <= 1.0 or not _is_one_variance(policy, sizes)):
        # The largest eigenvalue is at least the mean, so that a beta of 1 is safe.
        return None
    model = sizes.linear_model()
    largest = float(model.eigenvalues[0])
    if largest <= 0.0:
        return None
    n_usable = _n_usable(model.eigenvalues)
    last = float(model.eigenvalues[n_usable - 1])
    # What the policy makes of a beta of 1.
    unit = float(policy.weight_of(1.0, sizes.n_features, sizes.n_components))
    if policy.moves_variance:
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


def _n_usable(eigenvalues: Floats) -> int:
    """Latents for which there is a direction in which the rows vary."""
    return int((eigenvalues > 1e-6 * eigenvalues[0]).sum())


def _ends_at_beta(policy: BalancePolicy) -> bool:
    """Whether what a nat of the rate costs at the end is the beta asked for.

    Schedules end there. Policies with a set point or a floor do not; of a policy
    from elsewhere nobody knows.
    """
    while isinstance(policy, Schedule):
        policy = policy.inner
    known = (Constant, Normalized, LearnedVariance, ClosedFormVariance)
    return isinstance(policy, known)


def _is_one_variance(policy: BalancePolicy, sizes: Sizes) -> bool:
    """Whether a moved variance is the same for all features without latents."""
    data_variance = sizes.data_variance.double().cpu().numpy()
    return policy.scope == "shared" or np.allclose(data_variance, 1.0, rtol=1e-5)


def warn_before_fit(spec: ModelSpec, beta: float, sizes: Sizes) -> None:
    """Warn if a linear model with this weight of the rate has no active latent."""
    policy = spec.policy
    has_closed_form = isinstance(spec.likelihood, Gaussian) and isinstance(
        spec.divergence, KL | MonteCarloKL
    )
    bound = linear_bound(policy, beta, sizes) if has_closed_form else None
    if bound is None or not bound.collapses:
        return
    moved = " without latents" if policy.moves_variance else ""
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
            "number of features; skvae.balance.beta_from_loss says more."
        )
    warnings.warn(
        f"The latents will collapse: with beta={beta:.4g} and balance={policy}, theta "
        f"(beta times the decoder's variance{moved}) is {bound.theta:.4g}, but the "
        "largest eigenvalue of the covariance of the columns, as the model sees them, "
        f"is {bound.largest:.4g}, and a linear model keeps a latent only where its "
        f"eigenvalue is above theta. A beta below {bound.beta_for_one:.3g} keeps one "
        f"latent{more}. {_remedy(policy, beta)}{usual}",
        PosteriorCollapseWarning,
        stacklevel=2,
    )


def warn_after_fit(
    fitted: Fitted, device: str, X: Floats, weight: NDArray[np.float64]
) -> None:
    """Warn if a fitted model, or most of its latents, have collapsed.

    Parameters
    ----------
    fitted : Fitted
        The model.
    device : str
        Where to compute.
    X : ndarray of shape (n_rows, n_features)
        Rows that it was fitted to, as admitted numbers.
    weight : ndarray of shape (n_rows,)
        Above 0.
    """
    if len(X) < MIN_ROWS or ((X[0] == X) | np.isnan(X)).all():
        return
    index = subsample(len(X), MAX_ROWS, seed=0)
    found = _found(fitted, device, X[index], weight[index] / weight[index].sum())
    if found:
        warnings.warn(
            f"{found} {remedy(fitted)} skvae.metrics.latent_report shows each latent.",
            PosteriorCollapseWarning,
            stacklevel=2,
        )


def _found(fitted: Fitted, device: str, X: Floats, weight: Floats) -> str:
    """Sentence on the latents that have collapsed; empty where none have."""
    model, n_components = fitted.on(device), fitted.spec.n_components
    kl = model.posterior(X).kl()[0].numpy()
    rate = float(weight @ kl.sum(axis=1))
    if rate < MIN_RATE and has_collapsed(rate, _explained(model, X, weight)):
        return (
            f"The model has collapsed to the prior: its rate is below {MIN_RATE} nats "
            "per row, and transform gives next to the same for all rows."
        )
    is_collapsed = collapsed(kl, weight)
    # Latents beyond the rank of the rows cannot be active, and do no harm.
    x, _ = fitted.view.seen(X)
    linear = LinearModel.from_rows(x, weight, n_components)
    if 2 * (~is_collapsed).sum() >= _n_usable(linear.eigenvalues):
        return ""
    return (
        f"Most latents have collapsed to the prior, {is_collapsed.sum()} of "
        f"{n_components}: their rate is below {MIN_RATE} nats on "
        f"{1.0 - RARE:.0%} of the rows."
    )


def _explained(model: Any, rows: Floats, weight: Floats) -> float:
    """Nats that all latents together explain of a row, from as many as is quick."""
    n_rows = max(MIN_ROWS, MAX_CELLS // model.module.cells_per_row)
    index = subsample(len(rows), n_rows, seed=0)
    nats = model.explained(rows[index], by_each=False)[:, 0]
    return float(weight[index] @ nats / weight[index].sum())


def subsample(n_rows: int, max_rows: int, seed: Any) -> NDArray[np.intp]:
    """Ascending indices of at most `max_rows` rows, all of them if that is enough."""
    if n_rows <= max_rows:
        return np.arange(n_rows)
    # A frozen stream: numpy may change that of its newer generators.
    return np.sort(np.random.RandomState(seed).permutation(n_rows)[:max_rows])


def collapsed(kl: Floats, weight: Floats) -> NDArray[np.bool_]:
    """Latents whose rate is next to nothing on all but a few rows.

    Parameters
    ----------
    kl : ndarray of shape (n_rows, n_components)
        Rate of each row and latent, in nats.
    weight : ndarray of shape (n_rows,)
        Sums to 1.
    """
    # A share of exactly that is not to be lost by rounding.
    return weight @ (kl >= MIN_RATE) <= RARE * (1.0 + 1e-9)


def has_collapsed(rate: float, explained: float) -> bool:
    """Whether a whole model says nothing: neither in nats, nor by what they explain."""
    return rate < MIN_RATE and explained < MIN_EXPLAINED


def remedy(fitted: Fitted) -> str:
    """Sentence on what to change where latents have collapsed."""
    return _remedy(fitted.spec.policy, fitted.beta)


def _remedy(policy: BalancePolicy, beta: float) -> str:
    now = f"(now {beta:.4g})"
    while isinstance(policy, Wrapper):
        policy = policy.inner
    if isinstance(policy, Geco):
        return "Lower the target of balance, which is a distortion, or train longer."
    if isinstance(policy, Capacity | Control | Dynamic):
        return (
            f"Raise the target of balance, start at a lower beta {now}, or train "
            "longer."
        )
    if isinstance(policy, FreeBits):
        return f"Lower beta {now}, or raise the floor of balance."
    if not policy.moves_variance:
        return (
            f"Lower beta {now}, or use balance='running_average', which finds the "
            "variance that suits the data, with beta=1."
        )
    if beta > 1.0:
        return f"Lower beta {now}: the variance finds the balance by itself at beta=1."
    return (
        "New rows seem to share little of what the columns have in common: use fewer "
        "n_components, or more rows."
    )
