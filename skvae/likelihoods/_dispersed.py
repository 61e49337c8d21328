"""Base of the likelihoods with a dispersion that is one number for all rows."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skvae._sklearn_compat import Interval
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._dispersion import Dispersion
from skvae.likelihoods._group import Group

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from skvae.likelihoods._base import Floats
    from skvae.likelihoods._dispersion import ErrorVJP


class Dispersed(Likelihood):
    """Base of the likelihoods with a dispersion that is one number for all rows.

    A balance policy may move the dispersion, and `fit` of the estimator calibrates it,
    unless the user fixed it. It is called `variance` throughout. A family gives the
    error of a cell, whose mean is the maximum-likelihood dispersion, and the distortion
    at mean errors and dispersions.

    Parameters
    ----------
    variance : float, array-like of shape (n_features,) or None, default=None
        Dispersion fixed by the user, above 0, in units of the columns as the model
        sees them. None leaves it to the balance policy and to the calibration.

    floor : float, default=1e-6
        Smallest dispersion that may be learned, as the variance of a cell relative to
        that of the column, above 0.

    See Also
    --------
    Gaussian : Its dispersion is the variance.
    Laplace : Its dispersion is the mean absolute error.
    """

    _parameter_constraints = {
        "variance": [Interval(Real, 0, None, closed="neither"), "array-like", None],
        "floor": [Interval(Real, 0, None, closed="neither")],
    }

    is_continuous = True

    #: Derivative of the mean errors in closed form, as `Gaussian` has it; automatic
    #: differentiation stands in for None.
    error_vjp: ErrorVJP | None = None

    def __init__(
        self, variance: float | ArrayLike | None = None, floor: float = 1e-6
    ) -> None:
        self.variance = variance
        self.floor = floor

    def column_dispersion(self, n_features: int) -> Dispersion:
        """Dispersions of all columns."""
        return Dispersion([Group(self, np.arange(n_features), is_all=True)], n_features)

    def error(self, x: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Error of every cell, whose mean is the maximum-likelihood dispersion.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)

        Returns
        -------
        error : Tensor of shape (n_replicas, n_rows, n_features)
        """
        raise NotImplementedError

    def distortion_from_error(
        self, error: Tensor, variance: Tensor, observed_fraction: Tensor | float = 1.0
    ) -> Tensor:
        """Distortion of each replica from its mean errors.

        Parameters
        ----------
        error : Tensor of shape (n_replicas, n_features)
            Mean error of each column.
        variance : Tensor of shape (n_replicas, 1 or n_features)
            The dispersion.
        observed_fraction : Tensor of shape (n_features,) or float, default=1.0
            Observed fraction of each column, by weight of rows.

        Returns
        -------
        distortion : Tensor of shape (n_replicas,)
            In nats per row.
        """
        raise NotImplementedError

    def dispersion_at(self, variance: Floats) -> Floats:
        """Dispersion at which a cell has some variance; by default the same."""
        return variance
