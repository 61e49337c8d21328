"""Log-normal likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.ground._tensors import in_units_of, namespace_of
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._refuse import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skvae.likelihoods._base import PerColumn


class LogNormal(Gaussian):
    r"""Positive numbers whose logarithm is Gaussian.

    .. math:: -\log p(x \mid z) = \sum_d \frac{1}{2} \left(
              \frac{(\log x_d - m_d(z))^2}{\sigma_d^2} + \log \sigma_d^2
              + \log 2\pi \right) + \log x_d

    The model sees log x, centred and scaled by the table, and treats it as a Gaussian:
    the balance policy moves the variance, and the training may start at a linear model.
    The last term, the Jacobian of the logarithm, makes the distortion one of x, so that
    it compares with that of a Gaussian on x itself.

    Parameters
    ----------
    variance : float, array-like of shape (n_features,) or None, default=None
        Variance of log x fixed by the user, above 0, in squared units of the
        columns as the model sees them. None leaves it to the balance policy and to
        the calibration.

    floor : float, default=1e-6
        Smallest variance that may be learned, relative to the variance of the
        column's logarithm, above 0.

    See Also
    --------
    Gaussian : For columns of any sign.
    NegativeBinomial : For counts, which may be zero.

    Notes
    -----
    With mean m and variance v of :math:`(\log x - c) / s` under the model, and the
    table's centre c and scale s, the mean of x is :math:`\exp(c + s m + s^2 v / 2)`,
    which is the reconstruction; the median is :math:`\exp(c + s m)`.

    Examples
    --------
    >>> from skvae.likelihoods import LogNormal
    >>> LogNormal()
    LogNormal()
    """

    def to_model(self, X: Any) -> Any:
        """Logarithm of rows."""
        return namespace_of(X).log(X)

    def to_user(self, x: Any) -> Any:
        """Exponential of rows, from about the smallest number to the largest."""
        xp = namespace_of(x)
        limits = xp.finfo(x.dtype)
        least, most = (
            x.dtype.type(end) if xp is np else float(end)
            for end in np.log([limits.tiny, limits.max]) * (1.0 - limits.eps)
        )
        return xp.exp(xp.clip(x, least, most))

    def log_jacobian(self, X: Any) -> Any:
        """Logarithm of X."""
        return namespace_of(X).log(X)

    def reconstruction(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        center: PerColumn | Tensor = 0.0,
        scale: PerColumn | Tensor = 1.0,
    ) -> Tensor:
        """Mean of each cell in the units of X, which is above its median."""
        found = in_units_of(self.mean(parameters, variance), center, scale)
        once = in_units_of(variance[:, None, :], 0.0, scale)
        variance_of_log = in_units_of(once, 0.0, scale)
        mean: Tensor = self.to_user(found + 0.5 * variance_of_log)
        return mean

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X, or raise ValueError where it is not above zero."""
        refuse(
            self,
            X <= 0,
            X,
            names,
            needed="values above 0",
            remedy="Use likelihood='gaussian', or add to the column what makes it "
            "positive.",
        )
        return X
