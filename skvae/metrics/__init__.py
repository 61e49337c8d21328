"""Scorers for model selection, in nats per row."""

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
    "RateDistortionScoring",
    "Scorer",
    "active_units_scorer",
    "elbo_scorer",
    "log_likelihood_scorer",
    "neg_distortion_scorer",
    "neg_rate_scorer",
    "rate_distortion_scoring",
]
