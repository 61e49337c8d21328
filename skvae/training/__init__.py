"""Training: plain functions on tensors, and the only epoch loop of the package."""

from skvae.training._evaluate import Evaluation, Rows, calibrate, evaluate, quadrature
from skvae.training._flat import views
from skvae.training._judge import variance_in_force
from skvae.training._plan import Plan
from skvae.training._schedules import SCHEDULES
from skvae.training._state import TrainingState, init
from skvae.training._train import Outcome, train

__all__ = [
    "SCHEDULES",
    "Evaluation",
    "Outcome",
    "Plan",
    "Rows",
    "TrainingState",
    "calibrate",
    "evaluate",
    "init",
    "quadrature",
    "train",
    "variance_in_force",
    "views",
]
