"""Variational autoencoders for tables, as scikit-learn estimators."""

from skvae._vae import BalancedVAE

__version__ = "0.1.0.dev0"

__all__ = ["BalancedVAE", "__version__"]
