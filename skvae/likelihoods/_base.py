"""What every likelihood is: parameters of the decoder in, a distribution out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor
    from torch.distributions import Distribution


class Likelihood(BaseEstimator):
    """Base of the likelihoods p(x given z).

    A likelihood declares how many numbers the decoder has to give for each feature,
    and turns those into a distribution. Log-probability, mean and samples follow
    from that. A likelihood whose variance is one number for all rows also says how
    the mean error of each feature over a batch, which is all there is to know of the
    batch, becomes its distortion.
    """

    _parameter_constraints: dict[str, list] = {}

    #: Names of the distribution's parameters, each one number a feature and row.
    parameter_names: Sequence[str] = ()

    #: Whether columns are centred and scaled before the model sees them.
    is_continuous = False

    #: Whether the distribution has a variance that is one number for all rows, which
    #: a balance policy may move and `fit` calibrates.
    has_variance = False

    #: Whether `error_vjp` gives the derivatives of its errors in closed form.
    has_pullback = False

    #: The variance that the user fixed, in squared units of the scaled columns.
    variance: float | ArrayLike | None = None

    #: Smallest variance that may be learned, relative to that of the column.
    floor: float = 0.0

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

    def distribution(
        self, parameters: dict[str, Tensor], variance: Tensor
    ) -> Distribution:
        """Distribution of every cell.

        Parameters
        ----------
        parameters : dict of str to Tensor of shape (n_replicas, n_rows, n_features)
            As `unpack` returns them.
        variance : Tensor of shape (n_replicas, 1 or n_features)
            Used only where `has_variance`.

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
        """Mean of every cell."""
        return self.distribution(parameters, variance).mean

    def sample(
        self, parameters: dict[str, Tensor], variance: Tensor, seed: int
    ) -> Tensor:
        """Draw every cell once, on the CPU; torch's own random state stays as it is."""
        import torch

        parameters = {name: value.cpu() for name, value in parameters.items()}
        distribution = self.distribution(parameters, variance.cpu())
        # Distributions draw from the global generator only, so the CPU's is lent and
        # given back. `torch.manual_seed` would seed those of all devices.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return distribution.sample()

    def expected_error(
        self, x: Tensor, parameters: dict[str, Tensor], weight: Tensor
    ) -> Tensor | None:
        """Weighted mean error of each feature: its maximum-likelihood variance.

        Parameters
        ----------
        x : Tensor of shape (n_replicas, n_rows, n_features)
        parameters : dict of str to Tensor of the same shape
        weight : Tensor of shape (n_rows,)
            Sums to about 1.

        Returns
        -------
        error : Tensor of shape (n_replicas, n_features), or None without a variance
        """
        return None

    def distortion_from_error(self, error: Tensor, variance: Tensor) -> Tensor:
        """Distortion of each replica from its mean errors, where `has_variance`.

        Parameters
        ----------
        error : Tensor of shape (n_replicas, n_features)
            As `expected_error` returns it.
        variance : Tensor of shape (n_replicas, 1 or n_features)

        Returns
        -------
        distortion : Tensor of shape (n_replicas,)
            In nats per row.
        """
        raise NotImplementedError

    def error_vjp(
        self, x: Tensor, output: Tensor, weight: Tensor
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """`expected_error`, and what turns the variance into the decoder's gradient.

        Only where `has_pullback`; automatic differentiation stands in elsewhere.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
        output : Tensor of shape (n_replicas, n_rows, n_parameters)
            What the decoder gives.
        weight : Tensor of shape (n_rows,)

        Returns
        -------
        error : Tensor of shape (n_replicas, n_features)
        pullback : callable
            From the variance, of shape (n_replicas, 1 or n_features), to the gradient
            of the distortion in the shape of `output`.
        """
        raise NotImplementedError

    def distortion(
        self, x: Tensor, parameters: dict[str, Tensor], weight: Tensor
    ) -> Tensor:
        """Distortion of each replica, where there is no variance.

        Parameters
        ----------
        x : Tensor of shape (n_replicas, n_rows, n_features)
        parameters : dict of str to Tensor of the same shape
        weight : Tensor of shape (n_rows,)

        Returns
        -------
        distortion : Tensor of shape (n_replicas,)
            In nats per row.
        """
        log_prob = self.log_prob(x, parameters, weight)
        return -(log_prob.sum(dim=-1) @ weight)

    @property
    def has_free_variance(self) -> bool:
        """Whether there is a variance that the user did not fix."""
        return self.has_variance and self.variance is None

    def admit(
        self, X: NDArray[np.floating], names: Sequence[str] | None = None
    ) -> NDArray[np.floating]:
        """Return X as the likelihood sees it.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
        names : array of str or None, default=None
            Names of the columns.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If a value is impossible; the message names a column and the value.
        """
        return X


def column_name(column: int, names: Sequence[str] | None) -> str:
    """How an error message calls a column."""
    return f"column {column}" if names is None else f"column {names[column]!r}"
