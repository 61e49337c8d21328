"""The state of a training, and its start values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy, Sizes, map_state
from skvae.linear._model import LinearWeights
from skvae.model._module import Module
from skvae.model._weights import flatten, views


class PolicyState(Protocol):
    """State of any policy: a named tuple of tensors, with these two among them."""

    @property
    def beta(self) -> Tensor:
        """Weight of the divergence, of shape (n_replicas,)."""

    @property
    def variance(self) -> Tensor:
        """Decoder variance, of shape (n_replicas, 1) or (n_replicas, n_features)."""


class StartValues(NamedTuple):
    """Start values of the weights; by default all are drawn at random."""

    linear: Sequence[LinearWeights] | None = None
    """Linear model at which each replica starts."""
    prior: Tensor | None = None
    """Variance of each feature that those models leave unexplained, of shape
    (n_replicas, n_features); None for all of its variance."""
    bias: Tensor | None = None
    """Output of the decoder where there is no linear model, (n_parameters,)."""
    shared: dict[str, Tensor] | None = None
    """Parameters of the likelihood that are the same for all rows."""


@dataclass
class TrainingState:
    """Everything that training changes: it can be stopped and resumed at no difference.

    Tensors have the replica axis first, except `floor`.
    """

    shapes: dict[str, tuple[int, ...]]
    values: Tensor
    """Weights, of shape (n_replicas, n_weights)."""
    balance: PolicyState
    generator: Tensor
    """State of the random generator."""
    floor: Tensor
    """Smallest decoder variance of each feature, of shape (n_features,)."""
    prior: Tensor
    """Variance of each feature that the linear model leaves unexplained, of shape
    (n_replicas, n_features)."""
    mean: Tensor | None = None
    """First moment of the gradient; None before the first step, as is the next one."""
    square: Tensor | None = None
    """Second moment of the gradient."""
    n_steps: int = 0
    n_epochs: int = 0

    @property
    def weights(self) -> dict[str, Tensor]:
        """Named views of the weights."""
        return views(self.values, self.shapes)

    def map(self, function: Callable[[Tensor], Tensor]) -> TrainingState:
        """Copy with a function applied to every tensor but the generator's state."""
        return replace(
            self,
            values=function(self.values),
            balance=map_state(function, self.balance),
            floor=function(self.floor),
            prior=function(self.prior),
            mean=None if self.mean is None else function(self.mean),
            square=None if self.square is None else function(self.square),
        )

    def take(self, r: int) -> TrainingState:
        """State of one replica."""
        return self.select(slice(r, r + 1))

    def select(self, replicas: slice | Tensor) -> TrainingState:
        """State of some replicas, given as a slice, their numbers or a mask."""
        # All replicas share the floor.
        return self.map(
            lambda tensor: tensor if tensor is self.floor else tensor[replicas]
        )

    def to_numpy(self) -> TrainingState:
        """Copy with arrays in place of tensors, which can be pickled anywhere."""
        return replace(self.map(_array), generator=_array(self.generator))

    def to_torch(self, device: torch.device, dtype: torch.dtype) -> TrainingState:
        """Inverse of `to_numpy`; always a copy, as the arrays may be read-only."""
        tensors = self.map(
            lambda array: torch.tensor(array, device=device, dtype=dtype)
        )
        return replace(tensors, generator=torch.tensor(self.generator))


def init(
    module: Module,
    policy: BalancePolicy,
    sizes: Sizes,
    beta: Tensor,
    floor: Tensor,
    seed: int,
    start: StartValues | None = None,
) -> TrainingState:
    """State before the first step.

    All replicas draw the same start values and will see the same batches and noise,
    so that a replica does not depend on those beside it.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        The policy that weighs rate against distortion.
    sizes : Sizes
        Shapes and variances, for the policy.
    beta : Tensor of shape (n_replicas,)
        The requested weight of the rate; its dtype and device are the training's.
    floor : Tensor of shape (n_features,)
        The smallest decoder variance allowed.
    seed : int
        Seed of the private random generator.
    start : StartValues or None, default=None
        Start values that are not drawn at random.

    Returns
    -------
    state : TrainingState
    """
    if start is None:
        start = StartValues()
    drawn = []
    each: list[LinearWeights | None] = [None] * sizes.n_replicas
    if start.linear is not None:
        each = list(start.linear)
    for linear in each:
        generator = torch.Generator().manual_seed(seed)
        drawn.append(module.init(generator, linear, start.bias))
    weights = {
        name: torch.stack([weights[name] for weights in drawn]).to(beta)
        for name in drawn[0]
    }
    for name, value in (start.shared or {}).items():
        weights[name] = value.to(beta).repeat(sizes.n_replicas, *([1] * value.ndim))
    mover = policy.variance_policy
    if mover is not None:
        weights |= mover.init_parameters(sizes)
    prior = start.prior
    if prior is None:
        prior = sizes.data_variance.repeat(sizes.n_replicas, 1)
    return TrainingState(
        shapes={name: tuple(weight.shape[1:]) for name, weight in weights.items()},
        values=flatten(weights),
        balance=policy.init_state(beta, sizes),
        generator=generator.get_state(),
        floor=floor,
        prior=prior,
    )


def _array(tensor: Tensor) -> Any:
    """Array of a tensor, in the field of a state where the tensor was."""
    return tensor.detach().cpu().numpy()
