"""What callbacks and terminal hear of a fit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class Report:
    """Tells callbacks and terminal of each epoch."""

    def __init__(
        self,
        estimator: Any,
        X: Any,
        attributes: Callable[[int, Tensor], dict[str, Any]],
    ) -> None:
        self.estimator, self.X, self.attributes = estimator, X, attributes
        self.every = estimator.max_iter / (10.0 * max(1, int(estimator.verbose)))
        self.start = time.perf_counter()
        self.root = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        # X is the target of an autoencoder; monitors skip scoring without a y.
        self.data = {"estimator": estimator, "X": X, "y": X}
        self.root.call_on_fit_task_begin(**self.data)

    def __call__(
        self,
        epoch: int,
        record: dict[str, Tensor],
        kept: Callable[[], tuple[int, Tensor]],
    ) -> bool:
        """Report an epoch; return whether a callback asks to stop."""
        if self.estimator.verbose:
            self._print(epoch + 1, record)
        task = self.root.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(**self.data)
        return task.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: self.attributes(*kept()),
        )

    def _print(self, n_done: int, record: dict[str, Tensor]) -> None:
        n_epochs = self.estimator.max_iter
        if n_done % self.every >= 1.0 and n_done < n_epochs:
            return
        elbos = record.get("validation_elbo", record["elbo"])
        best = int(elbos.argmax())
        elbo, rate = float(elbos[best]), float(record["rate"][best])
        spent = time.perf_counter() - self.start
        left = spent / n_done * (n_epochs - n_done)
        name = type(self.estimator).__name__
        print(
            f"[{name}] epoch {n_done}/{n_epochs}: elbo {elbo:.4g} nats per row "
            f"(as the model sees it), rate {rate:.3g}, "
            f"at most {left:.0f} s left"
        )

    def close(self) -> None:
        """Report the end of the fit."""
        self.root.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: {}
        )
