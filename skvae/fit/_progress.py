"""Progress of a fit, for callbacks and the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.training import Outcome

# With verbose > 0, at least one line is printed per so many seconds.
_LONGEST_SILENCE = 60.0


class Report:
    """Reports each epoch to callbacks and to the terminal.

    Lines are plain text that ends with a line break and is flushed, so that they read
    the same in a terminal, a notebook and a log. With ``verbose=0`` there are none.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        attributes: Callable[[int, Outcome], dict[str, Any]],
    ) -> None:
        self.estimator, self.X, self.attributes = estimator, X, attributes
        self.every = estimator.max_iter / (10.0 * max(1, int(estimator.verbose)))
        self.start = self.last_line = time.perf_counter()
        self.n_done = self.n_told = 0
        self.record: dict[str, Tensor] = {}
        self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        # X is the target of an autoencoder; monitors skip scoring without a y.
        self.data = {"estimator": estimator, "X": X, "y": X}
        self.root.call_on_fit_task_begin(**self.data)

    def __call__(
        self,
        epoch: int,
        record: dict[str, Tensor],
        best: Callable[[], tuple[int, Outcome]],
    ) -> bool:
        """Report an epoch; return whether a callback asks to stop."""
        self.n_done, self.record = epoch + 1, record
        if self.estimator.verbose and self._is_due():
            self._print(f"at most {duration(self._left())} left")
        task = self.root.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(**self.data)
        return task.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: self.attributes(*best()),
        )

    def _is_due(self) -> bool:
        """True if a line is printed after this epoch."""
        return (
            self.n_done % self.every < 1.0
            or self.n_done == self.estimator.max_iter
            or time.perf_counter() - self.last_line > _LONGEST_SILENCE
        )

    def _left(self) -> float:
        """Seconds that the other epochs take, if none is saved by stopping early."""
        spent = time.perf_counter() - self.start
        return spent / self.n_done * (self.estimator.max_iter - self.n_done)

    def _print(self, when: str) -> None:
        # Not at the top: importing the estimator imports no torch.
        from skvae.training._outcome import best_of

        elbos = self.record.get("validation_elbo", self.record["elbo"])
        best = best_of(elbos)
        elbo, rate = float(elbos[best]), float(self.record["rate"][best])
        self.last_line, self.n_told = time.perf_counter(), self.n_done
        print(
            f"[{type(self.estimator).__name__}] epoch {self.n_done}/"
            f"{self.estimator.max_iter}: elbo {elbo:.4g} nats per row "
            f"(as the model sees it), rate {rate:.3g}, {when}",
            # A log that is written to a file would get its lines at the end.
            flush=True,
        )

    def close(self, attributes: dict[str, Any] | None = None) -> None:
        """Report the end of the fit.

        With the attributes of a fitted model, where the estimator is not one by now.
        """
        if self.estimator.verbose and self.n_told < self.n_done:
            spent = time.perf_counter() - self.start
            self._print(f"stopped early after {duration(spent)}")
        self.root.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: attributes or {}
        )


def duration(seconds: float) -> str:
    """Seconds in readable units.

    >>> duration(4.2), duration(200.0), duration(8000.0)
    ('4 s', '3 min 20 s', '2 h 13 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
