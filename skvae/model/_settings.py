"""Parameters of an estimator, as the parts of a fit read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from skvae.balance import BalancePolicy
from skvae.divergences import Divergence
from skvae.learning_rates import LearningRate
from skvae.networks import Network
from skvae.priors import Prior

if TYPE_CHECKING:
    import torch


class Settings(Protocol):
    """Parameters of `BalancedVAE`, whose docstring describes them."""

    n_components: Any
    beta: float
    balance: str | BalancePolicy
    likelihood: Any
    handle_unknown: str
    divergence: str | Divergence
    hidden_layer_sizes: Sequence[int]
    activation: str
    network: str | Network | None
    prior: str | Prior
    standardize: bool | str
    batch_size: Any
    max_iter: int
    learning_rate: str | LearningRate | Callable[[float], float]
    learning_rate_init: float
    alpha: float
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    device: str | torch.device
    precision: str
    random_state: int | np.random.RandomState | None
    verbose: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, as every estimator does."""
