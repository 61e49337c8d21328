"""Student-t likelihood."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from skvae._sklearn_compat import Interval
from skvae.data._numbers import standardized
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._weighted import (
    cell_weights,
    columns_at,
    is_constant,
    mean_and_std,
    quantile,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._base import Floats, PerColumn

# Standard deviations from the mean beyond which a cell adds nothing to the kurtosis.
_MOST_UNITS = 1e50

# Scale of the distribution by that of the table, whose square single precision holds.
_MOST_SCALES = 1e18


class StudentT(Likelihood):
    r"""Student's t distribution: real numbers with outliers.

    .. math:: \log p(x \mid z) = \log\Gamma\tfrac{\nu + 1}{2}
              - \log\Gamma\tfrac{\nu}{2} - \tfrac{1}{2} \log(\nu\pi) - \log s
              - \tfrac{\nu + 1}{2} \log\left(1 + \frac{(x - m)^2}{\nu s^2}\right)

    The location m comes from the decoder; each feature has one scale s and one number
    of degrees of freedom :math:`\nu` for all rows, trained beside the networks. A
    cell that is far off costs little more than its logarithm, and pulls at m with at
    most :math:`(\nu + 1) / (2 s \sqrt{\nu})`, so a few wild cells move neither m
    nor s by much.

    Parameters
    ----------
    degrees_of_freedom : float or None, default=None
        Above 0; 1 is Cauchy's distribution, and for large values it is Gaussian. None
        learns one above 3 for each feature.

    floor : float, default=1e-6
        Square of the smallest scale, above 0, in squared units of the columns as the
        model sees them: relative to the column's variance where the table
        standardizes.

    See Also
    --------
    Gaussian : Without outliers, with a variance that the policy moves.
    Laplace : Between the two, with a dispersion that the policy moves.

    References
    ----------
    .. [1] H. Takahashi, T. Iwata, Y. Yamanaka, M. Yamada and S. Yagi, "Student-t
       variational autoencoder for robust density estimation", IJCAI 2018.
       https://www.ijcai.org/proceedings/2018/374

    Examples
    --------
    >>> from skvae.likelihoods import StudentT
    >>> StudentT(degrees_of_freedom=4.0)
    StudentT(degrees_of_freedom=4.0)
    """

    _parameter_constraints = {
        "degrees_of_freedom": [Interval(Real, 0, None, closed="neither"), None],
        "floor": [Interval(Real, 0, None, closed="neither")],
    }

    parameter_names = ("location",)
    is_continuous = True

    def __init__(
        self, degrees_of_freedom: float | None = None, floor: float = 1e-6
    ) -> None:
        self.degrees_of_freedom = degrees_of_freedom
        self.floor = floor

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn median, scale and degrees of freedom of each column.

        The scale is from the median distance to the median, which outliers do not
        move; the degrees of freedom are from the kurtosis.
        """
        self.learn_rows(X, np.arange(len(X)), weight)

    def learn_rows(
        self,
        X: Floats,
        rows: NDArray[np.integer],
        weight: Floats | None,
        columns: NDArray[np.intp] | None = None,
    ) -> None:
        """Learn the same of each column, block by block."""
        each = [self._learned(x, weight) for x in columns_at(X, rows, columns)]
        self.median_, self.scale_, self.df_ = np.concatenate(each, axis=1)

    def _learned(self, X: Floats, weight: Floats | None) -> Floats:
        """Median, scale and degrees of freedom, of shape (3, n_features)."""
        median = quantile(X, weight, 0.5)
        mean, std = mean_and_std(X, weight)
        has_unit = ~is_constant(X) & (std > 0.0)
        std = np.where(has_unit, std, 1.0)
        if self.degrees_of_freedom is None:
            excess = _excess_kurtosis(X, weight, mean, std)
            # It is 6 / (df - 4).
            df = np.clip(4.0 + 6.0 / np.maximum(excess, 0.1), 4.0, 30.0)
        else:
            df = np.full_like(std, self.degrees_of_freedom)
        with np.errstate(over="ignore"):
            distance = quantile(np.abs(X - median), weight, 0.5)
        # More than half of a column may be one value.
        distance = np.where(has_unit & (distance > 0.0), distance, 0.67 * std)
        most = np.finfo(np.float64).max
        scale = np.minimum(distance, most) / stdtrit(df, 0.75)
        return np.stack([median, scale, df])

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Median of each column."""
        return standardized(self.median_, center, scale)

    def feature_parameters(
        self,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> dict[str, Floats]:
        """Logarithm of the scale, and unconstrained degrees of freedom if learned."""
        ratio = standardized(self.scale_, 0.0, scale)
        # A warm start keeps a scale that may be out of all proportion to these rows.
        log_scale = np.log(np.clip(ratio, 1.0 / _MOST_SCALES, _MOST_SCALES))
        if self.degrees_of_freedom is not None:
            return {"log_scale": log_scale}
        # The inverse of the softplus function.
        return {"log_scale": log_scale, "tail": np.log(np.expm1(self.df_ - 3.0))}

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Student's t distribution of every cell."""
        from torch.nn.functional import softplus

        from skvae.likelihoods._real_distributions import StudentT as Distribution

        location = parameters["location"]
        if self.degrees_of_freedom is None:
            df = 3.0 + softplus(parameters["tail"])
        else:
            df = location.new_full((), self.degrees_of_freedom)
        scale = parameters["log_scale"].exp() + self.floor**0.5
        return Distribution(df, location, scale)


def _excess_kurtosis(
    X: Floats, weight: Floats | None, mean: Floats, std: Floats
) -> Floats:
    """Excess kurtosis of each column."""
    cells = cell_weights(X, weight)
    units = np.nan_to_num(standardized(X, mean, std))
    # Of a row that weighs next to nothing there is no fourth power.
    units = np.clip(units, -_MOST_UNITS, _MOST_UNITS)
    fourth = (cells * units**4).sum(axis=0)
    return fourth / np.maximum(cells.sum(axis=0), 1e-300) - 3.0
