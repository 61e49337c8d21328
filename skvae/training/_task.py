"""Input of a training: its start and its rows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from skvae.data._rows import WeightedRows
from skvae.model._calibration import Calibration
from skvae.training._run_state import RunState
from skvae.training._source import Source
from skvae.training._state import TrainingState


class Task(NamedTuple):
    """Start of the replicas, and the rows to train and to validate them on."""

    state: TrainingState
    """The start; it is not changed."""
    source: Source
    """Rows to train on."""
    held_out: WeightedRows | None = None
    """Rows to validate on, if any."""
    calibration: Calibration | None = None
    """Sets the decoder variance of the validation; None where it is fixed."""
    reached: RunState | None = None
    """State of an earlier run of the same task, to go on from; or None."""
    origin: Mapping[str, str] = MappingProxyType({})
    """Checksums of what the start and the rows do not show, by name."""
