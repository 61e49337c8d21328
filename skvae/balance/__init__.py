"""Balance policies, which weigh the rate against the distortion."""

from skvae.balance._base import (
    BalancePolicy,
    BalanceState,
    Sizes,
    Terms,
    VariancePolicy,
)
from skvae.balance._capacity import Capacity
from skvae.balance._closed_form_variance import ClosedFormVariance
from skvae.balance._constant import Constant
from skvae.balance._control import Control
from skvae.balance._cosine import Cosine
from skvae.balance._cyclical import Cyclical
from skvae.balance._dynamic import Dynamic
from skvae.balance._free_bits import FreeBits
from skvae.balance._geco import Geco
from skvae.balance._learned_variance import LearnedVariance
from skvae.balance._linear import Linear
from skvae.balance._normalized import Normalized
from skvae.balance._optimal_variance import OptimalVariance
from skvae.balance._ramp import Ramp
from skvae.balance._reductions import beta_from_loss, loss_from_beta
from skvae.balance._running_average import RunningAverage
from skvae.balance._schedule import Schedule
from skvae.balance._sigmoid import Sigmoid
from skvae.balance._wrapper import Wrapper

POLICIES: dict[str, type[BalancePolicy]] = {
    "constant": Constant,
    "normalized": Normalized,
    "linear": Linear,
    "sigmoid": Sigmoid,
    "cosine": Cosine,
    "cyclical": Cyclical,
    "capacity": Capacity,
    "free_bits": FreeBits,
    "geco": Geco,
    "control": Control,
    "dynamic": Dynamic,
    "learned_variance": LearnedVariance,
    "optimal_variance": OptimalVariance,
    "running_average": RunningAverage,
}

__all__ = [
    "POLICIES",
    "BalancePolicy",
    "BalanceState",
    "Capacity",
    "ClosedFormVariance",
    "Constant",
    "Control",
    "Cosine",
    "Cyclical",
    "Dynamic",
    "FreeBits",
    "Geco",
    "LearnedVariance",
    "Linear",
    "Normalized",
    "OptimalVariance",
    "Ramp",
    "RunningAverage",
    "Schedule",
    "Sigmoid",
    "Sizes",
    "Terms",
    "VariancePolicy",
    "Wrapper",
    "beta_from_loss",
    "loss_from_beta",
]
