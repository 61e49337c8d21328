"""Priors p(z) of the latents, the third term of the formula."""

from skvae.priors._base import HeldOut, Latents, Prior
from skvae.priors._mixture import Mixture
from skvae.priors._normal import Normal

PRIORS: dict[str, type[Prior]] = {"normal": Normal, "mixture": Mixture}

__all__ = ["PRIORS", "HeldOut", "Latents", "Mixture", "Normal", "Prior"]
