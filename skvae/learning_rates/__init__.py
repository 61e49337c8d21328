"""Learning rates over the planned steps, as factors of `learning_rate_init`."""

from skvae.learning_rates._base import LearningRate
from skvae.learning_rates._constant import Constant
from skvae.learning_rates._cosine import Cosine
from skvae.learning_rates._cyclical import Cyclical
from skvae.learning_rates._one_cycle import OneCycle
from skvae.learning_rates._step_decay import StepDecay

LEARNING_RATES: dict[str, type[LearningRate]] = {
    "constant": Constant,
    "one_cycle": OneCycle,
    "cosine": Cosine,
    "cyclical": Cyclical,
    "step_decay": StepDecay,
}

__all__ = [
    "LEARNING_RATES",
    "Constant",
    "Cosine",
    "Cyclical",
    "LearningRate",
    "OneCycle",
    "StepDecay",
]
