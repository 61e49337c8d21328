"""Rules that choose a model from the results of a search, for its `refit`."""

from skvae.model_selection._rules import (
    RefitRule,
    knee,
    one_standard_error,
    target_distortion,
    target_rate,
)

__all__ = [
    "RefitRule",
    "knee",
    "one_standard_error",
    "target_distortion",
    "target_rate",
]
