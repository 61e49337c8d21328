"""Training on tensors; holds the only epoch loop of the package."""

from skvae.training._outcome import Outcome, best_of
from skvae.training._plan import Plan, Rung
from skvae.training._ranks import together
from skvae.training._run import Run
from skvae.training._run_state import RunState
from skvae.training._state import StartValues, TrainingState, init
from skvae.training._step import Batch, Differentiator, Step
from skvae.training._task import Task
from skvae.training._train import Interrupted, train
from skvae.training._validation import Validation

__all__ = [
    "Batch",
    "Differentiator",
    "Interrupted",
    "Outcome",
    "Plan",
    "Run",
    "RunState",
    "Rung",
    "StartValues",
    "Step",
    "Task",
    "TrainingState",
    "Validation",
    "best_of",
    "init",
    "together",
    "train",
]
