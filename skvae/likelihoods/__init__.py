"""Likelihoods: distributions of rows given the output of the decoder."""

from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._bernoulli import Bernoulli
from skvae.likelihoods._beta import Beta
from skvae.likelihoods._by_columns import ByColumns
from skvae.likelihoods._categorical import Categorical
from skvae.likelihoods._continuous_bernoulli import ContinuousBernoulli
from skvae.likelihoods._dispersed import Dispersed
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._laplace import Laplace
from skvae.likelihoods._log_normal import LogNormal
from skvae.likelihoods._negative_binomial import NegativeBinomial
from skvae.likelihoods._ordinal import Ordinal
from skvae.likelihoods._poisson import Poisson
from skvae.likelihoods._refuse import refuse
from skvae.likelihoods._resolve import BY_CONTENT, LIKELIHOODS
from skvae.likelihoods._student_t import StudentT
from skvae.likelihoods._zero_inflated_negative_binomial import (
    ZeroInflatedNegativeBinomial,
)

__all__ = [
    "BY_CONTENT",
    "LIKELIHOODS",
    "Bernoulli",
    "Beta",
    "ByColumns",
    "Categorical",
    "ContinuousBernoulli",
    "Dispersed",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "ZeroInflatedNegativeBinomial",
    "refuse",
]
