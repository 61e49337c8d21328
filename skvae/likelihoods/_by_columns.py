"""A likelihood for each group of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skvae._tensors import columns_of
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._groups import Group, at, key, own_parameters, picked
from skvae.linear._columns import LinearColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from skvae.likelihoods._base import Floats, PerColumn


class ByColumns(Likelihood):
    """Mixture of likelihoods by columns: each group of columns has one of its own.

    Its nats are the sum over the groups. All columns of a group are one vectorised
    call, so that what counts is the number of families and not that of columns.

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

    @property
    def _n_features(self) -> int:
        return sum(len(columns) for _, columns in self.groups)

    @property
    def _groups(self) -> list[Group]:
        return [
            Group(likelihood, np.asarray(columns, dtype=np.intp))
            for likelihood, columns in self.groups
        ]

    @property
    def _dispersed_groups(self) -> list[Group]:
        return [group for group in self._groups if group.likelihood.has_variance]

    @property
    def has_variance(self) -> bool:  # type: ignore[override]
        """Whether some columns have a dispersion."""
        return bool(self._dispersed_groups)

    @property
    def is_gaussian(self) -> bool:  # type: ignore[override]
        """Whether all columns are."""
        return all(group.likelihood.is_gaussian for group in self._groups)

    @property
    def has_free_variance(self) -> bool:
        """Whether they have one that the user did not fix."""
        return any(group.likelihood.has_free_variance for group in self._groups)

    @property
    def variance(self) -> NDArray[np.float64] | None:  # type: ignore[override]
        """The dispersions that the user fixed."""
        if self.has_free_variance or not self.has_variance:
            return None
        found = np.ones(self._n_features)
        for group in self._dispersed_groups:
            found[group.columns] = group.likelihood.variance
        return found[self.dispersed(self._n_features)]

    def continuous(self, n_features: int) -> NDArray[np.bool_]:
        """Columns that are centred and scaled before the model sees them."""
        return self._flags("is_continuous")

    def dispersed(self, n_features: int) -> NDArray[np.bool_]:
        """Columns that have a dispersion."""
        return self._flags("has_variance")

    def _of_each(self, *values: PerColumn) -> list[Floats]:
        return [np.broadcast_to(value, self._n_features) for value in values]

    def _flags(self, name: str) -> NDArray[np.bool_]:
        found = np.zeros(self._n_features, dtype=bool)
        for group in self._groups:
            found[group.columns] = getattr(group.likelihood, name)
        return found

    @property
    def members(self) -> list[Likelihood]:
        """The likelihoods of its groups."""
        return [group.likelihood for group in self._groups]

    def member_at(self, column: int) -> Likelihood:
        """The likelihood of a column."""
        return next(g.likelihood for g in self._groups if column in g.columns)

    @property
    def has_rest(self) -> bool:
        """Whether columns without a dispersion stand beside others that have one."""
        return self.has_variance and not self.dispersed(self._n_features).all()

    def find_levels(self, X: Floats) -> None:
        """Find the levels of the columns of each group."""
        for likelihood, columns in self._groups:
            likelihood.find_levels(X[:, columns])

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Learn the parameters of each group from its columns."""
        for likelihood, columns in self._groups:
            likelihood.learn(X[:, columns], weight)

    def admit(self, X: Floats, names: Sequence[str] | None = None) -> Floats:
        """Return X as each group sees its columns, or raise ValueError."""
        parts = [
            likelihood.admit(X[:, columns], picked(names, columns))
            for likelihood, columns in self._groups
        ]
        return self._in_order(parts)

    def to_model(self, X: Floats) -> Floats:
        """Return admitted rows in the units of the distributions."""
        return self._of_columns("to_model", X)

    def to_user(self, x: Floats) -> Floats:
        """Return rows in the units of X."""
        return self._of_columns("to_user", x)

    def log_jacobian(self, X: Floats) -> Floats:
        """Nats that each cell's distortion gains in the units of X."""
        return self._of_columns("log_jacobian", X)

    def _of_columns(self, method: str, X: Floats) -> Floats:
        """What a method of each group makes of its columns."""
        return self._in_order(
            [getattr(g.likelihood, method)(X[..., g.columns]) for g in self._groups]
        )

    def n_parameters(self, n_features: int) -> int:
        """Width of the decoder's output: the groups side by side."""
        return sum(self._widths())

    def _widths(self) -> list[int]:
        return [g.likelihood.n_parameters(len(g.columns)) for g in self._groups]

    def unpack(self, output: Tensor) -> dict[str, Tensor]:
        """Split the decoder's output into the parameters of each group."""
        parts = output.split(self._widths(), dim=-1)
        return {
            key(i, name): value
            for i, (group, part) in enumerate(zip(self._groups, parts, strict=True))
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
                for g in self._groups
            ]
        )

    def feature_parameters(
        self, center: PerColumn = 0.0, scale: PerColumn = 1.0
    ) -> dict[str, Floats]:
        """Start values of the parameters that are the same for all rows."""
        center, scale = self._of_each(center, scale)
        return {
            key(i, name): value
            for i, (likelihood, columns) in enumerate(self._groups)
            for name, value in likelihood.feature_parameters(
                center[columns], scale[columns]
            ).items()
        }

    def n_inputs(self, n_features: int) -> int:
        """Width of what the encoder sees: the groups side by side."""
        return sum(g.likelihood.n_inputs(len(g.columns)) for g in self._groups)

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return what the encoder sees of rows."""
        import torch

        return torch.cat(
            [
                g.likelihood.inputs(
                    g.of(x), None if observed is None else g.of(observed)
                )
                for g in self._groups
            ],
            dim=-1,
        )

    def linear_columns(self, n_features: int) -> LinearColumns | None:
        """Columns of the groups that have some, in the order of the table."""
        own = [g.likelihood.linear_columns(len(g.columns)) for g in self._groups]
        widths = [g.likelihood.n_inputs(len(g.columns)) for g in self._groups]
        columns = [group.columns for group in self._groups]
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

    def mode(self, parameters: dict[str, Tensor], variance: Tensor) -> Tensor:
        """Most probable value of every cell, as the model sees it."""
        return self._of_cells(
            parameters, variance, lambda g, *own: g.likelihood.mode(*own)
        )

    def sample(
        self, parameters: dict[str, Tensor], variance: Tensor, seed: int
    ) -> Tensor:
        """Draw every cell once, on the CPU."""
        seeds = iter(np.random.RandomState(seed).randint(2**31, size=len(self.groups)))
        return self._of_cells(
            parameters,
            variance,
            lambda g, *own: g.likelihood.sample(*own, int(next(seeds))),
        )

    def reconstruction(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Value that stands for each cell, in the units of X, as an array."""
        center, scale = self._of_each(center, scale)
        return self._in_order(
            [
                g.likelihood.reconstruction(
                    own, dispersion, center[g.columns], scale[g.columns]
                )
                for g, own, dispersion in self._shares(parameters, variance)
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
                for g, own, dispersion in self._shares(parameters, variance)
            ]
        )

    def expected_error(
        self, x: Tensor, parameters: dict[str, Tensor], weight: Tensor
    ) -> Tensor | None:
        """Weighted mean error of each column that has a dispersion."""
        import torch

        if not self.has_variance:
            return None
        errors, places = [], []
        for i, group in enumerate(self._groups):
            if group.likelihood.has_variance:
                own = own_parameters(parameters, i)
                error = group.likelihood.expected_error(
                    group.of(x), own, group.weight_of(weight)
                )
                assert error is not None
                errors.append(error)
                places.append(group.columns)
        order = np.argsort(np.concatenate(places))
        return columns_of(torch.cat(errors, dim=-1), order)

    def distortion_from_error(
        self, error: Tensor, variance: Tensor, share: Tensor | float = 1.0
    ) -> Tensor:
        """Distortion of the columns that have a dispersion."""
        total: Tensor | float = 0.0
        for group in self._dispersed_groups:
            places = self._places(group)
            own = share if isinstance(share, float) else columns_of(share, places)
            total = total + group.likelihood.distortion_from_error(
                columns_of(error, places), at(variance, places), own
            )
        return total  # type: ignore[return-value]

    def distortion(
        self, x: Tensor, parameters: dict[str, Tensor], weight: Tensor
    ) -> Tensor:
        """Distortion of the columns that have no dispersion."""
        total: Tensor | float = 0.0
        for i, group in enumerate(self._groups):
            if not group.likelihood.has_variance:
                own = own_parameters(parameters, i)
                total = total + group.likelihood.distortion(
                    group.of(x), own, group.weight_of(weight)
                )
        return total  # type: ignore[return-value]

    def least_dispersion(self, variance: Floats) -> Floats:
        """Smallest dispersion that may be learned of each column that has one."""
        found = variance[self.dispersed(self._n_features)]
        for group in self._dispersed_groups:
            least = group.likelihood.least_dispersion(variance[group.columns])
            found[self._places(group)] = least
        return found

    def dispersion_of(self, variance: Floats) -> Floats:
        """Dispersion at a variance, both of the columns that have a dispersion."""
        found = variance.copy()
        for group in self._dispersed_groups:
            places = self._places(group)
            found[places] = group.likelihood.dispersion_of(variance[places])
        return found

    def _places(self, group: Group) -> NDArray[np.intp]:
        """Where a group's columns stand among those that have a dispersion."""
        rank = np.cumsum(self.dispersed(self._n_features)) - 1
        return rank[group.columns]

    def _shares(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> list[tuple[Group, dict[str, Tensor], Tensor]]:
        """Each group with its own parameters and dispersions."""
        return [
            (
                group,
                own_parameters(parameters, i),
                at(variance, self._places(group))
                if group.likelihood.has_variance
                else variance,
            )
            for i, group in enumerate(self._groups)
        ]

    def _of_cells(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        function: Callable[[Group, dict[str, Tensor], Tensor], Tensor],
    ) -> Tensor:
        """Values of all cells from those of each group, in the order of columns."""
        import torch

        parts = [
            function(group, own, dispersion)
            for group, own, dispersion in self._shares(parameters, variance)
        ]
        return columns_of(torch.cat(parts, dim=-1), self._order)

    def _in_order(self, parts: Sequence[Floats]) -> Floats:
        """Columns of all groups in the order of the table."""
        return np.concatenate(parts, axis=-1)[..., self._order]

    @property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(np.concatenate([group.columns for group in self._groups]))
