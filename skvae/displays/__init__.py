"""Pictures of fitted models, in scikit-learn's form of a display.

The constructor takes arrays, the class methods named `from_...` compute them, and
`plot` draws them; matplotlib is imported by `plot` alone.
"""

from skvae.displays._history import HistoryDisplay
from skvae.displays._latent import LatentDisplay
from skvae.displays._rate_distortion import RateDistortionDisplay
from skvae.displays._reconstruction import ReconstructionDisplay

__all__ = [
    "HistoryDisplay",
    "LatentDisplay",
    "RateDistortionDisplay",
    "ReconstructionDisplay",
]
