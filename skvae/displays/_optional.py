"""Packages that only a part of this one needs."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# What to ask pip for, where an extra of this package brings it.
_EXTRAS = {"matplotlib": "plot"}


def import_optional_dependency(name: str, *, needed_by: str) -> ModuleType:
    """Import a module, or say who needs it and how to install it.

    Parameters
    ----------
    name : str
        Module, such as "pandas" or "matplotlib.pyplot".
    needed_by : str
        What the user called.

    Returns
    -------
    module : module

    Raises
    ------
    ImportError
        If the package is not installed.

    Examples
    --------
    >>> from skvae.displays._optional import import_optional_dependency
    >>> import_optional_dependency("json.decoder", needed_by="This example").__name__
    'json.decoder'
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # That a package which is there misses one of its own is another matter.
        if (error.name or "").partition(".")[0] != package:
            raise
        wanted = f"'skvae[{_EXTRAS[package]}]'" if package in _EXTRAS else package
        raise ImportError(
            f"{needed_by} needs {package}, which is not installed. Install it with: "
            f"pip install {wanted}",
            name=package,
        ) from error
