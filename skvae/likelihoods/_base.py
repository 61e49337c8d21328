"""Base of the likelihoods: distributions of cells given the decoder's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skvae.data._numbers import unstandardized
from skvae.ground._tensors import in_units_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, TypeAlias

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributions import Distribution

    from skvae.likelihoods._dispersion import Dispersion
    from skvae.linear._columns import LinearColumns

    Floats: TypeAlias = NDArray[np.floating]
    PerColumn: TypeAlias = Floats | float


class Likelihood(BaseEstimator):
    r"""Base of the likelihoods p(x given z).

    A likelihood declares how many numbers the decoder has to give for each feature,
    and turns those into a distribution. Log-probability, mean and samples follow
    from that.

    Statistics of a table, such as the levels of its columns, are learned in `fit`,
    before training. The model then sees ``to_model(X)``, centred and scaled by the
    table where `is_continuous`, and the encoder sees the `inputs` of that. In the units
    of X the distortion of a cell is :math:`-\log p(x) + \log s + J` nats, with the
    scale s of the table and J from `log_jacobian`.

    Some families have a *dispersion* that is one number for all rows and that a
    balance policy may move, such as the variance of a Gaussian: see `Dispersed`. It is
    called `variance` throughout. Other numbers that are the same for all rows, such as
    the thresholds of an ordinal column, are `feature_parameters`, which are trained by
    gradient beside the networks.

    In a table that is handed to a likelihood, NaN is a missing cell: it passes `admit`
    and counts in no statistic. In a tensor a missing cell holds 0, at which every
    log-probability is finite, and gets the weight 0.
    """

    _parameter_constraints: dict[str, list] = {}

    #: Names of the numbers that the decoder gives for each cell.
    parameter_names: Sequence[str] = ()

    #: True if columns are centred and scaled before the model sees them.
    is_continuous = False

    def fit(
        self,
        X: Floats,
        names: Sequence[str] | None = None,
        weight: Floats | None = None,
    ) -> Self:
        """Learn the statistics that the likelihood needs from the rows of a table.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            In the user's units; NaN where a cell is missing.
        names : array of str or None, default=None
            Names of the columns, for messages.
        weight : ndarray of shape (n_samples,) or None, default=None
            Weight of each row; a weight of 2 is the same as the row twice.

        Returns
        -------
        self : Likelihood
            With what was learned in attributes that end in an underscore.
        """
        self.find_levels(X)
        self.learn(self.admit(X, names), weight)
        return self

    def find_levels(self, X: Floats) -> None:
        """Learn the levels that `admit` accepts, from raw rows; by default nothing."""

    def learn(self, X: Floats, weight: Floats | None) -> None:
        """Set the attributes of `fit` from admitted rows; by default there are none."""

    def n_parameters(self, n_features: int) -> int:
        """Width of the decoder's output."""
        return len(self.parameter_names) * n_features

    def unpack(self, output: Tensor) -> dict[str, Tensor]:
        """Split the decoder's output into named parameters.

        Parameters
        ----------
        output : Tensor of shape (n_replicas, n_rows, n_parameters)

        Returns
        -------
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)
        """
        parts = output.chunk(len(self.parameter_names), dim=-1)
        return dict(zip(self.parameter_names, parts, strict=True))

    def start(
        self,
        n_features: int,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Optimal or nearly optimal decoder output without information about a row.

        Together with `feature_parameters` it makes the null model: each column's own
        distribution over the rows of `fit`.

        Parameters
        ----------
        n_features : int
        center : ndarray of shape (n_features,) or float, default=0.0
        scale : ndarray of shape (n_features,) or float, default=1.0
            Centre and scale of continuous columns.

        Returns
        -------
        output : ndarray of shape (n_parameters,)
            In the order that `unpack` reads.
        """
        return np.zeros(self.n_parameters(n_features))

    def feature_parameters(
        self,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> dict[str, Floats]:
        """Start values of the parameters that are the same for all rows.

        They are unconstrained, for an optimiser to move. `distribution` finds them
        among its `parameters`, with shape (n_replicas, 1, n_features) or
        (n_replicas, 1, n_features, k).

        Parameters
        ----------
        center : ndarray of shape (n_features,) or float, default=0.0
        scale : ndarray of shape (n_features,) or float, default=1.0
            As in `start`.

        Returns
        -------
        parameters : dict of str to ndarray of shape (n_features,) or (n_features, k)
        """
        return {}

    def to_model(self, X: Any) -> Any:
        """Return admitted rows, an array or a tensor, in units of the distribution."""
        return X

    def to_user(self, x: Any) -> Any:
        """Return rows in the units of X: the inverse of `to_model`."""
        return x

    def log_jacobian(self, X: Any) -> Any:
        """Nats that each cell's distortion gains in the units of X, for `to_model`."""
        if isinstance(X, np.ndarray):
            return np.zeros(X.shape, X.dtype)
        return X.new_zeros(X.shape)

    def input_columns(self, n_features: int) -> NDArray[np.intp]:
        """Column that each input of the encoder stands for, shape (n_inputs,)."""
        return np.arange(n_features)

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return the inputs of the encoder, of shape (n_rows, n_inputs).

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            As the model sees them.
        observed : Tensor of the same shape, dtype=bool, or None, default=None
            Cells that are not missing; the others give zeros. None if none is missing.
        """
        return x if observed is None else x * observed

    def linear_columns(self, n_features: int) -> LinearColumns | None:
        """Columns of a linear Gaussian model to start at; None where there are none."""
        return None

    def column_dispersion(self, n_features: int) -> Dispersion | None:
        """Dispersions that a policy may move, as those of `Dispersed`; or None."""
        return None

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Distribution of every cell.

        Parameters
        ----------
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)
            As `unpack` returns them, together with the `feature_parameters`.
        variance : Tensor of shape (n_replicas, 1 or n_features)
            The dispersion; of shape (n_replicas, 0) for a likelihood without one.

        Returns
        -------
        distribution : torch.distributions.Distribution
            Of batch shape (n_replicas, n_rows, n_features).
        """
        raise NotImplementedError

    def log_prob(
        self, x: Tensor, parameters: dict[str, Tensor], variance: Tensor
    ) -> Tensor:
        """Log-probability of every cell, in nats, all constants included."""
        return self.distribution(parameters, variance).log_prob(x)

    def mean(self, parameters: dict[str, Tensor], variance: Tensor) -> Tensor:
        """Mean of every cell, as the model sees it."""
        return self.distribution(parameters, variance).mean

    def reconstruction(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        center: PerColumn | Tensor = 0.0,
        scale: PerColumn | Tensor = 1.0,
    ) -> Tensor:
        """Value that stands for each cell, in the units of X and double precision.

        The value is the mean, or the most probable one where X holds levels. The
        arguments are those of `distribution` and `start`.
        """
        mean = self.mean(parameters, variance)
        found: Tensor = self.to_user(in_units_of(mean, center, scale))
        return found

    def expectation(
        self,
        parameters: dict[str, Tensor],
        variance: Tensor,
        weight: Tensor,
        center: PerColumn = 0.0,
        scale: PerColumn = 1.0,
    ) -> Floats:
        """Value that stands for each cell over several draws of a row, as an array.

        The weighted mean of `reconstruction`, or the value that is most probable over
        all draws where X holds levels.

        Parameters
        ----------
        parameters : dict of str to Tensor of shape (1, n_draws * n_rows, n_features)
            Draw after draw.
        variance : Tensor of shape (1, 1 or n_features)
        weight : Tensor of shape (n_draws, n_rows)
            Sums to 1 over draws.
        center : ndarray of shape (n_features,) or float, default=0.0
        scale : ndarray of shape (n_features,) or float, default=1.0
            As in `start`.
        """
        found = self.reconstruction(parameters, variance, center, scale)[0]
        values = found.detach().cpu().numpy().reshape(*weight.shape, -1)
        # Half of it: the weights sum to 1 but for rounding, which may be too much for
        # the largest numbers there are.
        half = np.einsum("krd,kr->rd", 0.5 * values, weight.cpu().numpy())
        return unstandardized(half, 0.0, 2.0, half.dtype)

    def sample(
        self, parameters: dict[str, Tensor], variance: Tensor, seed: int
    ) -> Tensor:
        """Draw every cell once, on the CPU, from a generator that no one else has."""
        from skvae.ground._drawing import PrivateDraws

        parameters = {name: value.cpu() for name, value in parameters.items()}
        distribution = self.distribution(parameters, variance.cpu())
        with PrivateDraws(seed):
            return distribution.sample()

    def admit(self, X: Any, names: Sequence[str] | None = None) -> Any:
        """Return X if all of its values are possible; its format is that of `fit`.

        Of a tensor, in a model that was exported, nothing is refused: a graph of
        operations raises no error. Levels that `fit` did not see are missing there.

        Raises
        ------
        ValueError
            If a value is impossible; the message names a column and the value.
        """
        return X

    def __getstate__(self) -> dict[str, Any]:
        """Attributes for a copy or a file, without the copies of arrays on devices."""
        state = super().__getstate__()
        state.pop("_tensors", None)
        return state

    def tensor(self, name: str, beside: Tensor) -> Tensor:
        """An array that `fit` learned, on the device of a tensor, copied there once.

        A copy at every step would make the device wait, and cannot be recorded in a
        graph of its operations.
        """
        import torch

        if not hasattr(self, name):
            check_is_fitted(self)
        array = getattr(self, name)
        dtype = beside.dtype if array.dtype.kind == "f" else torch.int64
        key = name, beside.device, dtype
        copies = self.__dict__.setdefault("_tensors", {})
        source, tensor = copies.get(key, (None, None))
        if source is not array:
            # A copy on the CPU, too: the array may be read-only.
            tensor = torch.tensor(array, dtype=dtype, device=beside.device)
            copies[key] = array, tensor
        return tensor
