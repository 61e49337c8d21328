"""Training: plain functions on tensors, and the only epoch loop of the package."""

from skvae.model._calibration import Calibration
from skvae.model._evaluate import Evaluation, Rows, evaluate, quadrature
from skvae.training._flat import flatten, views
from skvae.training._plan import Plan
from skvae.training._schedules import SCHEDULES
from skvae.training._state import TrainingState, init
from skvae.training._step import Batch, Differentiator, Step
from skvae.training._task import Task
from skvae.training._train import Outcome, train

__all__ = [
    "SCHEDULES",
    "Batch",
    "Calibration",
    "Differentiator",
    "Evaluation",
    "Outcome",
    "Plan",
    "Rows",
    "Step",
    "Task",
    "TrainingState",
    "evaluate",
    "flatten",
    "init",
    "quadrature",
    "train",
    "views",
]
