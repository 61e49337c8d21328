"""Groups of columns that share a likelihood, and what is theirs of a whole table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from skvae._tensors import columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from skvae.likelihoods._base import Likelihood


class Group(NamedTuple):
    """Columns that share a likelihood."""

    likelihood: Likelihood
    columns: NDArray[np.intp]

    def of(self, values: Tensor) -> Tensor:
        """What is theirs of a tensor, whose last axis is that of columns."""
        return columns_of(values, self.columns)

    def weight_of(self, weight: Tensor) -> Tensor:
        """What is theirs of weights of cells; those of rows stay as they are."""
        return weight if weight.ndim == 1 else self.of(weight)


def key(i: int, name: str) -> str:
    """Name of a group's parameter among those of all groups."""
    return f"{i}.{name}"


def own_parameters(parameters: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    """Parameters of one group under their own names."""
    prefix = key(i, "")
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def at(variance: Tensor, places: NDArray[np.intp]) -> Tensor:
    """Dispersions of some columns; one for all stays so."""
    return variance if variance.shape[1] == 1 else columns_of(variance, places)


def picked(names: Sequence[str] | None, columns: NDArray[np.intp]) -> list | None:
    return None if names is None else [names[column] for column in columns]
