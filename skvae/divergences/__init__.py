"""Divergences of the posterior from the prior, the term that beta weighs."""

from skvae.divergences._base import Divergence, Draws
from skvae.divergences._dip import DIP
from skvae.divergences._importance_weighted import ImportanceWeighted
from skvae.divergences._kl import KL
from skvae.divergences._mmd import MMD
from skvae.divergences._monte_carlo_kl import MonteCarloKL
from skvae.divergences._posterior import POSTERIORS, FullPosterior, Posterior
from skvae.divergences._total_correlation import TotalCorrelation

DIVERGENCES: dict[str, type[Divergence]] = {
    "kl": KL,
    "monte_carlo_kl": MonteCarloKL,
    "total_correlation": TotalCorrelation,
    "dip": DIP,
    "mmd": MMD,
    "importance_weighted": ImportanceWeighted,
}

__all__ = [
    "DIP",
    "DIVERGENCES",
    "KL",
    "MMD",
    "POSTERIORS",
    "Divergence",
    "Draws",
    "FullPosterior",
    "ImportanceWeighted",
    "MonteCarloKL",
    "Posterior",
    "TotalCorrelation",
]
