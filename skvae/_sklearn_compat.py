"""Every private or version-dependent import from scikit-learn, in one place.

All of it behaves the same in scikit-learn 1.6 to 1.9, but for callbacks, which 1.9
introduced; before, the stand-ins below do nothing.
"""

import sys

import numpy as np
import sklearn
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._indexing import _get_column_indices as column_indices
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.metadata_routing import _raise_for_params, _routing_enabled
from sklearn.utils.validation import _check_method_params, _check_sample_weight

try:
    from sklearn.callback import (
        AutoPropagatedCallback,
        CallbackSupportMixin,
        with_callbacks,
    )
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in: no callbacks before scikit-learn 1.9."""

        def _init_callback_context(self, **kwargs):
            return _NoCallbacks()

    class AutoPropagatedCallback:  # type: ignore[no-redef]
        """Stand-in: no callbacks before scikit-learn 1.9."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


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


def check_callbacks(needed_by):
    """Raise ImportError where scikit-learn has no callbacks."""
    if not hasattr(CallbackSupportMixin, "set_callbacks"):
        raise ImportError(
            f"{needed_by} needs scikit-learn 1.9 or newer, which has callbacks, got "
            f"{sklearn.__version__}. verbose=1 prints lines with any version."
        )


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


class _NoCallbacks:
    """Callback context without callbacks."""

    def subcontext(self, **kwargs):
        return self

    def call_on_fit_task_begin(self, **kwargs):
        return self

    def call_on_fit_task_end(self, **kwargs):
        return False


# Sizes of the largest weight at which no sum over rows overflows or vanishes, and the
# smallest weight at any other.
_ORDINARY_WEIGHTS = (1e-100, 1e100)
_LEAST_WEIGHT = float(np.finfo(np.float64).tiny)


def check_sample_weight(sample_weight, X):
    """Return float64 weights of shape (n_samples,), or raise ValueError.

    Weights must be finite, not negative and not all zero; scikit-learn itself
    refuses weights that are all zero only from version 1.9. Where their scale is so
    extreme that sums would overflow or vanish, they are divided by a power of two,
    which changes no proportion.
    """
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
    "Interval",
    "StrOptions",
    "_check_method_params",
    "_fit_context",
    "_raise_for_params",
    "_routing_enabled",
    "check_callbacks",
    "check_sample_weight",
    "column_indices",
    "output_library",
    "own_callbacks",
    "rows_of",
    "validate_parameter_constraints",
    "with_callbacks",
    "without_callbacks",
]
