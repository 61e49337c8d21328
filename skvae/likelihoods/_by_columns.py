"""A likelihood for each group of columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.ground._tensors import columns_of
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._dispersion import Dispersion
from skvae.likelihoods._group import Group
from skvae.likelihoods._learn_rows import learn_rows
from skvae.linear._columns import LinearColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from skvae.likelihoods._base import Floats, PerColumn


class ByColumns(Likelihood):
    """Mixture of likelihoods by columns: each group of columns has one of its own.

    Its nats are the sum over the groups. All columns of a group are one vectorised
    call, so that the time depends on the number of families, not on that of columns.

    Parameters
    ----------
    groups : list of (Likelihood, array of int)
        Each likelihood with the positions of its columns. Together they are all
        columns, each once.

    See Also
    --------
    skvae.BalancedVAE : Its `likelihood` takes a list of ``(likelihood, columns)``.

    Examples
    --------
    >>> from skvae.likelihoods import ByColumns, Gaussian, Poisson
    >>> ByColumns([(Gaussian(), [0, 2]), (Poisson(), [1])])
    ByColumns(groups=[(Gaussian(), [0, 2]), (Poisson(), [1])])
    """

    def __init__(self, groups: Sequence[tuple[Likelihood, Any]]) -> None:
        self.groups = groups

    def listed(self) -> list[Group[Likelihood]]:
        """Groups of columns, with those of a mixture in a group one by one."""
        found = []
        for i, (likelihood, columns) in enumerate(self.groups):
            group = Group(likelihood, np.asarray(columns, dtype=np.intp), f"{i}.")
            if isinstance(likelihood, ByColumns):
                found += [
                    replace(
                        inner,
                        columns=group.columns[inner.columns],
                        prefix=group.prefix + inner.prefix,
                    )
                    for inner in likelihood.listed()
                ]
            else:
                found.append(group)
        return found

    def column_dispersion(self, n_features: int) -> Dispersion | None:
        """Dispersions of the columns whose family has one."""
        groups: list[Group[Any]] = [
            group
            for group in self.listed()
            if group.likelihood.column_dispersion(len(group.columns)) is not None
        ]
        return Dispersion(groups, self._n_features) if groups else None

    @property
    def _n_features(self) -> int:
        return sum(len(columns) for _, columns in self.groups)

    def _of_each(self, *values: PerColumn) -> list[Floats]:
        return [np.broadcast_to(value, self._n_features) for value in values]

    def find_levels(self, X: Floats) -> None:
        """Find the levels of the columns of each group."""
        for group in self._that_override("find_levels"):
            group.likelihood.find_levels(X[:, group.columns])

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the parameters of each group from its columns."""
        self.learn_rows(X, np.arange(len(X)), weight)

    def learn_rows(
        self,
        X: Floats,
        rows: NDArray[np.integer],
        weight: Floats | None,
        columns: NDArray[np.intp] | None = None,
    ) -> None:
        """Learn the parameters of each group from its columns."""
        every = np.arange(X.shape[1]) if columns is None else columns
        for group in self.listed():
            learn_rows(group.likelihood, X, rows, weight, every[group.columns])
        self.dispersion_ = self.column_dispersion(len(every))

    def _that_override(self, method: str) -> list[Group[Likelihood]]:
        """Groups whose family overrides a method, which otherwise leaves X as it is."""
        default = getattr(Likelihood, method)
        return [
            group
            for group in self.listed()
            if getattr(type(group.likelihood), method) is not default
        ]

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X as each group sees its columns, or raise ValueError."""
        if not isinstance(X, np.ndarray):
            return self._of_columns("admit", X)

        def admitted(group: Group[Likelihood], x: Floats) -> Floats:
            own = None if names is None else [names[d] for d in group.columns]
            return group.likelihood.admit(x, own)

        return self._changed("admit", X, admitted)

    def to_model(self, X: Any) -> Any:
        """Return admitted rows in the units of the distributions."""
        if not isinstance(X, np.ndarray):
            return self._of_columns("to_model", X)
        return self._changed("to_model", X, lambda g, x: g.likelihood.to_model(x))

    def to_user(self, x: Any) -> Any:
        """Return rows in the units of X."""
        return self._of_columns("to_user", x)

    def log_jacobian(self, X: Any) -> Any:
        """Nats that each cell's distortion gains in the units of X."""
        return self._of_columns("log_jacobian", X)

    def _changed(
        self,
        method: str,
        X: Floats,
        of_group: Callable[[Group[Likelihood], Floats], Floats],
    ) -> Floats:
        """Rows in which groups have changed their columns; X itself if none has."""
        found = X
        for group in self._that_override(method):
            x = X[..., group.columns]
            changed = of_group(group, x)
            # A family may write into its copy.
            own = X[..., group.columns]
            if changed is x and np.array_equal(x, own, equal_nan=True):
                continue
            dtype = np.result_type(found, changed)
            found = found.astype(dtype, copy=found is X)
            found[..., group.columns] = changed
        return found

    def _of_columns(self, method: str, X: Any) -> Any:
        """Apply a method of each group to its columns, of an array or a tensor."""
        is_array = isinstance(X, np.ndarray)
        parts = [
            getattr(g.likelihood, method)(X[..., g.columns] if is_array else g.of(X))
            for g in self.listed()
        ]
        return self._in_order(parts) if is_array else self._joined(parts)

    def n_parameters(self, n_features: int) -> int:
        """Width of the decoder's output: the groups side by side."""
        return sum(self._widths())

    def _widths(self) -> list[int]:
        return [g.likelihood.n_parameters(len(g.columns)) for g in self.listed()]

    def unpack(self, output: Tensor) -> dict[str, Tensor]:
        """Split the decoder's output into the parameters of each group."""
        parts = output.split(self._widths(), dim=-1)
        return {
            group.prefix + name: value
            for group, part in zip(self.listed(), parts, strict=True)
            for name, value in group.likelihood.unpack(part).items()
        }

    def start(
        self, n_features: int, center: PerColumn = 0.0, scale: PerColumn = 1.0
    ) -> Floats:
        """Decoder output of the null model."""
        center, scale = self._of_each(center, scale)
        return np.concatenate(
            [
                g.likelihood.start(len(g.columns), center[g.columns], scale[g.columns])
                for g in self.listed()
            ]
        )

    def feature_parameters(
        self, center: PerColumn = 0.0, scale: PerColumn = 1.0
    ) -> dict[str, Floats]:
        """Start values of the parameters that are the same for all rows."""
        center, scale = self._of_each(center, scale)
        return {
            group.prefix + name: value
            for group in self.listed()
            for name, value in group.likelihood.feature_parameters(
                center[group.columns], scale[group.columns]
            ).items()
        }

    def input_columns(self, n_features: int) -> NDArray[np.intp]:
        """Column that each input of the encoder stands for, group by group."""
        return np.concatenate(
            [
                np.asarray(g.columns)[g.likelihood.input_columns(len(g.columns))]
                for g in self.listed()
            ]
        )

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return the inputs of the encoder."""
        import torch

        return torch.cat(
            [
                g.likelihood.inputs(
                    g.of(x), None if observed is None else g.of(observed)
                )
                for g in self.listed()
            ],
            dim=-1,
        )

    def linear_columns(self, n_features: int) -> LinearColumns | None:
        """Columns of the groups that have some, in the order of the table."""
        own = [g.likelihood.linear_columns(len(g.columns)) for g in self.listed()]
        widths = [
            len(g.likelihood.input_columns(len(g.columns))) for g in self.listed()
        ]
        columns = [group.columns for group in self.listed()]
        return LinearColumns.of_groups(own, widths, self._widths(), columns)

    def log_prob(
        self, x: Tensor, parameters: dict[str, Tensor], variance: Tensor
    ) -> Tensor:
        """Log-probability of every cell, in nats."""
        return self._of_cells(
            parameters,
            variance,
            lambda g, *own: g.likelihood.log_prob(g.of(x), *own),
        )

    def mean(self, parameters: dict[str, Tensor], variance: Tensor) -> Tensor:
        """Mean of every cell, as the model sees it."""
        return self._of_cells(
            parameters, variance, lambda g, *own: g.likelihood.mean(*own)
        )

    def sample(
        self, parameters: dict[str, Tensor], variance: Tensor, seed: int
    ) -> Tensor:
        """Draw every cell once, on the CPU."""
        seeds = iter(
            np.random.RandomState(seed).randint(2**31, size=len(self.listed()))
        )
        return self._of_cells(
            parameters,
            variance,
            lambda g, *own: g.likelihood.sample(*own, int(next(seeds))),
        )

    def reconstruction(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        center: PerColumn | Tensor = 0.0,
        scale: PerColumn | Tensor = 1.0,
    ) -> Tensor:
        """Value that stands for each cell, in the units of X."""
        import torch

        units = [
            torch.as_tensor(each, dtype=torch.float64, device=variance.device)
            for each in (center, scale)
        ]
        center, scale = (each.expand(self._n_features) for each in units)
        return self._joined(
            [
                g.likelihood.reconstruction(own, dispersion, g.of(center), g.of(scale))
                for g, own, dispersion in self._parts(parameters, variance)
            ]
        )

    def expectation(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        weight: Tensor,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Value that stands for each cell over several draws of a row, as an array."""
        center, scale = self._of_each(center, scale)
        return self._in_order(
            [
                g.likelihood.expectation(
                    own, dispersion, weight, center[g.columns], scale[g.columns]
                )
                for g, own, dispersion in self._parts(parameters, variance)
            ]
        )

    def _parts(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> list[tuple[Group[Likelihood], dict[str, Tensor], Tensor]]:
        """Each group with its own parameters and dispersions."""
        dispersion = self.dispersion_
        return [
            (
                group,
                group.own(parameters),
                variance if dispersion is None else dispersion.of(group, variance),
            )
            for group in self.listed()
        ]

    def _of_cells(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        function: Callable[[Group[Likelihood], dict[str, Tensor], Tensor], Tensor],
    ) -> Tensor:
        """Values of all cells from those of each group, in the order of columns."""
        return self._joined(
            [
                function(group, own, dispersion)
                for group, own, dispersion in self._parts(parameters, variance)
            ]
        )

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Columns of all groups, as tensors, in the order of the table."""
        import torch

        return columns_of(torch.cat(list(parts), dim=-1), self._order)

    def _in_order(self, parts: Sequence[Floats]) -> Floats:
        """Columns of all groups in the order of the table."""
        return np.concatenate(parts, axis=-1)[..., self._order]

    @property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(np.concatenate([group.columns for group in self.listed()]))
