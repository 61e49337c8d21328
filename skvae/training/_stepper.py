"""What one step of training does: a batch in; weights, variance and policy moved."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy
from skvae.data._rows import Rows
from skvae.model._module import Module
from skvae.training._flat import Flat
from skvae.training._plan import Plan
from skvae.training._state import TrainingState
from skvae.training._step import Batch, Differentiator, Step

# Gradients of summed nats grow with the number of features; what is clipped is a
# gradient that is far out of the ordinary, not one of a wide table.
_MAX_NORM_PER_FEATURE = 10.0


class Stepper:
    """Weights and policy state, and how a batch moves them.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        What weighs rate against distortion.
    state : TrainingState
        Where to start; it is not changed.
    rows : Rows
        What to train on.
    plan : Plan
        How long and how fast.
    """

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        state: TrainingState,
        rows: Rows,
        plan: Plan,
    ) -> None:
        self.module, self.policy = module, policy
        self.start, self.rows, self.plan = state, rows, plan
        self.balance: Any = state.balance
        # What a policy or the likelihood trains beside the networks does not decay.
        n_decayed = sum(map(math.prod, module.shapes.values()))
        self.flat = Flat(state.shapes, state.values.clone(), n_decayed)
        if state.mean is not None and state.square is not None:
            self.flat.mean.copy_(state.mean)
            self.flat.square.copy_(state.square)
            self.flat.n_steps.fill_(state.n_steps)
        trained = [name for name in state.shapes if name not in module.shapes]
        self.n_steps = state.n_steps
        self.differentiate = Differentiator(module, policy, state.floor, trained)
        self.max_norm = _MAX_NORM_PER_FEATURE * math.sqrt(module.n_features)
        self.weight = rows.batch_weight(plan.batch_size)

    @property
    def state(self) -> TrainingState:
        """Where the steps have led, but for what is not theirs to move."""
        return replace(
            self.start,
            values=self.flat.values.detach(),
            balance=self.balance,
            mean=self.flat.mean,
            square=self.flat.square,
            n_steps=self.n_steps,
        )

    def select(self, replicas: Tensor) -> Stepper:
        """Steps of some replicas from here on, given as a mask."""
        state = self.state.select(replicas)
        return type(self)(self.module, self.policy, state, self.rows, self.plan)

    def __call__(
        self,
        index: Tensor,
        noise: Tensor,
        learning_rate: float | Tensor,
        progress: float | Tensor,
    ) -> Step:
        """Take a step.

        Parameters
        ----------
        index : Tensor of shape (batch_size,)
            Rows of the batch.
        noise : Tensor of shape (n_draws, batch_size, n_components)
        learning_rate : float or Tensor of shape ()
        progress : float or Tensor of shape ()
            Share of the planned steps that are done with this one.
        """
        self.n_steps += 1
        flat, x, observed = self.flat, self.rows.x, self.rows.observed
        # Without a graph torch need not look for one at each operation.
        is_graph_free = observed is None and self.differentiate.is_graph_free
        with torch.inference_mode(is_graph_free):
            batch = Batch(
                x.index_select(0, index),
                self.weight.index_select(0, index),
                noise,
                len(x),
                None if observed is None else observed.index_select(0, index),
            )
            step = self.differentiate(self.balance, flat.weights, flat.gradients, batch)
            flat.clip(self.max_norm)
            flat.step(learning_rate, self.plan.weight_decay)
            self.balance = self.policy.update(step.state, step.terms, progress)
        return step
