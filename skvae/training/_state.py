"""All that training moves, and where it starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy, Sizes, map_state
from skvae.linear._model import LinearWeights
from skvae.model._module import Module
from skvae.model._weights import flatten, views


@dataclass
class TrainingState:
    """All that training moves: to stop here and go on later changes nothing.

    Tensors have the replica axis first, except `floor`.
    """

    shapes: dict[str, tuple[int, ...]]
    values: Tensor
    """Weights, of shape (n_replicas, n_weights)."""
    balance: Any
    generator: Any
    """State of the random generator."""
    floor: Tensor
    """Smallest decoder variance of each feature, of shape (n_features,)."""
    prior: Tensor
    """Variance that the linear model leaves of each, (n_replicas, n_features)."""
    mean: Tensor | None = None
    square: Tensor | None = None
    n_steps: int = 0
    n_epochs: int = 0

    @property
    def weights(self) -> dict[str, Tensor]:
        """Named views of the weights."""
        return views(self.values, self.shapes)

    def map(self, function: Callable[[Any], Any]) -> TrainingState:
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
        arrays = self.map(lambda tensor: tensor.detach().cpu().numpy())
        return replace(arrays, generator=self.generator.numpy())

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
    starts: Sequence[LinearWeights] | None = None,
    prior: Tensor | None = None,
    bias: Tensor | None = None,
    shared: dict[str, Tensor] | None = None,
) -> TrainingState:
    """State before the first step.

    All replicas draw the same start values and will see the same batches and noise,
    so that a replica does not depend on those beside it.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        What weighs rate against distortion.
    sizes : Sizes
        What the policy may know.
    beta : Tensor of shape (n_replicas,)
        The weight of the rate asked for; its dtype and device are the training's.
    floor : Tensor of shape (n_features,)
        The smallest decoder variance allowed.
    seed : int
        Of the private random generator.
    starts : list of LinearWeights or None, default=None
        The linear model that each replica starts at.
    prior : Tensor of shape (n_replicas, n_features) or None, default=None
        Variance that those models leave of each feature; None for all of it.
    bias : Tensor of shape (n_parameters,) or None, default=None
        What the decoder starts at where there is no linear model.
    shared : dict of str to Tensor or None, default=None
        Start values of the likelihood's parameters that all rows share.

    Returns
    -------
    state : TrainingState
    """
    drawn = []
    each: Sequence[LinearWeights | None] = [None] * sizes.n_replicas
    if starts is not None:
        each = starts
    for start in each:
        generator = torch.Generator().manual_seed(seed)
        drawn.append(module.init(generator, start, bias))
    weights = {
        name: torch.stack([weights[name] for weights in drawn]).to(beta)
        for name in drawn[0]
    }
    for name, value in (shared or {}).items():
        weights[name] = value.to(beta).repeat(sizes.n_replicas, *([1] * value.ndim))
    mover = policy.variance_policy
    if mover is not None:
        weights |= mover.init_parameters(sizes)
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
