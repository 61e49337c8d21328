"""Variational autoencoders for tables, as scikit-learn estimators."""

from skvae._outliers import OutlierVAE
from skvae._vae import BalancedVAE
from skvae._vae_cv import BalancedVAECV
from skvae.path._path import beta_path

__version__ = "0.1.0.dev0"

__all__ = ["BalancedVAE", "BalancedVAECV", "OutlierVAE", "__version__", "beta_path"]
