"""A training that callbacks can save, and take up again."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from skvae.fit._identity import Identity, Trait, differences, identity_of
from skvae.fit._seed import drawn_seed
from skvae.fit._table import CheckedTable
from skvae.fitted._fitted import Fitted
from skvae.model._settings import Settings

if TYPE_CHECKING:
    from skvae.training import Run


class Resumable:
    """A training as callbacks see it, in the attribute `training` of their context.

    At the beginning of the task "fit", `resume` takes up an earlier call on the same
    table with the same settings; after each epoch and at the end of the task,
    `to_arrays` is what has to be kept for that.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    table : CheckedTable
        The table.
    last : Fitted or None, default=None
        The model that a warm start goes on from.
    """

    def __init__(
        self, vae: Settings, table: CheckedTable, last: Fitted | None = None
    ) -> None:
        self.vae, self.table, self.last = vae, table, last
        self.seed = drawn_seed(vae)
        #: Arrays of the earlier call that this one goes on from, or None.
        self.arrays: Mapping[str, NDArray[Any]] | None = None
        #: The training itself; None before the first epoch of this call has ended.
        self.run: Run | None = None

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Return None for a copy or a file: a training is in one process alone.

        Models that other callbacks store in the middle of a fit refer to its tasks.
        """
        return type(None), ()

    @functools.cached_property
    def identity(self) -> Identity:
        """All that the result follows from."""
        return identity_of(self.vae, self.table, self.last)

    @property
    def n_epochs(self) -> int:
        """Number of whole epochs so far, those of earlier calls included."""
        if self.run is not None:
            return self.run.state.latest.n_epochs
        return 0 if self.arrays is None else int(self.arrays["counts"][1])

    def differences(self, identity: Mapping[str, Sequence[str]]) -> list[str]:
        """Clauses on what an earlier call had that this one has not.

        Parameters
        ----------
        identity : mapping of str to (text, checksum)
            Of the earlier call.
        """
        earlier = {name: Trait(*trait) for name, trait in identity.items()}
        return differences(earlier, self.identity)

    def resume(self, seed: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from an earlier call, given the seed that it drew and its arrays."""
        self.seed, self.arrays = seed, arrays

    def to_arrays(self) -> dict[str, NDArray[Any]] | None:
        """State after the latest epoch; None before the first one of this call."""
        return None if self.run is None else self.run.state.to_arrays()
