"""Encoder, decoder and prior: from a batch of rows to the terms of the objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skvae._linear_model import LinearWeights
from skvae.balance._base import BalancePolicy, Terms
from skvae.divergences._base import Divergence, Draws
from skvae.divergences._posterior import POSTERIORS, FullPosterior, Posterior
from skvae.likelihoods._base import Likelihood
from skvae.networks._base import Network, Weights


@dataclass(frozen=True)
class Sample:
    """What the model makes of a batch with one set of noise."""

    posterior: Posterior | FullPosterior
    z: Tensor
    """Of shape (n_replicas, n_draws, n_rows, n_components)."""
    noise: Tensor
    x: Tensor
    """As often as there are draws, block after block, like what follows."""
    parameters: dict[str, Tensor]
    weight: Tensor


class Module:
    """A variational autoencoder as functions of its weights, for R replicas at once.

    Parameters
    ----------
    network : Network
        Specification of encoder and decoder.
    likelihood : Likelihood
        p(x given z).
    divergence : Divergence
        What beta weighs.
    n_features, n_components : int
        Widths of a row and of its latents.
    """

    def __init__(
        self,
        network: Network,
        likelihood: Likelihood,
        divergence: Divergence,
        n_features: int,
        n_components: int,
    ) -> None:
        self.likelihood = likelihood
        self.divergence = divergence
        self.n_features = n_features
        self.n_components = n_components
        self.encoder = network.encoder(n_features, n_components)
        self.posterior = POSTERIORS[network.posterior]
        self.decoder = network.decoder(
            n_components, likelihood.n_parameters(n_features)
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, without the replica axis."""
        return {**self.encoder.shapes, **self.decoder.shapes}

    @property
    def cells_per_row(self) -> int:
        """Numbers that the widest layers hold for a row, to bound memory by."""
        widths = (shape[-1] for shape in self.shapes.values())
        # A layer's output and its activation are there at the same time.
        return 2 * max(*widths, self.n_features)

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Start values without the replica axis, in float64 on the CPU."""
        return {
            **self.encoder.init(generator, start),
            **self.decoder.init(generator, start),
        }

    def encode(self, weights: Weights, x: Tensor) -> Posterior | FullPosterior:
        """Posterior of rows of shape (n_rows, n_features), shared by all replicas."""
        return self.posterior.from_output(self.encoder(weights, x), self.n_components)

    def decode(self, weights: Weights, z: Tensor) -> dict[str, Tensor]:
        """Parameters of the likelihood at latents of each replica."""
        return self.likelihood.unpack(self.decoder(weights, z))

    def sample(
        self, weights: Weights, x: Tensor, weight: Tensor, noise: Tensor
    ) -> Sample:
        """Encode rows, draw latents and decode them.

        Parameters
        ----------
        weights : dict of str to Tensor
            Replica axis first.
        x : Tensor of shape (n_rows, n_features)
            The same rows for all replicas.
        weight : Tensor of shape (n_rows,)
            Weight of each row in the batch mean.
        noise : Tensor of shape (n_draws, n_rows, n_components)
            Standard normal; each row is decoded once for each draw. An axis of rows
            of length 1 gives the same noise to all rows.
        """
        posterior = self.encode(weights, x)
        n_draws = len(noise)
        z = posterior.sample(noise[:, None]).transpose(0, 1)
        if n_draws > 1:
            x = x.repeat(n_draws, 1)
            drawn_weight = weight.repeat(n_draws) / n_draws
        else:
            drawn_weight = weight
        # The draws of a row follow each other as blocks of rows, so that one matrix
        # product decodes them all.
        parameters = self.decode(weights, z.flatten(1, 2))
        return Sample(posterior, z, noise, x, parameters, drawn_weight)

    def error(self, sample: Sample) -> Tensor | None:
        """Mean error of each feature, of shape (n_replicas, n_features)."""
        return self.likelihood.expected_error(
            sample.x, sample.parameters, sample.weight
        )

    def log_likelihood(self, sample: Sample, variance: Tensor) -> Tensor:
        """Log-likelihood of each draw, of shape (n_replicas, n_draws, n_rows)."""
        cells = self.likelihood.log_prob(sample.x, sample.parameters, variance)
        return cells.sum(dim=-1).unflatten(1, sample.z.shape[1:3])

    def terms(
        self,
        sample: Sample,
        error: Tensor | None,
        variance: Tensor,
        weight: Tensor,
        n_rows: int | None = None,
    ) -> Terms:
        """Terms of the objective on a batch from a table of `n_rows` rows.

        None says that the batch is the whole table.
        """
        kl = sample.posterior.kl()
        if error is None:
            distortion = self.likelihood.distortion(
                sample.x, sample.parameters, sample.weight
            )
        else:
            distortion = self.likelihood.distortion_from_error(error, variance)
        log_likelihood = None
        if self.divergence.needs_log_likelihood:
            log_likelihood = self.log_likelihood(sample, variance)
        draws = Draws(
            posterior=sample.posterior,
            z=sample.z,
            noise=sample.noise,
            kl=kl,
            weight=weight,
            n_rows_of_table=len(weight) if n_rows is None else n_rows,
            log_likelihood=log_likelihood,
        )
        return Terms(
            distortion=distortion,
            divergence=self.divergence(draws),
            kl=kl,
            weight=weight,
        )

    def step_terms(
        self,
        weights: Weights,
        x: Tensor,
        weight: Tensor,
        noise: Tensor,
        policy: BalancePolicy,
        state: Any,
        floor: Tensor,
        n_rows: int | None = None,
    ) -> tuple[Terms, Any, Tensor | None]:
        """Terms of a training step, with the variance where the policy wants it."""
        sample = self.sample(weights, x, weight, noise)
        error = self.error(sample)
        if error is not None:
            # The batch's own mean: its weights sum to 1 only in the mean of batches.
            mean_error = error.detach() / weight.sum()
            state = policy.move_variance(state, mean_error, weights, floor)
        terms = self.terms(sample, error, state.variance, weight, n_rows)
        return terms, state, error
