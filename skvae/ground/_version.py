"""Version of the package, which files of models are stamped with."""

__version__ = "0.1.0.dev0"
