"""Base of the likelihoods of values between 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skvae.likelihoods._refuse import refuse
from skvae.likelihoods._scaled_inputs import ScaledInputs

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnitInterval(ScaledInputs):
    """Likelihood of values between 0 and 1, such as proportions."""

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X, or raise ValueError where it is not between 0 and 1."""
        refuse(
            self,
            (X < 0) | (X > 1),
            X,
            names,
            needed="values from 0 to 1",
            remedy="Divide the column by the largest value that is possible, or use "
            "likelihood='gaussian'.",
        )
        return X
