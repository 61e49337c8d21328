"""Every private or version-dependent import from scikit-learn, in one place.

All of it behaves the same in scikit-learn 1.6 to 1.9. Callbacks are new in 1.9; before,
the stand-ins below call them in the fits of the estimators of this package.
"""

import copy
import inspect
import sys
from contextlib import ExitStack
from functools import wraps

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._indexing import _get_column_indices as column_indices
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.metadata_routing import _raise_for_params, _routing_enabled
from sklearn.utils.validation import _check_method_params, _check_sample_weight


class InstanceOfImported(HasMethods):
    """Constraint for instances of a class in a module that need not be imported.

    Parameters
    ----------
    name : str
        Module and class, as in "torch.device". Until the module has been imported there
        are no instances.
    """

    def __init__(self, name: str) -> None:
        super().__init__([])
        self.name = name

    def is_satisfied_by(self, val: object) -> bool:
        """Return whether a parameter is such an instance."""
        module, _, kind = self.name.rpartition(".")
        found = getattr(sys.modules.get(module), kind, None)
        return found is not None and isinstance(val, found)

    def __str__(self) -> str:
        return f"an instance of {self.name!r}"


class StandInTask:
    """Stand-in for scikit-learn's `CallbackContext`: a task of a fit."""

    def __init__(self, estimator, task_name, max_subtasks, parent=None, task_id=0):
        self.callbacks = getattr(estimator, "_skl_callbacks", [])
        self.estimator_name = type(estimator).__name__
        self.estimator, self.task_name, self.task_id = estimator, task_name, task_id
        self.max_subtasks, self.parent, self.n_subtasks = max_subtasks, parent, 0

    def subcontext(self, task_name="", max_subtasks=0):
        """Return a task within this one; they are numbered as they are made."""
        task_id, self.n_subtasks = self.n_subtasks, self.n_subtasks + 1
        return StandInTask(self.estimator, task_name, max_subtasks, self, task_id)

    def call_on_fit_task_begin(self, **offered):
        """Call the hook of each callback."""
        self._call("on_fit_task_begin", offered)
        return self

    def call_on_fit_task_end(self, **offered):
        """Call the hook of each callback; returns whether one of them asks to stop."""
        return self._call("on_fit_task_end", offered)

    def _call(self, hook, offered):
        """Call a hook with what its signature asks for, which is made only then."""
        attributes = offered.pop("reconstruction_attributes", None)
        stops = []
        for callback in self.callbacks:
            method = getattr(callback, hook)
            parameters = inspect.signature(method).parameters.values()
            names = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
            if "fitted_estimator" in names and "fitted_estimator" not in offered:
                offered["fitted_estimator"] = self._fitted(attributes)
            given = {name: offered.get(name) for name in names}
            stops.append(bool(method(self.estimator, self, **given)))
        return any(stops)

    def _fitted(self, attributes):
        """Copy of the estimator, as if its fit had ended here."""
        if attributes is None:
            return None
        fitted = copy.copy(self.estimator)
        vars(fitted).update(attributes())
        return fitted


class StandInSupport:
    """Stand-in for scikit-learn's `CallbackSupportMixin`."""

    def set_callbacks(self, *callbacks):
        """Set callbacks for the estimator.

        Parameters
        ----------
        *callbacks : callback instances
            The callbacks to set.

        Returns
        -------
        self : estimator instance
            The estimator instance itself.
        """
        hooks = ("setup", "teardown", "on_fit_task_begin", "on_fit_task_end")
        for callback in callbacks:
            is_one = all(hasattr(callback, hook) for hook in hooks)
            if isinstance(callback, type) or not is_one:
                raise TypeError(
                    "callbacks must be instances following the FitCallback protocol, "
                    f"with the methods {', '.join(hooks)}, got {callback!r}."
                )
        if callbacks:
            self._skl_callbacks = list(callbacks)
        else:
            vars(self).pop("_skl_callbacks", None)
        return self

    def _init_callback_context(self, max_subtasks=0):
        """Set up the callbacks, and return the task of the whole fit."""
        self._callback_fit_ctx = StandInTask(self, "fit", max_subtasks)
        self._skl_callbacks_to_teardown = []
        for callback in getattr(self, "_skl_callbacks", []):
            self._skl_callbacks_to_teardown.append(callback)
            callback.setup(estimator=self, context=self._callback_fit_ctx)
        return self._callback_fit_ctx

    def __sklearn_clone__(self):
        """Return a clone, with the same callbacks."""
        other = super().__sklearn_clone__()
        if hasattr(self, "_skl_callbacks"):
            other._skl_callbacks = self._skl_callbacks
        return other


def with_stand_ins(method):
    """Tear down the callbacks after a method, however it ends."""

    @wraps(method)
    def wrapped(estimator, *args, **kwargs):
        try:
            return method(estimator, *args, **kwargs)
        finally:
            context = vars(estimator).pop("_callback_fit_ctx", None)
            with ExitStack() as stack:
                for callback in vars(estimator).pop("_skl_callbacks_to_teardown", []):
                    stack.callback(
                        callback.teardown, estimator=estimator, context=context
                    )

    return wrapped


try:
    from sklearn.callback import (
        AutoPropagatedCallback,
        CallbackSupportMixin,
        with_callbacks,
    )
except ImportError:  # scikit-learn < 1.9
    CallbackSupportMixin, with_callbacks = StandInSupport, with_stand_ins

    class AutoPropagatedCallback:  # type: ignore[no-redef]
        """Stand-in: no estimator hands callbacks on before scikit-learn 1.9."""


#: Attributes of an estimator in which scikit-learn keeps its callbacks.
CALLBACK_ATTRIBUTES = (
    "_skl_callbacks",
    "_skl_callbacks_to_teardown",
    "_callback_fit_ctx",
    "_parent_callback_ctx",
)


def validate_params(estimator):
    """Check the parameters of an estimator, or InvalidParameterError."""
    estimator._validate_params()


def rows_of(X, rows):
    """Rows of a table, by a mask or positions; scikit-learn < 1.8 has none of Arrow."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(X, pyarrow.Table):
        return X.take(np.arange(len(X))[rows])
    if not hasattr(X, "__getitem__"):
        # An object that can be turned into an array, and no more.
        X = np.asarray(X)
    return _safe_indexing(X, rows)


def output_library(estimator):
    """Library that `set_output` chose: "pandas", "polars" or "array"."""
    library = _get_output_config("transform", estimator)["dense"]
    return "array" if library == "default" else library


def own_callbacks(estimator):
    """Callbacks that were set on an estimator, not on another one that it is in."""
    is_inside = hasattr(estimator, "_parent_callback_ctx")
    return [
        callback
        for callback in getattr(estimator, "_skl_callbacks", [])
        if not (is_inside and isinstance(callback, AutoPropagatedCallback))
    ]


def without_callbacks(estimator):
    """Take the callbacks off an estimator, which a clone keeps, and return it."""
    vars(estimator).pop("_skl_callbacks", None)
    return estimator


# Sizes of the largest weight at which no sum over rows overflows or vanishes, and the
# smallest weight at any other.
_ORDINARY_WEIGHTS = (1e-100, 1e100)
_LEAST_WEIGHT = float(np.finfo(np.float64).tiny)


def check_sample_weight(sample_weight, X):
    """Return float64 weights of shape (n_samples,), or raise ValueError.

    Weights must be finite, not negative and not all zero; scikit-learn itself
    refuses weights that are all zero only from version 1.9. Where their scale is so
    extreme that sums would overflow or vanish, they are divided by a power of two,
    which changes no proportion. Without weights, all are one number in memory.
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, len(X))
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not weight.any():
        raise ValueError(
            "Sample weights are all zero: at least one row must have a "
            "sample_weight above zero."
        )
    largest = weight.max()
    if not _ORDINARY_WEIGHTS[0] <= largest <= _ORDINARY_WEIGHTS[1]:
        scaled = np.ldexp(weight, -int(np.frexp(largest)[1]))
        # A weight that is too small beside the largest one stays above zero.
        weight = np.where(weight > 0.0, np.maximum(scaled, _LEAST_WEIGHT), 0.0)
    return weight


__all__ = [
    "CALLBACK_ATTRIBUTES",
    "CallbackSupportMixin",
    "InstanceOfImported",
    "Interval",
    "StrOptions",
    "_check_method_params",
    "_fit_context",
    "_raise_for_params",
    "_routing_enabled",
    "check_sample_weight",
    "column_indices",
    "output_library",
    "own_callbacks",
    "rows_of",
    "validate_parameter_constraints",
    "with_callbacks",
    "without_callbacks",
]
