"""Progress of a fit, for callbacks and the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.fit._prepared import Jacobian
    from skvae.fit._resumable import Resumable
    from skvae.training import Outcome, Run

# With verbose > 0, at least one line is printed per so many seconds.
_LONGEST_SILENCE = 60.0


class Report:
    """Reports each epoch to callbacks and to the terminal.

    Lines are plain text that ends with a line break and is flushed, so that they read
    the same in a terminal, a notebook and a log. With ``verbose=0`` there are none.
    Terms are in the units of X: those of an epoch are in `history_`, and those of the
    last line are `elbo_` and `rate_`.

    Parameters
    ----------
    estimator : BalancedVAE
        The estimator that is being fitted.
    X : array-like
        The user's table in memory, or a sample of its rows.
    training : Resumable or None, default=None
        The training, for callbacks to save and to take up; None where it cannot be.
    """

    def __init__(
        self, estimator: Any, X: Any, training: Resumable | None = None
    ) -> None:
        self.estimator, self.X, self.training = estimator, X, training
        self.every = estimator.max_iter / (10.0 * max(1, int(estimator.verbose)))
        self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self.root.training = training
        # X is the target of an autoencoder; monitors skip scoring without a y.
        self.data = {"estimator": estimator, "X": X, "y": X}
        self.root.call_on_fit_task_begin(**self.data)

    def begin(
        self,
        attributes: Callable[[int, Outcome], dict[str, Any]],
        jacobian: Jacobian,
    ) -> None:
        """Begin with the epochs.

        Parameters
        ----------
        attributes : callable
            Fitted attributes of a replica, from its number and its result.
        jacobian : Jacobian
            Nats per row that terms gain in the units of X.
        """
        self.attributes, self.jacobian = attributes, jacobian
        self.start = self.last_line = time.perf_counter()
        n_before = 0 if self.training is None else self.training.n_epochs
        self.n_before = self.n_done = n_before
        for _ in range(n_before):
            # Tasks are numbered in the order in which they are made.
            self.root.subcontext(task_name="epoch")

    def __call__(self, epoch: int, record: dict[str, Tensor], run: Run) -> bool:
        """Report an epoch; return whether a callback asks to stop."""
        self.n_done = epoch + 1
        if self.estimator.verbose and self._is_due():
            when = f"at most {duration(self._left())} left"
            self._print(*self._best(record), when)
        if self.training is not None:
            self.training.run = run
        task = self.root.subcontext(task_name="epoch")
        task.training = self.training
        task.call_on_fit_task_begin(**self.data)
        return task.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: self.attributes(*run.best()),
        )

    def _is_due(self) -> bool:
        """True if a line is printed after this epoch; that of the last one is later."""
        return self.n_done < self.estimator.max_iter and (
            self.n_done % self.every < 1.0
            or time.perf_counter() - self.last_line > _LONGEST_SILENCE
        )

    def _left(self) -> float:
        """Seconds that the other epochs take, if none is saved by stopping early."""
        spent = time.perf_counter() - self.start
        n_left = self.estimator.max_iter - self.n_done
        return spent / (self.n_done - self.n_before) * n_left

    def _best(self, record: dict[str, Tensor]) -> tuple[float, float]:
        """Elbo and rate of the best replica, on held-out rows if there are any."""
        # Not at the top: importing the estimator imports no torch.
        from skvae.training._outcome import best_of

        prefix, jacobian = "", self.jacobian.train
        if "validation_elbo" in record:
            prefix, jacobian = "validation_", self.jacobian.validation
        elbo, rate = record[f"{prefix}elbo"], record[f"{prefix}rate"]
        best = best_of(elbo)
        return float(elbo[best]) - jacobian, float(rate[best])

    def _print(self, elbo: float, rate: float, when: str) -> None:
        self.last_line = time.perf_counter()
        print(
            f"[{type(self.estimator).__name__}] epoch {self.n_done}/"
            f"{self.estimator.max_iter}: elbo {elbo:.4g} nats per row, "
            f"rate {rate:.3g}, {when}",
            # A log that is written to a file would get its lines at the end.
            flush=True,
        )

    def close(self, attributes: dict[str, Any] | None = None) -> None:
        """Report the end of the fit.

        With the attributes of a fitted model, where the estimator is not one by now.
        """
        if self.estimator.verbose:
            is_early = self.n_done < self.estimator.max_iter
            spent = duration(time.perf_counter() - self.start)
            when = f"{'stopped early' if is_early else 'done'} after {spent}"
            found = attributes or vars(self.estimator)
            self._print(found["elbo_"], found["rate_"], when)
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
