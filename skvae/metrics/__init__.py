"""Metrics of fitted models."""

from skvae.metrics._latent_report import latent_report
from skvae.metrics._report import LatentReport

__all__ = ["LatentReport", "latent_report"]
