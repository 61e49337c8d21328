"""A training step: a batch moves the weights, the variance and the policy."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy
from skvae.model._module import Module
from skvae.training._optimizer import Adam
from skvae.training._parameters import FlatParameters
from skvae.training._plan import Plan
from skvae.training._source import Source
from skvae.training._state import TrainingState
from skvae.training._step import Batch, Differentiator, Step

# Gradients of summed nats grow with the number of features; what is clipped is a
# gradient that is far out of the ordinary, not one of a wide table.
_MAX_NORM_PER_FEATURE = 10.0


class Stepper:
    """Weights, optimiser and policy state, and the step that changes them.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        The policy that weighs rate against distortion.
    state : TrainingState
        The start; it is not changed.
    source : Source
        Rows to train on.
    plan : Plan
        How long and how fast to train.
    """

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        state: TrainingState,
        source: Source,
        plan: Plan,
    ) -> None:
        self.module, self.policy = module, policy
        self.start, self.source, self.plan = state, source, plan
        self.balance = state.balance
        self.parameters = FlatParameters(state.shapes, state.values.clone())
        # Parameters of the policy or the likelihood do not decay.
        n_decayed = sum(map(math.prod, module.shapes.values()))
        self.optimizer = Adam(self.parameters, n_decayed)
        if state.mean is not None and state.square is not None:
            self.optimizer.set_moments(state.mean, state.square, state.n_steps)
        trained = [name for name in state.shapes if name not in module.shapes]
        self.n_steps = state.n_steps
        self.differentiate = Differentiator(module, policy, state.floor, trained)
        self.max_norm = _MAX_NORM_PER_FEATURE * math.sqrt(module.n_features)
        self.window = source.window(plan.batch_size)

    @property
    def state(self) -> TrainingState:
        """State after the latest step."""
        return replace(
            self.start,
            values=self.parameters.values.detach(),
            balance=self.balance,
            mean=self.optimizer.mean,
            square=self.optimizer.square,
            n_steps=self.n_steps,
        )

    def select(self, replicas: Tensor) -> Stepper:
        """Stepper that goes on with some of the replicas, given as a mask."""
        state = self.state.select(replicas)
        chosen = type(self)(self.module, self.policy, state, self.source, self.plan)
        pull = self.differentiate.pull
        chosen.differentiate.pull = None if pull is None else pull[replicas]
        return chosen

    def pull(self, excess: Tensor) -> None:
        """Move the pull of columns of levels to their frequencies, after a validation.

        Parameters
        ----------
        excess : Tensor of shape (n_replicas, n_columns)
            Nats of each column above its frequencies on held-out rows.
        """
        pull = self.differentiate.pull
        assert pull is not None
        # In place, where recorded steps read it.
        pull.copy_(self.module.level_frequencies.moved(pull, excess))

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
            Rows of the batch, in the window.
        noise : Tensor of shape (n_draws, batch_size, noise_width)
        learning_rate : float or Tensor of shape ()
        progress : float or Tensor of shape ()
            Fraction of the planned steps that are done with this one.
        """
        self.n_steps += 1
        parameters = self.parameters
        with torch.inference_mode(False):
            # A graph may refer to them.
            x, weight, observed = self.window.part(index)
        # Without a graph torch need not look for one at each operation.
        is_graph_free = observed is None and self.differentiate.is_graph_free
        with torch.inference_mode(is_graph_free):
            batch = Batch(x, weight, noise, self.source.n_rows, observed)
            step = self.differentiate(
                self.balance, parameters.weights, parameters.gradients, batch
            )
            parameters.clip(self.max_norm)
            self.optimizer.step(learning_rate, self.plan.weight_decay)
            self.balance = self.policy.update(step.state, step.terms, progress)
        return step
