"""Where a training starts, and the rows it reads."""

from __future__ import annotations

from typing import NamedTuple

from skvae.data._rows import Rows
from skvae.model._calibration import Calibration
from skvae.training._state import TrainingState


class Task(NamedTuple):
    """Replicas to train, and the rows to train and judge them on."""

    state: TrainingState
    """Where to start; it is not changed."""
    rows: Rows
    """What to train on."""
    held_out: Rows | None = None
    """What to judge on, if anything."""
    calibration: Calibration | None = None
    """How to set the decoder variance that is judged with; None where it is fixed."""
