"""Variational autoencoders for tables, as scikit-learn estimators."""

from skvae._outliers import OutlierVAE
from skvae._vae import BalancedVAE
from skvae._vae_cv import BalancedVAECV
from skvae.ground._version import __version__
from skvae.path._path import beta_path

__all__ = ["BalancedVAE", "BalancedVAECV", "OutlierVAE", "__version__", "beta_path"]
