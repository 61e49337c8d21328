"""Where betas leave a path that is halved."""

from __future__ import annotations

import math

from skvae import training

# Fractions of the epochs after each of which a third of the betas goes on.
_HALVED_AT = (0.05, 0.15)
_FACTOR = 3


def rungs_of_betas(n_betas: int, n_candidates: int) -> tuple[training.Rung, ...]:
    """Where all betas but the best third leave, each with all of its candidates.

    Which of the candidates is best shows much later than which of the betas.
    """
    return tuple(
        training.Rung(fraction, n_candidates, math.ceil(n_betas / _FACTOR**i))
        for i, fraction in enumerate(_HALVED_AT, start=1)
    )
