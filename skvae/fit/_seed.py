"""The seed of a fit."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from skvae.model._settings import Settings


def drawn_seed(vae: Settings) -> int:
    """Seed drawn from the random state of an estimator."""
    return int(check_random_state(vae.random_state).randint(np.iinfo(np.int32).max))
