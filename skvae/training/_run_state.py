"""All that a training has come to after a whole epoch, as one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.training._early_stopping import Best, Patience
from skvae.training._replicas import Reached, Stopped
from skvae.training._state import TrainingState

Arrays = dict[str, NDArray[Any]]


class RunState(NamedTuple):
    """A run after a whole epoch, as copies: later steps change none.

    A run of the same task that is given it goes on bit for bit as the one it is of. It
    holds what changes from epoch to epoch and nothing that follows from the task, such
    as the rows and the noise of the validation.
    """

    latest: TrainingState
    """State of the replicas that still train, with the random generator's."""
    running: Tensor
    """Numbers of these replicas, of shape (n_running,)."""
    stopped: Stopped | None
    """Results of the others, if there are any."""
    has_left: Tensor
    """True for a replica that left for better ones, of shape (n_replicas,)."""
    last_finite: Reached
    """Results of the replicas that still train, of when they were last finite."""
    best: Best | None
    """Their best weights on held-out rows, if there are any."""
    patience: Patience | None
    """Their epochs since a clear improvement."""
    pull: Tensor | None
    """Pull of their columns of levels, of shape (n_running, n_columns)."""
    records: Sequence[dict[str, Tensor]]
    """History, an entry of shape (n_replicas,) for each quantity and epoch."""
    is_ended: bool
    """True where a callback has ended the training before its time."""

    def to_arrays(self) -> Arrays:
        """Arrays alone, by name, which can be stored anywhere."""
        latest = self.latest
        tensors = {
            "values": latest.values,
            "mean": latest.mean,
            "square": latest.square,
            "generator": latest.generator,
            "running": self.running,
            "has_left": self.has_left,
            "pull": self.pull,
            **_named("balance", latest.balance),
            **_named("last_finite", self.last_finite),
        }
        for name in ("stopped", "best", "patience"):
            tensors |= _named(name, getattr(self, name) or ())
        for name in self.records[0]:
            entries = [record[name] for record in self.records]
            tensors[f"history.{name}"] = torch.stack(entries)
        arrays = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in tensors.items()
            if tensor is not None
        }
        counts = [latest.n_steps, latest.n_epochs, self.is_ended]
        return {**arrays, "counts": np.array(counts, dtype=np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], start: TrainingState) -> RunState:
        """Inverse of `to_arrays`.

        Parameters
        ----------
        arrays : mapping of str to ndarray
        start : TrainingState
            The start of the same task.

        Raises
        ------
        ValueError
            If the arrays are of a network of another size.
        """
        n_weights, expected = arrays["values"].shape[1], start.values.shape[1]
        if n_weights != expected:
            raise ValueError(
                f"The training that was saved has {n_weights} weights for each model, "
                f"and the network now has {expected}: its code has changed. Go back to "
                "the code that was saved with, or start anew without the file."
            )

        def tensor(name: str) -> Tensor:
            return torch.tensor(arrays[name], device=start.values.device)

        def part(name: str, fields: Any) -> Any:
            first = f"{name}.{fields._fields[0]}"
            return _filled(name, fields, tensor) if first in arrays else None

        reached = _fields_of(Reached)._replace(balance=start.balance)
        stopped = part("stopped", _fields_of(Stopped)._replace(reached=reached))
        if stopped is not None:
            stopped = stopped._replace(numbers=stopped.numbers.cpu())
        running = torch.tensor(arrays["running"])
        n_steps, n_epochs, is_ended = arrays["counts"].tolist()
        latest = replace(
            start.select(running),
            values=tensor("values"),
            balance=_filled("balance", start.balance, tensor),
            generator=torch.tensor(arrays["generator"]),
            mean=tensor("mean"),
            square=tensor("square"),
            n_steps=n_steps,
            n_epochs=n_epochs,
        )
        history = {
            name.removeprefix("history."): tensor(name).unbind()
            for name in arrays
            if name.startswith("history.")
        }
        entries = zip(*history.values(), strict=True)
        return cls(
            latest=latest,
            running=running,
            stopped=stopped,
            has_left=torch.tensor(arrays["has_left"]),
            last_finite=_filled("last_finite", reached, tensor),
            best=part("best", _fields_of(Best)),
            patience=part("patience", _fields_of(Patience)),
            pull=tensor("pull") if "pull" in arrays else None,
            records=[dict(zip(history, each, strict=True)) for each in entries],
            is_ended=bool(is_ended),
        )


def _named(name: str, state: Any) -> dict[str, Tensor | None]:
    """Tensors of a named tuple and of those in it, by the path of their fields."""
    found: dict[str, Tensor | None] = {}
    for field, part in zip(getattr(state, "_fields", ()), state, strict=True):
        path = f"{name}.{field}"
        found |= _named(path, part) if isinstance(part, tuple) else {path: part}
    return found


def _fields_of(kind: Any) -> Any:
    """A named tuple in which each field stands for itself."""
    return kind(*kind._fields)


def _filled(name: str, fields: Any, tensor: Callable[[str], Tensor]) -> Any:
    """Inverse of `_named`, for a named tuple whose values stand for tensors."""
    return type(fields)(
        *(
            _filled(f"{name}.{field}", part, tensor)
            if isinstance(part, tuple)
            else tensor(f"{name}.{field}")
            for field, part in zip(fields._fields, fields, strict=True)
        )
    )
