"""Results of the last epoch at which the numbers of a replica were finite."""

from __future__ import annotations

import torch
from torch import Tensor

from skvae.balance._base import map_state, tensors_of
from skvae.training._replicas import Reached


class LastFinite:
    """Keep what replicas have reached, for as long as their numbers are finite.

    A replica whose weights, policy or elbo are not finite after an epoch has diverged,
    and stays at what it had reached before. No number is read from the device.

    Parameters
    ----------
    reached : Reached or None, default=None
        Results of the epochs before, if there are any.
    """

    def __init__(self, reached: Reached | None = None) -> None:
        self._reached = reached

    @property
    def reached(self) -> Reached:
        """Results of each replica at its last finite epoch; of the first one if none.

        Raises
        ------
        ValueError
            Before the first epoch.
        """
        if self._reached is None:
            raise ValueError("There are no results before the first epoch.")
        return self._reached

    def update(self, reached: Reached) -> None:
        """Add the results of an epoch."""
        is_finite = _finite(reached)
        if self._reached is None:
            # A copy, as the weights are moved in place.
            latest = map_state(torch.clone, reached)
        else:
            is_finite &= self._reached.is_finite
            before = iter(tensors_of(self._reached))

            def chosen(now: Tensor) -> Tensor:
                mask = is_finite.view(-1, *[1] * (now.ndim - 1))
                return torch.where(mask, now, next(before))

            latest = map_state(chosen, reached)
        self._reached = latest._replace(is_finite=is_finite)

    def select(self, replicas: Tensor) -> None:
        """Go on with some of the replicas, given as a mask."""
        self._reached = map_state(lambda part: part[replicas], self.reached)


def _finite(reached: Reached) -> Tensor:
    """Replicas whose results are finite, of shape (n_replicas,)."""
    is_finite = reached.is_finite & reached.elbo.isfinite()
    is_finite &= reached.values.isfinite().all(dim=1)
    for part in tensors_of(reached.balance):
        is_finite &= ~part.isnan().reshape(len(part), -1).any(dim=1)
    return is_finite
