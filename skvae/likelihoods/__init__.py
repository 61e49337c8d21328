"""Likelihoods: how rows are distributed around what the decoder says."""

from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._bernoulli import Bernoulli
from skvae.likelihoods._gaussian import Gaussian

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
}

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "Likelihood"]
