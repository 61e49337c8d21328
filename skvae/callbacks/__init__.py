"""Callbacks in scikit-learn's protocol, for `BalancedVAE.set_callbacks`."""

from skvae.callbacks._checkpoint import Checkpoint
from skvae.callbacks._mlflow import MLflow
from skvae.callbacks._pictures import Pictures

__all__ = ["Checkpoint", "MLflow", "Pictures"]
