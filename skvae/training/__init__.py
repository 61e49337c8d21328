"""Training: plain functions on tensors, and the only epoch loop of the package."""

from skvae.training._plan import Plan
from skvae.training._schedules import SCHEDULES
from skvae.training._state import TrainingState, init
from skvae.training._step import Batch, Differentiator, Step
from skvae.training._task import Task
from skvae.training._train import Outcome, train

__all__ = [
    "SCHEDULES",
    "Batch",
    "Differentiator",
    "Outcome",
    "Plan",
    "Step",
    "Task",
    "TrainingState",
    "init",
    "train",
]
