"""The betas of a path: from full collapse down, or as the user gives them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from skvae._vae import BalancedVAE
from skvae.fit._table import CheckedTable
from skvae.likelihoods._groups import is_gaussian
from skvae.linear._model import LinearModel

Floats = NDArray[np.float64]

# The smallest beta by the largest one, as `eps` in `lasso_path`.
_SPAN = 1e-3

# Where the largest beta is not known in closed form.
_TOP = 10.0


def beta_grid(
    vae: BalancedVAE,
    X: ArrayLike,
    sample_weight: ArrayLike | None,
    betas: Any,
) -> Floats:
    """Betas of a path.

    Parameters
    ----------
    vae : BalancedVAE
        Its settings.
    X : array-like of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,) or None
    betas : int or array-like of shape (n_betas,)
        Number of betas, or their values.

    Returns
    -------
    betas : ndarray of shape (n_betas,)
        Descending from full collapse on, with four significant digits; those that are
        given as they are.
    """
    if not isinstance(betas, Integral):
        given = np.asarray(betas, dtype=np.float64)
        if given.ndim != 1 or not len(given) or not (np.isfinite(given).all()):
            raise ValueError(
                "betas must be a number of betas or a list of at least one finite "
                f"number, got {betas!r}."
            )
        if (given < 0.0).any():
            raise ValueError(
                f"betas must not be negative, got {given.min():.4g}: a weight below 0 "
                "would reward a large rate."
            )
        return given
    top = _collapse(clone(vae), X, sample_weight)
    grid = np.geomspace(top, _SPAN * top, int(betas))
    return np.array([float(f"{beta:.4g}") for beta in grid])


def _collapse(vae: BalancedVAE, X: ArrayLike, sample_weight: ArrayLike | None) -> float:
    r"""Smallest beta at which a linear model has no active latent.

    Latent j is active where the eigenvalue :math:`l_j` of the covariance is above
    :math:`\theta = \beta \sigma^2`. A variance that is moved ends, without latents, at
    that of the columns.
    """
    from skvae.fit._linear_rows import linear_rows
    from skvae.fit._prepare import prepare

    # All rows count.
    vae.set_params(early_stopping=False)
    data = prepare(vae, CheckedTable.of(vae, X, sample_weight), [1.0])
    spec, likelihood = data.spec, data.spec.likelihood
    # A bound by several draws has no beta above 1.
    limit = 1.0 if spec.divergence.is_bound else np.inf
    columns = likelihood.linear_columns(spec.n_features)
    dispersion = likelihood.column_dispersion(spec.n_features)
    is_exact = is_gaussian(likelihood, spec.n_features)
    if columns is None or dispersion is None or not is_exact:
        return min(_TOP, limit)
    x, weight = linear_rows(data.rows, likelihood, columns)
    noises = [dispersion.unmoved]
    if spec.policy.variance_policy is not None:
        variance = weight @ np.square(x - weight @ x)
        shared = variance.mean(keepdims=True)
        # Columns that do not vary have no part in any latent.
        each = np.where(variance > 0.0, variance, 1.0)
        noises = {"shared": [shared], "feature": [each]}.get(spec.scope, [shared, each])
    if not all((noise > 0.0).all() for noise in noises):
        # All rows are equal.
        return min(_TOP, limit)
    largest = max(
        LinearModel.from_rows(x / np.sqrt(noise), weight, 1).eigenvalues[0]
        for noise in noises
    )
    # A little above, or rounding to four digits could bring it below.
    top = 1.0005 * float(largest) / spec.weight_of(1.0)
    return min(top if top > 0.0 else _TOP, limit)
