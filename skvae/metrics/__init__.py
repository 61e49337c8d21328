"""Scorers for model selection and reports of fitted models, in nats per row."""

from skvae.metrics._latent_report import latent_report
from skvae.metrics._report import LatentReport
from skvae.metrics._scorers import (
    Scorer,
    active_units_scorer,
    elbo_scorer,
    log_likelihood_scorer,
    neg_distortion_scorer,
    neg_rate_scorer,
)
from skvae.metrics._scoring import RateDistortionScoring, rate_distortion_scoring

__all__ = [
    "LatentReport",
    "RateDistortionScoring",
    "Scorer",
    "active_units_scorer",
    "elbo_scorer",
    "latent_report",
    "log_likelihood_scorer",
    "neg_distortion_scorer",
    "neg_rate_scorer",
    "rate_distortion_scoring",
]
