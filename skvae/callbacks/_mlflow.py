"""A callback that logs a fit in MLflow."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from skvae.ground._optional import import_optional_dependency

# Most numbers that MLflow takes at a time.
_PER_CALL = 1000

# Attributes of a fitted estimator that are logged under their own names.
_MEASURES = ("elbo_", "rate_", "distortion_", "beta_", "n_iter_")


class MLflow:
    """Log settings, history and measures of a fit in MLflow.

    When a fit has ended, its settings but `verbose` become parameters of a run, and
    each number of `history_` a metric with the epoch as its step. `elbo_`, `rate_`,
    `distortion_`, `beta_` and `n_iter_` are metrics under these names.

    Parameters
    ----------
    nested : bool, default=False
        False logs to the active run, or to a new one where none is active. True gives
        each fit a run of its own, within the active one if there is one: for a search
        and for several fits, as a run takes the settings of one fit alone.

    See Also
    --------
    skvae.displays.HistoryDisplay : The history of a fitted model as a picture.

    Notes
    -----
    Needs MLflow, as of the extra ``skvae[mlflow]``. ``mlflow.sklearn.autolog()`` logs
    pipelines and searches, and skips a transformer that is fitted alone; it logs no
    history. Both may be used together.

    `BalancedVAE`, `OutlierVAE` and `BalancedVAECV` are logged as what they are after
    `fit`. The models of folds are not, nor is `beta_path`. `partial_fit` calls no
    callbacks. A fit that ends with an error leaves no run of its own.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.callbacks import MLflow
    >>> vae = BalancedVAE(2).set_callbacks(MLflow())  # doctest: +SKIP
    >>> vae = vae.fit(load_wine().data)  # doctest: +SKIP
    """

    def __init__(self, nested: bool = False) -> None:
        if not isinstance(nested, bool):
            raise TypeError(f"nested must be True or False, got {nested!r}.")
        self.nested = nested

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"MLflow(nested={self.nested})"

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the fit can be logged, before an epoch is trained in vain.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that is being fitted.
        context : CallbackContext
            Its task.
        """
        mlflow = import_optional_dependency("mlflow", needed_by="MLflow")
        active = mlflow.active_run()
        if self.nested or active is None:
            return
        logged = mlflow.get_run(active.info.run_id).data.params
        for name, value in _settings(estimator).items():
            if logged.get(name, str(value)) != str(value):
                raise ValueError(
                    f"The active run of MLflow holds {name}={logged[name]} of another "
                    f"fit, and this one has {name}={value!r}: a run takes one value of "
                    "each parameter. Use MLflow(nested=True), which gives each fit a "
                    "run of its own, or end the active run."
                )

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that was fitted.
        context : CallbackContext
            Its task.
        """

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that is being fitted.
        context : CallbackContext
            Its task.
        """

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Log the fit when it has ended.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that was fitted.
        context : CallbackContext
            Its task.

        Returns
        -------
        stop : bool
            Always False.
        """
        # Trainings of many models leave an estimator without a history.
        if context.task_name == "epoch" or not hasattr(estimator, "history_"):
            return False
        mlflow = import_optional_dependency("mlflow", needed_by="MLflow")
        settings = _settings(estimator)
        measures = {name: float(getattr(estimator, name)) for name in _MEASURES}
        now = int(1000 * time.time())
        history = [
            mlflow.entities.Metric(name, float(value), now, step)
            for name, values in estimator.history_.items()
            for step, value in enumerate(values)
        ]
        active, name = mlflow.active_run(), type(estimator).__name__
        run: AbstractContextManager[Any] = nullcontext(active)
        if self.nested or active is None:
            run = mlflow.start_run(run_name=name, nested=active is not None)
        with run as found:
            mlflow.log_params(settings)
            mlflow.log_metrics(measures)
            for first in range(0, len(history), _PER_CALL):
                mlflow.MlflowClient().log_batch(
                    found.info.run_id, history[first : first + _PER_CALL]
                )
        return False


def _settings(estimator: Any) -> dict[str, Any]:
    """Settings of an estimator that are logged."""
    settings: dict[str, Any] = estimator.get_params(deep=False)
    # MLflow logs that of a pipeline or a search by the same name.
    settings.pop("verbose", None)
    return settings
