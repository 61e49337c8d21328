"""A step that several processes take together."""

from __future__ import annotations

from copy import copy

from torch import Tensor

from skvae.balance._base import BalancePolicy
from skvae.exceptions import ProcessGroupError
from skvae.model._module import Module
from skvae.networks._base import Around, Function, Pullback, Weights
from skvae.training._plan import Plan
from skvae.training._ranks import Ranks
from skvae.training._source import Source
from skvae.training._state import PolicyState, TrainingState
from skvae.training._step import Batch, Differentiator, Step
from skvae.training._stepper import Stepper


class DividedFunction(Around):
    """A network of which each process computes some of the rows.

    Outputs, and gradients of rows, are those of all rows in every process. Gradients of
    weights are those of the own rows: their sum over the processes is the gradient.

    Parameters
    ----------
    function : Function
        The network.
    ranks : Ranks
        The processes.
    """

    def __init__(self, function: Function, ranks: Ranks) -> None:
        super().__init__(function)
        self.ranks = ranks

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output for all rows, and its vector-Jacobian product."""
        ranks, n_rows = self.ranks, x.shape[-2]
        noise = {name: ranks.own(weights[name]) for name in self.noise_widths}
        own, from_own = self.inner.vjp(
            {**weights, **noise}, ranks.own(x), to_rows=to_rows
        )

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            to_own = from_own(ranks.own(to_output), gradients)
            return None if to_own is None else ranks.gathered(to_own, n_rows)

        return ranks.gathered(own, n_rows), pullback


class DividedDifferentiator(Differentiator):
    """Objectives and gradients that several processes compute together.

    The networks are divided by rows. What lies between them, from the encoder's output
    to the objective, is computed by every process for the whole batch: so that any
    policy, likelihood or divergence has the terms that one process would give it.

    Parameters
    ----------
    module : Module
        The model.
    policy : BalancePolicy
        The policy that computes the objective from the terms.
    floor : Tensor of shape (n_features,)
        Smallest decoder variance.
    trained : list of str
        Names of the weights outside the networks.
    ranks : Ranks
        The processes.
    """

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        floor: Tensor,
        trained: list[str],
        ranks: Ranks,
    ) -> None:
        self.ranks = ranks
        divided = copy(module)
        divided.encoder = DividedFunction(module.encoder, ranks)
        divided.decoder = DividedFunction(module.decoder, ranks)
        super().__init__(divided, policy, floor, trained)

    def __call__(
        self, state: PolicyState, weights: Weights, gradients: Weights, batch: Batch
    ) -> Step:
        """Compute the objective of a batch, and write its gradient."""
        step = super().__call__(state, weights, gradients, batch)
        # Those of the other weights are complete already.
        self.ranks.add([gradients[name] for name in self.module.shapes])
        return step


class DividedStepper(Stepper):
    """Steps of a training that several processes share.

    Raises
    ------
    ProcessGroupError
        If a batch has fewer rows than there are processes.
    """

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        state: TrainingState,
        source: Source,
        plan: Plan,
    ) -> None:
        super().__init__(module, policy, state, source, plan)
        ranks = Ranks.now()
        assert ranks is not None
        if plan.batch_size < ranks.n_ranks:
            raise ProcessGroupError(
                f"A batch has {plan.batch_size} rows, and the process group "
                f"{ranks.n_ranks} processes, each of which needs one. Use fewer "
                "processes or a larger batch_size."
            )
        self.differentiate = DividedDifferentiator(
            module, policy, state.floor, self.differentiate.trained, ranks
        )
