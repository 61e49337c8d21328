"""A group of columns with one likelihood, and its parts of a table's tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from skvae.ground._tensors import columns_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

L_co = TypeVar("L_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Group(Generic[L_co]):
    """Columns with one likelihood."""

    likelihood: L_co
    columns: NDArray[np.intp]
    prefix: str = ""
    """Start of the names of the group's parameters among those of all groups."""
    is_all: bool = False
    """True if there is no other group, and the columns are in order."""

    def of(self, values: Tensor) -> Tensor:
        """Columns of the group; a single column stands for all and stays."""
        if self.is_all or values.shape[-1] == 1:
            return values
        return columns_of(values, self.columns)

    def own(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parameters of the group under the names that its likelihood gave them."""
        if not self.prefix:
            return parameters
        return {
            name.removeprefix(self.prefix): value
            for name, value in parameters.items()
            if name.startswith(self.prefix)
        }
