"""Laplace likelihood."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from skvae.data._numbers import standardized
from skvae.likelihoods._dispersed import Dispersed
from skvae.likelihoods._weighted import columns_at, quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn


class Laplace(Dispersed):
    r"""Laplace distribution with one dispersion for all rows.

    .. math:: -\log p(x \mid z) = \sum_d \frac{|x_d - m_d(z)|}{b_d} + \log 2 b_d

    The location m comes from the decoder, which fits medians where a Gaussian one fits
    means. The balance policy moves the dispersion b, as it does the variance of a
    Gaussian; its maximum-likelihood value is the mean absolute error. The variance of a
    cell is :math:`2 b^2`.

    Parameters
    ----------
    variance : float, array-like of shape (n_features,) or None, default=None
        Dispersion b fixed by the user, above 0, in units of the columns as the
        model sees them. None leaves it to the balance policy and to the calibration.

    floor : float, default=1e-6
        Smallest variance :math:`2 b^2` that may be learned, relative to the variance
        of the column, above 0.

    See Also
    --------
    Gaussian : With squared errors.
    StudentT : With a bounded pull of outliers and learned tails.

    Notes
    -----
    The density has a kink at m, where its gradient is taken as 0.

    Examples
    --------
    >>> from skvae.likelihoods import Laplace
    >>> Laplace()
    Laplace()
    """

    parameter_names = ("location",)

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the median of each column."""
        self.learn_rows(X, np.arange(len(X)), weight)

    def learn_rows(
        self,
        X: Floats,
        rows: NDArray[np.integer],
        weight: Floats | None,
        columns: NDArray[np.intp] | None = None,
    ) -> None:
        """Learn the median of each column, block by block."""
        each = columns_at(X, rows, columns)
        self.median_ = np.concatenate([quantile(x, weight, 0.5) for x in each])

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Median of each column."""
        return standardized(self.median_, center, scale)

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Laplace distribution of every cell."""
        from torch.distributions import Laplace as TorchLaplace

        location = parameters["location"]
        scale = variance[:, None, :].expand_as(location)
        return TorchLaplace(location, scale, validate_args=False)

    def error(self, x: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Absolute error of every cell."""
        return (x - parameters["location"]).abs()

    def distortion_from_error(
        self, error: Tensor, variance: Tensor, observed_fraction: Tensor | float = 1.0
    ) -> Tensor:
        """Distortion from the mean absolute errors, which are sufficient for it."""
        nats = error / variance + observed_fraction * (variance.log() + math.log(2.0))
        return nats.sum(dim=-1)

    def dispersion_at(self, variance: Floats) -> Floats:
        """Dispersion b of a cell whose variance is given."""
        return np.sqrt(0.5 * variance)
