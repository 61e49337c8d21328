"""The trained model: encodes, decodes, scores and draws, from arrays to arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import wraps
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skvae.data._rows import chunks
from skvae.data._view import TableView
from skvae.divergences._posterior import FullPosterior, Posterior
from skvae.fitted._drawn_posterior import drawn_sample, ranks_of_draws
from skvae.model._device import missing_named
from skvae.model._evaluate import quadrature
from skvae.model._module import Module, Sample
from skvae.networks._base import Weights
from skvae.priors._base import Prior

Floats = NDArray[np.floating]

Given = ParamSpec("Given")
Result = TypeVar("Result")

# Draws of rows that are decoded at a time, if memory is to hold them.
_PER_PASS = 100


class Scored(NamedTuple):
    """Scores of rows from one encoding, in nats but for the latents."""

    rate: Floats
    """Rate of each row, of shape (n_samples,)."""
    distortion: Floats
    """Distortion of each row in the units of X, of shape (n_samples,)."""
    mean: Floats
    """Posterior mean, shape (n_samples, n_components)."""


def on_its_device(
    method: Callable[Concatenate[Model, Given], Result],
) -> Callable[Concatenate[Model, Given], Result]:
    """Method without gradients, whose errors name an operation that is missing.

    It is one of `Model`, or a function whose first argument is a model.
    """

    @wraps(method)
    def call(model: Model, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        with torch.no_grad(), missing_named(model.scored_variance.device):
            return method(model, *args, **kwargs)

    return call


@dataclass
class Model:
    """A trained model in one precision on one device.

    Methods work through their rows in chunks, so that the memory they need beyond
    input and output is bounded by about a million cells.

    Attributes
    ----------
    module : Module
        The functions.
    view : TableView
        Conversion between X and the model's inputs.
    prior : Prior
        p(z).
    weights : dict of str to Tensor
        The weights, with an axis of one replica.
    scored_variance : Tensor of shape (1, 1 or n_dispersed)
        The decoder variance to score with.
    """

    module: Module
    view: TableView
    prior: Prior
    weights: Weights
    scored_variance: Tensor

    def tensor(self, array: Floats) -> Tensor:
        """Array on the device and in the precision of the model."""
        return tensor_beside(self.scored_variance, array)

    @property
    def numpy_dtype(self) -> np.dtype:
        """Precision of the model, as numpy calls it."""
        return np.dtype(str(self.scored_variance.dtype).removeprefix("torch."))

    def chunks(self, n_rows: int, n_draws: int = 1) -> list[slice]:
        """Slices of rows that fit into the memory bound."""
        return chunks(n_rows, n_draws * self.module.cells_per_row)

    @on_its_device
    def encode(self, X: Floats) -> Floats:
        """Posterior means, of shape (n_samples, n_components)."""
        Z = np.empty((len(X), self.module.n_components), X.dtype)
        for rows in self.chunks(len(X)):
            posterior = self.module.encode(self.weights, *self.seen(X[rows]))
            Z[rows] = posterior.mean[0].cpu().numpy()
        return Z

    @on_its_device
    def posterior(self, X: Floats) -> Posterior | FullPosterior:
        """Posterior of every row, of one replica, on the CPU."""
        found = []
        for rows in self.chunks(len(X)):
            found.append(self.module.encode(self.weights, *self.seen(X[rows])))
        fields = (torch.cat(parts, dim=1).cpu() for parts in zip(*found, strict=True))
        return type(found[0])(*fields)

    @on_its_device
    def decode(self, Z: Floats) -> Floats:
        """Decoder means in the units of X, of shape (n_samples, n_features)."""
        X = np.empty((len(Z), self.module.n_features), Z.dtype)
        for rows in self.chunks(len(Z)):
            parameters = self.module.decode(self.weights, self.tensor(Z[rows])[None])
            X[rows] = self._reconstructed(parameters)[0]
        return X

    def draw(self, n_samples: int, random_state: np.random.RandomState) -> Floats:
        """Rows from p(z) p(x given z), of shape (n_samples, n_features)."""
        return self.draw_at(*self.latents(n_samples, random_state))

    def latents(
        self, n_samples: int, random_state: np.random.RandomState
    ) -> tuple[Tensor, int]:
        """Latents from p(z), (n_samples, n_components), and a seed for `draw_at`."""
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        return self.tensor(self.prior.sample(n_samples, random_state)), seed

    @on_its_device
    def draw_at(self, z: Tensor, seed: int) -> Floats:
        """Rows from p(x given z), one for each row of latents, in the units of X."""
        X = np.empty((len(z), self.module.n_features))
        for rows in self.chunks(len(z)):
            parameters = self.module.decode(self.weights, z[rows][None])
            x = self.module.likelihood.sample(
                parameters, self.scored_variance, seed + rows.start
            )
            X[rows] = self.to_user(x[0])
        return X

    @on_its_device
    def score(self, X: Floats) -> Scored:
        """Rate, posterior mean and distortion of rows.

        The expectation under the posterior is a fixed quadrature, the same for all
        rows, so that a row's score depends on nothing but the row.
        """
        rate, distortion = np.empty(len(X), X.dtype), np.empty(len(X), X.dtype)
        mean = np.empty((len(X), self.module.n_components), X.dtype)
        for rows, sample, cells in self._scored(X):
            nats = self.prior.rate(sample.posterior, sample.z, sample.noise)
            rate[rows] = nats[0].cpu().numpy()
            distortion[rows] = cells.astype(X.dtype, copy=False).sum(axis=1)
            mean[rows] = sample.posterior.mean[0].cpu().numpy()
        return Scored(rate, distortion, mean)

    @on_its_device
    def score_cells(self, X: Floats) -> Floats:
        """Distortion of each cell in the units of X, (n_samples, n_features)."""
        found = np.empty(X.shape, X.dtype)
        for rows, _, cells in self._scored(X):
            found[rows] = cells
        return found

    @torch.no_grad()
    def _scored(self, X: Floats) -> Iterator[tuple[slice, Sample, Floats]]:
        """Chunks of rows: their slice, their sample, and the distortion of cells."""
        noise = self.tensor(quadrature(self.module.n_components))[:, None]
        for rows in self.chunks(len(X), len(noise)):
            sample = self.sample(X[rows], noise)
            log_prob = self.module.likelihood.log_prob(
                sample.x, sample.parameters, self.scored_variance
            )
            nats = -log_prob[0].unflatten(0, sample.z.shape[1:3]).mean(dim=0)
            yield rows, sample, self.in_units_of_x(nats, X[rows])

    @on_its_device
    def explained(self, X: Floats, *, by_each: bool = True) -> Floats:
        """Nats by which the distortion of each row rises without its latents.

        A latent that is taken away is put to 0, its mean under the prior, while the
        others are drawn from the posterior as before. The decoder stays as it is.

        Returns
        -------
        nats : ndarray of shape (n_samples, n_components + 1) or (n_samples, 1)
            Without each of the latents, if `by_each`, and, last, without all of them.
        """
        n_components = self.module.n_components
        noise = self.tensor(quadrature(n_components))[:, None]
        # Latents that are kept: all but one, or none.
        n_kept = n_components + 1 if by_each else 1
        kept = 1.0 - torch.eye(n_kept, n_components)
        kept[-1] = 0.0
        nats = np.empty((len(X), n_kept), X.dtype)
        for rows in self.chunks(len(X), len(noise)):
            sample = self.sample(X[rows], noise)
            whole = self.module.log_likelihood(sample, self.scored_variance)[0]
            # Without latents all draws of a row are the same.
            draws = [sample] * (n_kept - 1) + [self.sample(X[rows], noise[:1])]
            masks = kept.to(sample.z)
            for column, (mask, drawn) in enumerate(zip(masks, draws, strict=True)):
                z = drawn.z * mask
                parameters = self.module.decode(self.weights, z.flatten(1, 2))
                less = replace(drawn, z=z, parameters=parameters)
                without = self.module.log_likelihood(less, self.scored_variance)[0]
                rise = whole.mean(dim=0) - without.mean(dim=0)
                nats[rows, column] = rise.cpu().numpy()
        return nats

    @on_its_device
    def log_likelihood(self, X: Floats, n_importance_samples: int) -> Floats:
        """Importance-weighted bound on log p(x), of shape (n_samples,), in nats.

        All rows use the same draws, and fewer draws are the first of more.
        """
        # RandomState: the streams of newer generators may change with numpy.
        draws = np.random.RandomState(0).standard_normal(
            (n_importance_samples, self.module.n_components)
        )
        noise = self.tensor(draws)[:, None]
        bound = np.empty(len(X), X.dtype)
        for rows in self.chunks(len(X), min(n_importance_samples, _PER_PASS)):
            n_rows = len(X[rows])
            per_pass = max(1, self.chunks(1)[0].stop // n_rows)
            if self.view.scores is not None:
                # The posterior is a mixture over the draws of a pass.
                per_pass = _PER_PASS
            nats = torch.stack(
                [
                    self.log_weights(self.sample(X[rows], part)).logsumexp(dim=0)
                    for part in noise.split(per_pass)
                ]
            )
            jacobian = self.in_units_of_x(nats.new_zeros((n_rows, 1)), X[rows])
            bound[rows] = (
                nats.logsumexp(dim=0).cpu().numpy()
                - math.log(n_importance_samples)
                - jacobian.sum(axis=1)
            )
        return bound

    def seen(self, X: Floats) -> tuple[Tensor, Tensor | None]:
        """Rows as the model sees them, and which cells are not missing, if any are."""
        x, observed = self.view.seen(X)
        if observed is None:
            return self.tensor(x), None
        device = self.scored_variance.device
        return self.tensor(x), torch.from_numpy(observed).to(device)

    def sample(self, X: Floats, noise: Tensor) -> Sample:
        """Encode rows, draw latents and decode them.

        With atoms, each draw of latents has its own draw within these.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        noise : Tensor of shape (n_draws, 1, n_components)
            Standard normal, the same for all rows.
        """
        x, observed = self.seen(X)
        scores = self.view.scores
        if scores is None or not scores.has_atoms:
            ones = x.new_ones(len(x))
            return self.module.sample(self.weights, x, ones, noise, observed)
        drawn, _ = scores.drawn(X, ranks_of_draws(len(noise), X.shape[1])[:, None])
        u = self.tensor(drawn)
        return drawn_sample(self.module, self.weights, x, u, noise, observed)

    def log_joint(self, z: Tensor, x: Tensor, observed: Tensor | None) -> Tensor:
        """Log p(observed cells, z) at several latents of each row.

        Parameters
        ----------
        z : Tensor of shape (n_draws, n_rows, n_components)
        x : Tensor of shape (n_rows, n_features)
            As the model sees them.
        observed : Tensor of shape (n_rows, n_features), dtype=bool, or None

        Returns
        -------
        log_joint : Tensor of shape (n_draws, n_rows)
        """
        parameters = self.module.decode(self.weights, z.flatten(0, 1)[None])
        x, _, observed = self.module.repeated(x, x.new_ones(len(x)), observed, len(z))
        log_likelihood = self.module.log_likelihood_of_rows(
            x, parameters, observed, self.scored_variance
        )
        return log_likelihood[0].unflatten(0, z.shape[:2]) + self.prior.log_prob(z)

    def to_user(self, x: Tensor) -> Floats:
        """Drawn cells in the units of X."""
        # In float64, as X may be beyond the range of the model's own precision.
        return self.view.in_range(self.view.to_user(x.cpu().double().numpy()))

    def in_units_of_x(self, nats: Tensor, X: Floats) -> Floats:
        """Distortion of cells in the units of X, from that in the model's units."""
        cells = nats.cpu().numpy() + self.view.log_jacobian(X)
        # Missing cells contribute no distortion.
        return np.where(np.isnan(X), 0.0, cells)

    def _reconstructed(self, parameters: dict[str, Tensor]) -> Floats:
        """Reconstruction of each cell in the units of X, replica axis first."""
        scaling = self.view.scaling
        found = self.module.likelihood.reconstruction(
            parameters, self.scored_variance, scaling.center, scaling.user_scale
        )
        return self.view.in_range(found.cpu().numpy(), self.numpy_dtype)

    def log_weights(self, sample: Sample) -> Tensor:
        """Log of the importance weight of each draw, of shape (n_draws, n_rows)."""
        log_likelihood = self.module.log_likelihood(sample, self.scored_variance)
        log_prior = self.prior.log_prob(sample.z)
        log_ratio = log_prior - sample.posterior.log_prob(sample.noise)
        return (log_likelihood + log_ratio)[0]


def tensor_beside(like: Tensor, array: Floats) -> Tensor:
    """Copy of an array, which may be read-only, beside a tensor."""
    return torch.tensor(array, dtype=like.dtype, device=like.device)
