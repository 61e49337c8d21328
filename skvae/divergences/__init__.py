"""Divergences: what beta weighs."""

from skvae.divergences._base import Divergence, Posterior
from skvae.divergences._kl import KL

DIVERGENCES: dict[str, type[Divergence]] = {"kl": KL}

__all__ = ["DIVERGENCES", "KL", "Divergence", "Posterior"]
