"""Optional dependencies."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# Requirements for pip, where an extra of this package has the dependency.
_EXTRAS = {
    "matplotlib": "plot",
    "mlflow": "mlflow",
    "onnx": "onnx",
    "onnxscript": "onnx",
}


def import_optional_dependency(name: str, *, needed_by: str) -> ModuleType:
    """Import a module, or raise an error with its use and its installation.

    Parameters
    ----------
    name : str
        Module, such as "pandas" or "matplotlib.pyplot".
    needed_by : str
        Function or class that the user called.

    Returns
    -------
    module : module

    Raises
    ------
    ImportError
        If the package is not installed.

    Examples
    --------
    >>> from skvae.ground._optional import import_optional_dependency
    >>> import_optional_dependency("json.decoder", needed_by="This example").__name__
    'json.decoder'
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # An installed package may lack a dependency of its own: not reported here.
        if (error.name or "").partition(".")[0] != package:
            raise
        wanted = f"'skvae[{_EXTRAS[package]}]'" if package in _EXTRAS else package
        raise ImportError(
            f"{needed_by} needs {package}, which is not installed. Install it with: "
            f"pip install {wanted}",
            name=package,
        ) from error
