"""Report on the latents of a fitted model, with remedies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skvae._sklearn_compat import check_sample_weight
from skvae.fitted._access import admitted
from skvae.fitted._attributes import MIN_ACTIVITY
from skvae.fitted._collapse import collapsed, subsample
from skvae.fitted._fitted import Fitted
from skvae.fitted._pipeline import model_and_rows
from skvae.likelihoods._groups import is_gaussian
from skvae.linear._model import LinearModel
from skvae.metrics._diagnostics import (
    activity,
    aggregate_variance,
    mutual_information,
)
from skvae.metrics._report import LatentReport, PCABaseline
from skvae.metrics._verdict import verdict_on

Floats = NDArray[np.floating]


def latent_report(
    est: Any,
    X: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    max_rows: int = 2000,
    random_state: int = 0,
) -> LatentReport:
    """Report the information in each latent of a fitted model, and what to change.

    The report also attributes it to the columns: how many nats the model explains of
    each beyond the column's own distribution, in one unit across types. Rates are those
    of training, from the standard normal, whatever the `prior` of the model. With
    ``standardize="quantile"`` they are those of a posterior at the middle of each atom,
    which are mostly larger than those that scores have.

    Parameters
    ----------
    est : object
        A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.

    X : array-like of shape (n_samples, n_features)
        Rows as `est` takes them; those that it was fitted on, or new ones. The steps
        of a pipeline before the model transform them, and all nats are in the units
        of what they give.

    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, at least 0 and not all 0.

    max_rows : int, default=2000
        Most rows that are compared with each other, at least 1. Time grows with its
        square. Mutual information, mismatch and explained nats of a larger table come
        from so many of its rows; all else from all.

    random_state : int, default=0
        Seed of the draws and of which rows these are. Reports of the same seed are
        equal.

    Returns
    -------
    report : LatentReport
        Arrays over latents and columns, numbers for the model, and a verdict in words.

    See Also
    --------
    LatentReport : Defines each number.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.metrics import latent_report
    >>> X = load_wine().data
    >>> vae = BalancedVAE(3, max_iter=10, tol=10.0, random_state=0).fit(X)
    >>> report = latent_report(vae, X)
    >>> print(report.verdict)
    Healthy: all 3 latents are active.
    >>> str(report.columns[report.column_explained.argmax()])
    'x3'
    """
    vae, X = model_and_rows(est, X, "latent_report")
    fitted, rows = admitted(vae, X)
    rows = rows.astype(np.float64, copy=False)
    weight = check_sample_weight(sample_weight, rows)
    rows, weight = rows[weight > 0], weight[weight > 0]
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1, got {max_rows!r}.")
    weight = weight / weight.sum()
    model = fitted.on(vae.device)
    posterior = model.posterior(rows)
    kl = posterior.kl()[0].numpy()
    latent_rate = weight @ kl
    rate = float(latent_rate.sum())
    column_distortion = weight @ model.score_cells(rows)
    column_null = weight @ fitted.null_model.cells(model, rows)
    distortion, null_distortion = column_distortion.sum(), column_null.sum()
    variance_of_mean = activity(posterior.mean[0].numpy(), weight)
    variance = aggregate_variance(posterior, weight)

    index = subsample(len(rows), max_rows, random_state)
    part = type(posterior)(*(field[:, index] for field in posterior))
    part_weight = weight[index] / weight[index].sum()
    information = mutual_information(part, part_weight, random_state)
    explained = part_weight @ model.explained(rows[index])
    # The rate of each latent by itself, of the same rows as its information.
    marginal = part.marginal().kl()[0].numpy()
    numbers = {
        "names": np.asarray(vae.get_feature_names_out(), dtype=str),
        "latent_rate": latent_rate,
        "latent_activity": variance_of_mean,
        "active_units": variance_of_mean > MIN_ACTIVITY,
        "collapsed_units": collapsed(kl, weight),
        "latent_explained": explained[:-1],
        "latent_mutual_information": information.latent,
        "latent_mismatch": part_weight @ marginal - information.latent,
        "latent_variance": variance,
        "columns": _column_names(fitted),
        "column_null_distortion": column_null,
        "column_distortion": column_distortion,
        "column_explained": column_null - column_distortion,
        "rate": rate,
        "distortion": float(distortion),
        "elbo": -(rate + float(distortion)),
        "null_distortion": float(null_distortion),
        "explained": float(explained[-1]),
        "mutual_information": information.joint,
        "mismatch": rate - information.joint,
        "max_information": float(-(part_weight @ np.log(part_weight))) + 0.0,
        "variance_deviation": float(variance.mean()) - 1.0,
        "pca": _pca(fitted, rows, weight),
        "n_samples": len(rows),
        "n_mixture_rows": len(index),
    }
    n_effective = 1.0 / float(weight @ weight)
    return LatentReport(**numbers, verdict=verdict_on(vae, numbers, n_effective))


def _column_names(fitted: Fitted) -> NDArray[np.str_]:
    """Names of the columns of X, as text."""
    names = fitted.view.columns.names
    if names is None:
        names = [f"x{column}" for column in range(fitted.spec.n_features)]
    return np.array([str(name) for name in names])


def _pca(fitted: Fitted, rows: Floats, weight: Floats) -> PCABaseline | None:
    """Probabilistic PCA of as many latents, in the units of X."""
    likelihood, view = fitted.spec.likelihood, fitted.view
    dispersion = likelihood.column_dispersion(fitted.spec.n_features)
    is_exact = is_gaussian(likelihood, fitted.spec.n_features)
    if dispersion is None or not is_exact or np.isnan(rows).any():
        return None
    if view.scores is not None and view.scores.is_atom(rows).any():
        # The density of a linear model is not to be compared with probabilities.
        return None
    x, _ = view.seen(rows)
    model = LinearModel.from_rows(x, weight, fitted.spec.n_components)
    # No variance below the one that the model itself may have at most.
    least = float(dispersion.least(view.scaling.variance).mean())
    noise = max(model.noise_variance, least)
    rate = model.rate(noise)
    distortion = 0.5 * (
        model.n_features * np.log(2.0 * np.pi * noise)
        + model.squared_error(noise) / noise
    )
    jacobian = view.log_jacobian(rows).sum(axis=1)
    distortion = float(distortion + weight @ jacobian)
    return PCABaseline(rate, distortion, -(rate + distortion))
