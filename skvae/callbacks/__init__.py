"""Callbacks for long fits, in the protocol of scikit-learn 1.9."""

from skvae.callbacks._pictures import Pictures

__all__ = ["Pictures"]
