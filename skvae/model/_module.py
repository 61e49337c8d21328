"""Encoder, decoder and prior: from a batch of rows to the terms of the objective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.balance._base import Terms
from skvae.divergences._base import Divergence, Draws
from skvae.divergences._posterior import POSTERIORS, FullPosterior, Posterior
from skvae.ground._tensors import cell_weights, columns_of, weighted_total
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._groups import groups_of
from skvae.likelihoods._level_frequencies import LevelFrequencies
from skvae.linear._model import LinearWeights
from skvae.networks._base import Network, Weights
from skvae.networks._inputs import Inputs

Floats = NDArray[np.floating]

# Prefix, among the weights, of the names of parameters that all rows share.
_SHARED = "likelihood."


@dataclass(frozen=True)
class Sample:
    """A batch, encoded and decoded with one set of noise."""

    posterior: Posterior | FullPosterior
    z: Tensor
    """Latents, of shape (n_replicas, n_draws, n_rows, n_components)."""
    noise: Tensor
    x: Tensor
    """Rows, repeated for each draw, block after block, like the next two."""
    parameters: dict[str, Tensor]
    weight: Tensor
    """Weight of cells, of shape (n_rows, 1), or (n_rows, n_features) where some
    are missing."""
    observed: Tensor | None = None
    """Cells that are not missing; None where none are."""


class Module:
    """A variational autoencoder as functions of its weights, for R replicas at once.

    Parameters
    ----------
    network : Network
        Specification of encoder and decoder.
    likelihood : Likelihood
        p(x given z).
    divergence : Divergence
        Divergence of the posterior from the prior that beta weighs.
    n_features, n_components : int
        Widths of a row and of its latents.
    masked : tuple of int, default=()
        Columns that get a missingness indicator as an input of the encoder.
    """

    def __init__(
        self,
        network: Network,
        likelihood: Likelihood,
        divergence: Divergence,
        n_features: int,
        n_components: int,
        masked: tuple[int, ...] = (),
    ) -> None:
        self.masked = masked
        self.likelihood = likelihood
        self.divergence = divergence
        self.n_features = n_features
        self.n_components = n_components
        self.dispersion = likelihood.column_dispersion(n_features)
        self._without_dispersion = [
            group
            for group in groups_of(likelihood, n_features)
            if group.likelihood.column_dispersion(len(group.columns)) is None
        ]
        self.level_frequencies = LevelFrequencies(self._without_dispersion)
        n_inputs = Inputs(likelihood.input_columns(n_features), masked)
        self.encoder = network.encoder(n_inputs, n_components)
        self.posterior = POSTERIORS[network.posterior]
        self.decoder = network.decoder(
            n_components, likelihood.n_parameters(n_features)
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, without the replica axis."""
        return {**self.encoder.shapes, **self.decoder.shapes}

    @property
    def noise_width(self) -> int:
        """Numbers of noise that a row takes in a training step, for each draw."""
        of_layers = {**self.encoder.noise_widths, **self.decoder.noise_widths}
        return self.n_components + sum(of_layers.values())

    @property
    def cells_per_row(self) -> int:
        """Numbers that the widest layers hold for a row, to bound memory by."""
        of_layers = self.encoder.cells_per_row, self.decoder.cells_per_row
        # A layer's output and its activation are there at the same time.
        return 2 * max(*of_layers, self.n_features)

    def init(
        self,
        generator: torch.Generator,
        start: LinearWeights | None = None,
        bias: Tensor | None = None,
    ) -> Weights:
        """Start values without the replica axis, in float64 on the CPU.

        Without a linear model to start at, the decoder starts at `bias`, if that is
        given.
        """
        drawn = {
            **self.encoder.init(generator, start),
            **self.decoder.init(generator, start),
        }
        if start is None and bias is not None:
            self.decoder.set_bias(drawn, bias)
        return {name: drawn[name] for name in self.shapes}

    def inputs(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Inputs of the encoder: cells, and missingness indicators."""
        inputs = self.likelihood.inputs(x, observed)
        if not self.masked:
            return inputs
        if observed is None:
            gaps = x.new_zeros((*x.shape[:-1], len(self.masked)))
        else:
            masked = np.array(self.masked, dtype=np.intp)
            gaps = (~columns_of(observed, masked)).to(x)
        return torch.cat([inputs, gaps], dim=-1)

    def encode(
        self, weights: Weights, x: Tensor, observed: Tensor | None = None
    ) -> Posterior | FullPosterior:
        """Posterior of rows of shape (n_rows, n_features), shared by all replicas."""
        output = self.encoder(weights, self.inputs(x, observed))
        return self.posterior.from_output(output, self.n_components)

    def decode(self, weights: Weights, z: Tensor) -> dict[str, Tensor]:
        """Parameters of the likelihood at latents of each replica."""
        return self.parameters(weights, self.decoder(weights, z))

    def parameters(self, weights: Weights, decoded: Tensor) -> dict[str, Tensor]:
        """Parameters of each cell, and those that all rows share."""
        shared = {
            name.removeprefix(_SHARED): weight[:, None]
            for name, weight in weights.items()
            if name.startswith(_SHARED)
        }
        return {**self.likelihood.unpack(decoded), **shared}

    def shared(self, center: Floats, scale: Floats) -> Weights:
        """Start values of the parameters that all rows share, in float64."""
        found = self.likelihood.feature_parameters(center, scale)
        return {
            f"{_SHARED}{name}": torch.tensor(value, dtype=torch.float64)
            for name, value in found.items()
        }

    def sample(
        self,
        weights: Weights,
        x: Tensor,
        weight: Tensor,
        noise: Tensor,
        observed: Tensor | None = None,
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
        observed : Tensor of shape (n_rows, n_features), dtype=bool, or None
            Cells that are not missing; the others hold 0.
        """
        posterior = self.encode(weights, x, observed)
        z = self.draw(posterior, noise)
        # The draws of a row follow each other as blocks of rows, so that one matrix
        # product decodes them all.
        parameters = self.decode(weights, z.flatten(1, 2))
        return self.sampled(posterior, z, noise, x, parameters, weight, observed)

    def sampled(
        self,
        posterior: Posterior | FullPosterior,
        z: Tensor,
        noise: Tensor,
        x: Tensor,
        parameters: dict[str, Tensor],
        weight: Tensor,
        observed: Tensor | None,
    ) -> Sample:
        """Sample of a batch from its parts."""
        n_draws = len(noise)
        x, weight, observed = self.repeated(x, weight, observed, n_draws)
        return Sample(posterior, z, noise, x, parameters, weight, observed)

    def draw(self, posterior: Posterior | FullPosterior, noise: Tensor) -> Tensor:
        """Latents, of shape (n_replicas, n_draws, n_rows, n_components)."""
        return posterior.sample(noise[:, None]).transpose(0, 1)

    def repeated(
        self, x: Tensor, weight: Tensor, observed: Tensor | None, n_draws: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Rows, weights of their cells and which are observed, once for each draw."""
        if n_draws > 1:
            x, weight = x.repeat(n_draws, 1), weight.repeat(n_draws) / n_draws
            observed = None if observed is None else observed.repeat(n_draws, 1)
        return x, cell_weights(weight, observed), observed

    def error(self, sample: Sample) -> Tensor | None:
        """Mean error of each column with a dispersion, (n_replicas, n_dispersed)."""
        if self.dispersion is None:
            return None
        return self.dispersion.mean_error(sample.x, sample.parameters, sample.weight)

    def observed_fraction(self, sample: Sample) -> Tensor | None:
        """Observed fraction of each column with a dispersion, by weight of rows.

        None where no cell is missing, and where no column has one.
        """
        if sample.observed is None or self.dispersion is None:
            return None
        fraction = sample.weight.sum(dim=0)
        if not self._without_dispersion:
            return fraction
        return columns_of(fraction, np.flatnonzero(self.dispersion.columns))

    def distortion(
        self, sample: Sample, error: Tensor | None, variance: Tensor
    ) -> Tensor:
        """Distortion of each replica, of shape (n_replicas,)."""
        return self.total_distortion(
            error,
            self.observed_fraction(sample),
            variance,
            self.fixed_distortion(sample),
        )

    def total_distortion(
        self,
        error: Tensor | None,
        observed_fraction: Tensor | None,
        variance: Tensor,
        fixed: Tensor | None,
    ) -> Tensor:
        """Distortion of each replica from that of columns with a dispersion and others.

        Parameters
        ----------
        error, observed_fraction : Tensor or None
            As `error` and `observed_fraction` return them.
        variance : Tensor of shape (n_replicas, 1 or n_dispersed)
        fixed : Tensor of shape (n_replicas,) or None
            As `fixed_distortion` returns it.
        """
        if self.dispersion is None or error is None:
            assert fixed is not None
            return fixed
        found = self.dispersion.distortion(
            error, variance, 1.0 if observed_fraction is None else observed_fraction
        )
        return found if fixed is None else found + fixed

    def fixed_distortion(self, sample: Sample) -> Tensor | None:
        """Distortion of the columns without a dispersion, (n_replicas,), if any."""
        no_variance = sample.x.new_empty((1, 0))
        found = [
            -weighted_total(
                group.likelihood.log_prob(
                    group.of(sample.x), group.own(sample.parameters), no_variance
                ),
                group.of(sample.weight),
            )
            for group in self._without_dispersion
        ]
        return sum(found[1:], start=found[0]) if found else None

    def excess(self, sample: Sample) -> Tensor | None:
        """Nats of each column of levels above its frequencies; None without any."""
        if not self.level_frequencies.groups:
            return None
        return self.level_frequencies.excess(sample.x, sample.parameters, sample.weight)

    def log_likelihood(self, sample: Sample, variance: Tensor) -> Tensor:
        """Log-likelihood of each draw, of shape (n_replicas, n_draws, n_rows)."""
        of_rows = self.log_likelihood_of_rows(
            sample.x, sample.parameters, sample.observed, variance
        )
        return of_rows.unflatten(1, sample.z.shape[1:3])

    def log_likelihood_of_rows(
        self,
        x: Tensor,
        parameters: dict[str, Tensor],
        observed: Tensor | None,
        variance: Tensor,
    ) -> Tensor:
        """Log-likelihood of what is observed of each row, (n_replicas, n_rows)."""
        cells = self.likelihood.log_prob(x, parameters, variance)
        if observed is not None:
            cells = cells * observed
        return cells.sum(dim=-1)

    def terms(
        self,
        sample: Sample,
        error: Tensor | None,
        variance: Tensor,
        weight: Tensor,
        n_rows: int | None = None,
        kl: Tensor | None = None,
    ) -> Terms:
        """Terms of the objective on a batch from a table of `n_rows` rows.

        Without `n_rows` the batch is the whole table; without `kl` the KL divergence of
        rows and latents is computed here.
        """
        if kl is None:
            kl = sample.posterior.kl()
        distortion = self.distortion(sample, error, variance)
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
