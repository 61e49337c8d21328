"""Base of the policies that set the decoder variance in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from skvae._sklearn_compat import StrOptions
from skvae.balance._base import Sizes, Terms, VariancePolicy, fraction_of, pool

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.balance._base import RateTerm

# Where "auto" starts with one variance for all features, it ends with one for each:
# fractions of the planned steps between which it moves from the one to the other.
_INTERPOLATES_FROM, _INTERPOLATES_TO = 0.2, 0.6


class VarianceMap(NamedTuple):
    """Parameters of the map from error to variance in force, replica axis first."""

    ratio: Tensor
    """Variance that is optimal on held-out rows, relative to the error on the training
    rows, in the shape of the variance."""
    interpolation: Tensor
    """Interpolation from one variance for all features, 0, to one for each, 1, of
    shape (n_replicas, 1)."""
    rises: Tensor
    """1 where `interpolation` moves to 1 during training, else 0, (n_replicas, 1)."""


class ClosedFormVariance(VariancePolicy):
    """Base of the policies that set the decoder variance from the squared error.

    Parameters
    ----------
    scope : {"auto", "shared", "feature"}
        One variance for all features, one for each, or "auto": two models are trained
        side by side, and the better one on held-out rows is kept. One starts at factor
        analysis with a variance for each feature, the other at probabilistic PCA with a
        variance that is shared at first. Without held-out rows "auto" is "shared", and
        a network without a linear start trains the second model alone.

    source : {"auto", "train", "validation"}
        The rows whose error is the variance: the training rows, or the held-out
        rows, on which overfitting does not lower the error. "auto" takes held-out rows
        if there are any.

    See Also
    --------
    RunningAverage : From a running average of the error.
    OptimalVariance : From the error of the batch.

    Notes
    -----
    A variance for each feature is better where columns differ in how well they can be
    predicted, and worse where one is almost known from the others: its variance goes
    to zero, and a new row that does not fit costs a lot. On the training rows it
    always looks better, so that only held-out rows can choose.

    With "auto" the variance that is shared at first becomes one for each feature
    between a fifth and three fifths of the planned steps, by a geometric mean of the
    two. The two models share their matrix products.

    Examples
    --------
    >>> from skvae.balance import ClosedFormVariance, OptimalVariance
    >>> isinstance(OptimalVariance(), ClosedFormVariance)
    True
    """

    _parameter_constraints: dict[str, list] = {
        "scope": [StrOptions({"auto", "shared", "feature"})],
        "source": [StrOptions({"auto", "train", "validation"})],
    }

    ends_at_beta = True

    def __init__(self, scope: str = "auto", source: str = "auto") -> None:
        self.scope = scope
        self.source = source

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why the variance would not suit a bound."""
        if divergence.is_bound:
            return (
                "sets the decoder's variance to the squared error of draws that count "
                "equally, which those of the bound do not"
            )
        return ""

    def init_variance_map(self, variance: Tensor, sizes: Sizes) -> VarianceMap:
        """Parameters of the variance before the first step."""
        interpolation = variance[:, :1] * 0.0
        if self.scope == "feature":
            interpolation = interpolation + 1.0
        rises = interpolation
        if self.scope == "auto" and sizes.per_feature is not None:
            interpolation = interpolation + sizes.per_feature[:, None]
            rises = rises + 1.0
        return VarianceMap(
            ratio=variance / variance, interpolation=interpolation, rises=rises
        )

    def variance_of(
        self, error: Tensor, variance_map: VarianceMap, floor: Tensor
    ) -> Tensor:
        """Variance in force for an error in the shape of the variance."""
        least = pool(floor, self.scope)
        variance = error.maximum(least) * variance_map.ratio
        if self.scope == "auto":
            shared = variance.mean(dim=1, keepdim=True)
            # A geometric mean of the two: in between, where nats are.
            variance = shared * (variance / shared).pow(variance_map.interpolation)
        return variance.maximum(least)

    def after_validation(self, state: Any, ratio: Tensor) -> Any:
        """State with the ratio that is optimal on held-out rows, if they are used."""
        if self.source == "train":
            return state
        return state._replace(variance_map=state.variance_map._replace(ratio=ratio))

    def update(self, state: Any, terms: Terms, progress: float | Tensor) -> Any:
        """State after a step: the interpolation moved towards a variance for each."""
        if self.scope != "auto":
            return state
        variance_map = state.variance_map
        done = fraction_of(progress, variance_map.interpolation) - _INTERPOLATES_FROM
        done = (done / (_INTERPOLATES_TO - _INTERPOLATES_FROM)).clamp(0.0, 1.0)
        interpolation = variance_map.interpolation.maximum(variance_map.rises * done)
        return state._replace(
            variance_map=variance_map._replace(interpolation=interpolation)
        )
