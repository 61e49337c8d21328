"""Bernoulli likelihood."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skvae.likelihoods._base import Likelihood, column_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution


class Bernoulli(Likelihood):
    r"""Distribution of columns that hold zeros and ones.

    .. math:: -\log p(x \mid z) = \sum_d \log(1 + e^{l_d(z)}) - x_d\, l_d(z)

    The logits l come from the decoder. Values between 0 and 1 are refused: for them
    the expression is not a density, as it does not integrate to one, and no weight
    on the rate mends that.

    Parameters
    ----------
    threshold : float or None, default=None
        Values above it count as one and all others as zero. None takes zeros and
        ones only.

    See Also
    --------
    Gaussian : For columns of real numbers.

    Examples
    --------
    >>> from skvae.likelihoods import Bernoulli
    >>> Bernoulli()
    Bernoulli()
    """

    _parameter_constraints = {"threshold": [Real, None]}

    parameter_names = ("logits",)

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = threshold

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Bernoulli distribution of every cell."""
        from torch.distributions import Bernoulli as TorchBernoulli

        return TorchBernoulli(logits=parameters["logits"], validate_args=False)

    def admit(
        self, X: NDArray[np.floating], names: Sequence[str] | None = None
    ) -> NDArray[np.floating]:
        """Return X as zeros and ones, or raise ValueError."""
        if self.threshold is not None:
            return (self.threshold < X).astype(X.dtype)
        possible = (X == 0) | (X == 1)
        if not possible.all():
            row, column = np.argwhere(~possible)[0]
            raise ValueError(
                "The Bernoulli likelihood needs columns of zeros and ones, but "
                f"{column_name(int(column), names)} holds {X[row, column]:g}. Use "
                "likelihood='gaussian', or Bernoulli(threshold=...) to split values "
                "in two."
            )
        return X
