"""Rate and distortion of linear models on the same rows, in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from skvae.data._scaling import Scaling
from skvae.linear._model import LinearModel

Floats = NDArray[np.floating]

# Of wider tables the curve is that of a model with so many latents.
_MAX_LATENTS = 1000
_N_POINTS = 200


class LinearReference(NamedTuple):
    """Closed-form rate and distortion of linear Gaussian models, in nats per row."""

    bound: tuple[Floats, Floats]
    """Rate, ascending, and distortion of any number of latents."""
    pca: tuple[float, float] | None
    """Rate and distortion of probabilistic PCA; None where it leaves no noise."""

    @classmethod
    def from_rows(
        cls,
        X: ArrayLike,
        *,
        n_components: int | str,
        max_rate: float,
        standardize: bool | str = True,
        per_feature: bool = True,
    ) -> LinearReference:
        r"""Linear models of rows at every water level.

        With the eigenvalues :math:`l_j` and eigenvectors u of the covariance, feature d
        is left with the squared error
        :math:`E_d = \sum_j \min(l_j, \theta)\, u_{jd}^2` at water level
        :math:`\theta`. The variance that suits it best is that error, and the
        distortion is then :math:`\frac{1}{2} \sum_d \log(2 \pi e\, E_d)`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the model sees them.
        n_components : int or "auto"
            Number of latents of PCA; "auto" as in `BalancedVAE`.
        max_rate : float
            Largest rate at which the bound is needed, in nats.
        standardize : bool or "robust"
            Whether the models work on standardized columns.
        per_feature : bool
            Whether there is a variance for each feature or the mean of their errors.
        """
        rows = check_array(X, dtype=np.float64)
        n_samples, n_features = rows.shape
        weight = np.full(n_samples, 1.0 / n_samples)
        every = np.arange(n_samples)
        scaling = Scaling.from_rows(rows, every, weight, standardize=standardize)
        n_latents = min(n_samples, n_features, _MAX_LATENTS)
        x = scaling.to_model(rows)
        model = LinearModel.from_rows(x, weight, n_latents)
        values, loading = model.eigenvalues, np.square(model.vectors)
        if values[0] <= 0.0:
            raise ValueError(
                "Linear models need rows that differ, but all rows of X are equal. "
                "Pass the table that the models were trained or scored on."
            )
        varies = np.ptp(rows, axis=0) > 0.0
        beyond = (x.var(axis=0) - values @ loading).clip(min=0.0)
        shift = float(scaling.log_jacobian.sum())

        def distortion(theta: float, n_used: int) -> float:
            left = np.where(np.arange(n_latents) < n_used, theta, values)
            error = np.minimum(values, left) @ loading + beyond
            if not per_feature:
                error = np.full(n_features, error.mean())
            # A constant column has no error, and so no density.
            error = error[varies]
            return float(0.5 * np.log(2.0 * np.pi * np.e * error).sum()) + shift

        if n_components == "auto":
            n_components = min(10, max(1, n_features // 2))
        k = min(int(n_components), n_latents)
        noise = float(values[k:].sum() + model.residual) / max(1, n_features - k)
        pca = None
        # As many latents as the rows have dimensions leave nothing to the decoder.
        if noise > 1e-9 * values[0]:
            active = values[:k][values[:k] > noise]
            rate = 0.5 * float(np.log(active / noise).sum())
            pca = rate, distortion(noise, k)
            max_rate = max(max_rate, rate)
        lowest = model.theta_at_rate(max_rate) if max_rate > 0.0 else values[0]
        thetas = np.geomspace(values[0], max(lowest, 1e-12 * values[0]), _N_POINTS)
        rates = np.array([model.rate(theta) for theta in thetas])
        nats = np.array([distortion(theta, n_latents) for theta in thetas])
        return cls((rates, nats), pca)


def linear_models(rate: Floats, X: ArrayLike | None, **settings: Any) -> dict[str, Any]:
    """Linear models up to the largest of some rates, where there are rows."""
    if X is None:
        return {}
    means = rate if rate.ndim == 1 else rate.mean(axis=1)
    max_rate = float(means[np.isfinite(means)].max(initial=0.0))
    return LinearReference.from_rows(X, max_rate=max_rate, **settings)._asdict()
