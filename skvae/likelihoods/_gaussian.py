"""Gaussian likelihood."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from skvae.data._numbers import standardized
from skvae.data._rows import chunks
from skvae.likelihoods._dispersed import Dispersed
from skvae.likelihoods._weighted import column_means
from skvae.linear._columns import LinearColumns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class Gaussian(Dispersed):
    r"""Normal distribution with one variance for all rows.

    .. math:: -\log p(x \mid z) = \sum_d \frac{1}{2} \left(
              \frac{(x_d - m_d(z))^2}{\sigma_d^2} + \log \sigma_d^2 + \log 2\pi \right)

    The mean m comes from the decoder. Unless it is fixed here, the balance policy moves
    the variance, and `fit` calibrates it when it ends: to the value that explains
    held-out rows best, or to its maximum-likelihood value on the training rows.

    Parameters
    ----------
    variance : float, array-like of shape (n_features,) or None, default=None
        Variance fixed by the user, above 0, in squared units of the columns as
        the model sees them (of X itself with ``standardize=False``). None leaves it
        to the balance policy and to the calibration.

    floor : float, default=1e-6
        Smallest variance that may be learned, relative to the variance of the
        column, above 0: at the default no standard deviation is below 0.001 of the
        column's own.

    See Also
    --------
    StudentT : For columns with outliers.
    LogNormal : For positive columns with a long tail.
    Bernoulli : For columns of zeros and ones.

    Examples
    --------
    >>> from skvae.likelihoods import Gaussian
    >>> Gaussian(variance=0.5)
    Gaussian(variance=0.5)
    """

    parameter_names = ("mean",)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the mean of each column."""
        self.learn_rows(X, np.arange(len(X)), weight)

    def learn_rows(
        self,
        X: Floats,
        rows: NDArray[np.integer],
        weight: Floats | None,
        columns: NDArray[np.intp] | None = None,
    ) -> None:
        """Learn the mean of each column part by part."""
        each = np.ones(len(rows)) if weight is None else np.asarray(weight, np.float64)

        def cells(part: slice) -> Floats:
            some = rows[part]
            return X[some if columns is None else np.ix_(some, columns)]

        parts = chunks(len(rows), X.shape[1] if columns is None else len(columns))
        self.mean_ = column_means(
            lambda: ((self.to_model(cells(part)), each[part]) for part in parts)
        )

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Mean of each column: nearly zero where the table takes it out."""
        return standardized(self.mean_, center, scale)

    def linear_columns(self, n_features: int) -> LinearColumns:
        """Features as they are: a linear model of them is exact."""
        return LinearColumns.of_numbers(n_features)

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Normal distribution of every cell."""
        from torch.distributions import Normal

        scale = variance.sqrt()[:, None, :].expand_as(parameters["mean"])
        return Normal(parameters["mean"], scale, validate_args=False)

    def error(self, x: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Squared error of every cell."""
        return (x - parameters["mean"]).square()

    def error_vjp(
        self, x: Tensor, output: Tensor, weight: Tensor
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Mean squared errors, and the derivative of the distortion in closed form.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
        output : Tensor of shape (n_replicas, n_rows, n_parameters)
            Output of the decoder.
        weight : Tensor of shape (n_rows, 1)

        Returns
        -------
        error : Tensor of shape (n_replicas, n_features)
        pullback : callable
            From the variance, of shape (n_replicas, 1 or n_features), to the gradient
            of the distortion in the shape of `output`.
        """
        deviation = output - x
        n_replicas, n_rows, _ = deviation.shape
        # As a product of matrices: a vector would be copied for each replica.
        rows = weight.mT.expand(n_replicas, 1, n_rows)
        error = rows.bmm(deviation * deviation)[:, 0]

        def pullback(variance: Tensor) -> Tensor:
            return (deviation / variance[:, None]).mul_(weight)

        return error, pullback

    def distortion_from_error(
        self, error: Tensor, variance: Tensor, observed_fraction: Tensor | float = 1.0
    ) -> Tensor:
        """Distortion from the mean squared errors, which are sufficient for it."""
        normalizer = variance.log() + math.log(2.0 * math.pi)
        nats = error / variance + observed_fraction * normalizer
        return 0.5 * nats.sum(dim=-1)
