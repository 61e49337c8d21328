"""A learning rate that is a function of the user's."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

from skvae.learning_rates._base import LearningRate


class Curve(LearningRate):
    """A function of the fraction of the planned steps, in place of a class.

    Parameters
    ----------
    function : callable
        Maps a float in [0, 1] to a factor of `learning_rate_init`.
    """

    def __init__(self, function: Callable[[float], float]) -> None:
        self.function = function

    def curve(self, progress: float) -> float:
        """Value of the function."""
        return self.function(progress)

    def check(self) -> None:
        """Raise an error where the function cannot be called or stored."""
        if isinstance(self.function, type):
            name = self.function.__name__
            raise TypeError(
                f"learning_rate={name} is a class. Pass an instance, such as "
                f"{name}(), or a function."
            )
        try:
            pickle.dumps(self.function)
        except Exception as error:
            # A function at the top of a session or a notebook, which pickle may not
            # look in, has a name of its own.
            if "<" in _named(self.function).__qualname__:
                raise ValueError(
                    f"learning_rate={self.function!r} cannot be pickled, so that the "
                    "fitted model could not be stored or sent to another process: "
                    f"{error}. Use a function that is defined at the top of a module, "
                    "or functools.partial of one, in place of a lambda or of what is "
                    "defined inside of another function."
                ) from error
        super().check()

    @property
    def as_given(self) -> Any:
        """The function."""
        return self.function


def _named(function: Any) -> Any:
    """Function inside of partial ones, or the class of a callable instance."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function)
