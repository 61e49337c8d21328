"""A training that callbacks can save, and take up again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from skvae.fit._identity import Identity, identity_of
from skvae.fit._seed import drawn_seed
from skvae.fit._table import CheckedTable
from skvae.fitted._fitted import Fitted
from skvae.model._settings import Settings

if TYPE_CHECKING:
    from skvae.training import Run


class Saved(NamedTuple):
    """A training after a whole epoch, in a form that can be stored."""

    seed: int
    """Drawn from `random_state` when it began."""
    arrays: Mapping[str, NDArray[Any]]
    """Those of a `RunState`."""


class Resumable:
    """A training as callbacks see it, in the attribute `training` of their context.

    At the beginning of the task "fit", `resume` takes up an earlier call on the same
    table with the same settings; after each epoch and at the end of the task, `saved`
    is what is to be kept for that.

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

    def resume(self, saved: Saved) -> None:
        """Go on from an earlier call, with the seed that it drew."""
        self.seed, self.arrays = saved

    def saved(self) -> Saved | None:
        """The training after the latest epoch; None before the first of this call."""
        if self.run is None:
            return None
        return Saved(self.seed, self.run.state.to_arrays())
