"""The objective of a batch, and its gradient to every weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.balance._base import BalancePolicy, Terms, map_state
from skvae.divergences._posterior import POSTERIORS, Reparameterised
from skvae.model._module import Module
from skvae.networks._base import Weights
from skvae.training._noise import StepNoise
from skvae.training._state import PolicyState


class Step(NamedTuple):
    """Values of a step on its batch, all detached."""

    objective: Tensor
    """Objective, of shape (n_replicas,), like the next one."""
    rate: Tensor
    terms: Terms
    state: PolicyState
    """State of the policy, with the variance that the distortion uses."""
    error: Tensor | None
    """Mean error of each feature, of shape (n_replicas, n_features)."""


@dataclass
class Batch:
    """Rows of a step and their noise, the same for all replicas."""

    x: Tensor
    """Rows, of shape (n_rows, n_features)."""
    weight: Tensor
    """Weight of each row in the mean over the batch, of shape (n_rows,)."""
    noise: Tensor
    """Standard normal, of shape (n_draws, n_rows, n_components), and wider for a module
    whose networks take noise."""
    n_rows_of_table: int | None = None
    """Number of rows of the whole table; None if the batch is all of it."""
    observed: Tensor | None = None
    """Mask of the cells that are not missing, of the shape of x; None if none are."""


class Differentiator:
    """Objectives of batches, and their gradients to every weight.

    Each network computes its own vector-Jacobian products. In the usual case the rest
    is in closed form too: a diagonal posterior with its KL divergence, a likelihood
    whose mean errors are sufficient statistics, and an objective that is a weighted sum
    of the terms. In all other cases the part between the networks, from the encoder's
    output to the objective, is differentiated automatically.

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
    """

    def __init__(
        self,
        module: Module,
        policy: BalancePolicy,
        floor: Tensor,
        trained: list[str],
    ) -> None:
        self.module, self.policy, self.floor = module, policy, floor
        self.trained = trained
        #: Strength of the pull of each column of levels to its frequencies, of shape
        #: (n_replicas, n_columns); None for none.
        self.pull: Tensor | None = None
        #: True where the part between the networks is in closed form, except in a
        #: batch with missing cells.
        self.is_closed = (
            module.divergence.is_rate
            and module.posterior is POSTERIORS["diagonal"]
            and module.dispersion is not None
            and module.dispersion.error_vjp is not None
            and policy.is_weighted_sum
            and not trained
        )
        #: True where a step without missing cells records no graph at all.
        self.is_graph_free = self.is_closed and not (
            module.encoder.uses_autograd or module.decoder.uses_autograd
        )

    @torch.no_grad()
    def __call__(
        self, state: PolicyState, weights: Weights, gradients: Weights, batch: Batch
    ) -> Step:
        """Compute the objective of a batch, and write its gradient.

        Parameters
        ----------
        state : PolicyState
            State of the policy.
        weights : dict of str to Tensor
            All weights, replica axis first.
        gradients : dict of str to Tensor
            Tensors that their gradients are written to.
        batch : Batch
        """
        encoder, decoder = self.module.encoder, self.module.decoder
        noise = StepNoise.of(self.module, batch.noise)
        if noise.latents is not batch.noise:
            batch = replace(batch, noise=noise.latents)
        x = self.module.inputs(batch.x, batch.observed)
        encoded, from_encoded = encoder.vjp(
            {**weights, **noise.encoder}, x, to_rows=False
        )
        is_closed = self.is_closed and batch.observed is None
        latents = self._closed if is_closed else self._traced
        z, go_on = latents(encoded, state, weights, gradients, batch)
        decoded, from_decoded = decoder.vjp(
            {**weights, **noise.decoder}, z.flatten(1, 2), to_rows=True
        )
        step, to_decoded, from_z = go_on(decoded)
        to_z = from_decoded(to_decoded, gradients)
        assert to_z is not None
        from_encoded(from_z(to_z.view_as(z)), gradients)
        return step

    def _closed(
        self,
        encoded: Tensor,
        state: PolicyState,
        weights: Weights,
        gradients: Weights,
        batch: Batch,
    ) -> tuple[Tensor, Callable[[Tensor], _Middle]]:
        """Latents, and the way on from the decoder's output, in closed form."""
        weight, dispersion = batch.weight, self.module.dispersion
        assert dispersion is not None
        assert dispersion.error_vjp is not None
        error_vjp = dispersion.error_vjp
        latents = Reparameterised.from_output(
            encoded, self.module.n_components, batch.noise
        )

        def go_on(decoded: Tensor) -> _Middle:
            x, cells, _ = self.module.repeated(batch.x, weight, None, len(batch.noise))
            error, from_variance = error_vjp(x, decoded, cells)
            moved = self._moved(state, error, weight, {})
            rate = latents.kl.sum(dim=-1) @ weight
            terms = Terms(
                distortion=dispersion.distortion(error, moved.variance),
                divergence=rate,
                kl=latents.kl,
                weight=weight,
            )
            objective = self.policy.objective(terms, moved)
            # The objective is a weighted sum, so that these are its derivatives.
            to_decoded = from_variance(moved.variance)
            to_kl = (moved.beta[:, None] * weight)[..., None]
            step = Step(objective, rate, terms, moved, error)
            return step, to_decoded, lambda to_z: latents.pullback(to_z, to_kl)

        return latents.z, go_on

    def _traced(
        self,
        encoded: Tensor,
        state: PolicyState,
        weights: Weights,
        gradients: Weights,
        batch: Batch,
    ) -> tuple[Tensor, Callable[[Tensor], _Middle]]:
        """Latents, and the way on from the decoder's output, with a graph."""
        module, noise = self.module, batch.noise
        encoded.requires_grad_()
        with torch.enable_grad():
            posterior = module.posterior.from_output(encoded, module.n_components)
            z = module.draw(posterior, noise)

        def go_on(decoded: Tensor) -> _Middle:
            decoded.requires_grad_()
            trained = {
                name: weights[name].detach().requires_grad_() for name in self.trained
            }
            with torch.enable_grad():
                sample = module.sampled(
                    posterior,
                    z,
                    noise,
                    batch.x,
                    module.parameters({**weights, **trained}, decoded),
                    batch.weight,
                    batch.observed,
                )
                error, moved = module.error(sample), state
                fraction = module.observed_fraction(sample)
                if error is not None:
                    moved = self._moved(
                        state, error.detach(), batch.weight, trained, fraction
                    )
                terms = module.terms(
                    sample, error, moved.variance, batch.weight, batch.n_rows_of_table
                )
                objective = self.policy.objective(terms, moved)
                # Replicas are independent: the sum has the gradient of each.
                total = objective.sum()
                if self.pull is not None:
                    n_rows = batch.n_rows_of_table or len(batch.x)
                    penalty = module.level_frequencies.penalty(
                        sample.parameters, sample.weight, self.pull, n_rows
                    )
                    total = total + penalty.sum()
            to_decoded, to_encoded, *to_trained = torch.autograd.grad(
                total,
                [decoded, encoded, *trained.values()],
                materialize_grads=True,
                retain_graph=True,
            )
            for name, gradient in zip(trained, to_trained, strict=True):
                gradients[name].copy_(gradient)

            def from_z(to_z: Tensor) -> Tensor:
                # A scalar: given `grad_outputs`, torch would import its compiler.
                with torch.enable_grad():
                    inner = (z * to_z).sum()
                return torch.autograd.grad(inner, encoded)[0].add_(to_encoded)

            terms = map_state(Tensor.detach, terms)
            step = Step(
                objective.detach(),
                terms.rate,
                terms,
                map_state(Tensor.detach, moved),
                None if error is None else _mean(error.detach(), fraction),
            )
            return step, to_decoded, from_z

        return z.detach(), go_on

    def _moved(
        self,
        state: PolicyState,
        error: Tensor,
        weight: Tensor,
        trained: Weights,
        fraction: Tensor | None = None,
    ) -> PolicyState:
        """State with the decoder variance that follows from the batch's errors."""
        mover = self.policy.variance_policy
        if mover is None:
            return state
        # The batch's own mean: its weights sum to 1 only in the mean of batches.
        own = _mean(error, weight.sum() if fraction is None else fraction)
        moved: PolicyState = mover.move_variance(state, own, trained, self.floor)
        return moved


#: Values of the step, the gradient of the decoder's output, and a function from the
#: gradient of the latents to that of the encoder's output.
_Middle = tuple[Step, Tensor, Callable[[Tensor], Tensor]]


def _mean(error: Tensor, fraction: Tensor | None) -> Tensor:
    """Mean error over the observed fraction of a column; 0 if the batch has no cell.

    Or over the weight of the batch, which may be too small for its precision.
    """
    if fraction is None:
        return error
    return error / fraction.clamp(min=torch.finfo(error.dtype).tiny)
