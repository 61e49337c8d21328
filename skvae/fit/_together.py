"""A fit that several processes share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def ends_together(
    function: Callable[Parameters, Result],
) -> Callable[Parameters, Result]:
    """Let a function that fits end alike in all processes of torch's group, if any.

    It returns in all of them, or in none.
    """

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        # Not at the top: importing the estimator imports no torch.
        from skvae.training import together

        with together():
            return function(*args, **kwargs)

    return wrapped
