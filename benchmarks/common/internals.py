"""Everything that the benchmarks use of skvae beside its public interface."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch

from skvae import training
from skvae.balance import RunningAverage, Sizes
from skvae.data import _large, _mapped
from skvae.data._rows import Rows
from skvae.divergences import KL
from skvae.fit import _windows
from skvae.fitted._access import admitted
from skvae.learning_rates import Constant
from skvae.likelihoods import ByColumns, Gaussian
from skvae.model._calibration import Calibration
from skvae.model._evaluate import quadrature
from skvae.model._module import Module
from skvae.path._beta_grid import beta_grid

# The least decoder variance.
FLOOR = 1e-6


def training_pass(x, network, batch_size, n_components, learning_rate, n_replicas=1):
    """A function that trains for one pass over rows, the variance included."""
    n_rows, n_features = x.shape
    module = Module(network, Gaussian(), KL(), n_features, n_components)
    policy, ones = RunningAverage(scope="feature"), torch.ones(n_features)
    sizes = Sizes(n_replicas, n_features, n_components, ones[:1], ones)
    betas, floor = torch.ones(n_replicas), FLOOR * ones
    state = training.init(module, policy, sizes, betas, floor, seed=0)
    plan = training.Plan(
        n_epochs=1,
        n_planned_epochs=1,
        steps_per_epoch=n_rows // batch_size,
        batch_size=batch_size,
        n_draws=1,
        schedule=Constant(),
        learning_rate=learning_rate,
        weight_decay=0.0,
        patience=None,
        tolerance=0.0,
    )
    task = training.Task(state, _rows(torch.from_numpy(x)))
    return lambda: training.train(module, policy, task, plan, None)


def modules_of(network, n_features, n_components):
    """The torch modules of a network: its encoder, and its decoder without offset."""
    decoder = network.decoder(n_components, n_features)
    return network.encoder(n_features, n_components).module, decoder.inner.module


def _rows(x):
    return Rows(x, torch.full((len(x),), 1.0 / len(x)))


def quadrature_nodes(n_components, *n_nodes):
    """Points at which a row is decoded, by default those of `score_samples`."""
    return torch.tensor(quadrature(n_components, *n_nodes)).float()


def log_probability(vae, X, steps, n_samples):
    """Log-likelihood of rows, with a probability for each number in place of a density.

    It is that of a step around the number, in which it was recorded.

    Parameters
    ----------
    vae : BalancedVAE
        Fitted, with Gaussian columns and others that have probabilities.
    X : DataFrame
    steps : ndarray of shape (n_features,)
        Step of each Gaussian column in the units of X, 1 for all others.
    n_samples : int
    """
    fitted, rows = admitted(vae, X)
    view = fitted.view
    if view.scores is not None:
        # Values of several rows have a probability already.
        is_density = ~(view.scores.is_atom(rows) | np.isnan(rows))
        return vae.log_likelihood(X, n_samples) + is_density @ np.log(steps)
    scaled = steps / view.scaling.scale
    spec = fitted.spec._replace(likelihood=_in_steps(fitted.spec.likelihood, scaled))
    model = replace(fitted, spec=spec).on(vae.device)
    nats = model.log_likelihood(rows, n_samples)
    # Of probabilities, which are the same in all units.
    return nats + np.where(np.isnan(rows), 0.0, view.log_jacobian(rows)).sum(axis=1)


class _InSteps(Gaussian):
    """A Gaussian with the probability of a step around each value."""

    def log_prob(self, x, parameters, variance):
        std = variance.sqrt()[:, None]
        half = 0.5 * self.tensor("steps_", x)
        away = (x - parameters["mean"]).abs()
        # In the lower half, where probabilities do not round to 1.
        low, high = ((-away + side * half) / std for side in (-1.0, 1.0))
        first, second = (torch.special.log_ndtr(end) for end in (low, high))
        density = super().log_prob(x, parameters, variance) + (2.0 * half).log()
        is_narrow = (high - low) * (1.0 + away / std) < 1e-2
        ratio = torch.where(is_narrow, -1.0, first - second)
        return torch.where(is_narrow, density, second + (-ratio.expm1()).log())


def _in_steps(likelihood, steps):
    """A fitted likelihood with steps in place of densities."""
    if isinstance(likelihood, ByColumns):
        groups = [(_in_steps(one, steps[at]), at) for one, at in likelihood.groups]
        found = ByColumns(groups)
        found.dispersion_ = found.column_dispersion(len(steps))
        return found
    if isinstance(likelihood, Gaussian):
        found = _InSteps(likelihood.variance, likelihood.floor)
        found.mean_, found.steps_ = likelihood.mean_, steps
        return found
    return likelihood


def betas_of(vae, X, n_betas):
    """The betas that a path takes by default."""
    return beta_grid(vae, X, None, n_betas)


def calibration(fitted, held_out, prior):
    """A function from errors of fitted and held-out rows to two decoder variances.

    One is for all columns, the other has one for each.
    """
    floor = torch.full((fitted.shape[1],), FLOOR)
    prior = torch.tensor(prior).clamp(min=FLOOR)[None]
    rows, others = _rows(fitted), _rows(held_out)
    scopes = "shared", "feature"
    both = [Calibration.of(scope, floor, prior, rows, others) for scope in scopes]
    return lambda error, new: [each(error[None], new[None])[0] for each in both]


@contextmanager
def reading_in_blocks(n_bytes):
    """Read every mapped array in blocks, into a window of so many bytes."""
    with (
        patch.object(_large, "_SMALL", 0),
        patch.object(_mapped, "_BLOCK", n_bytes // 256),
        patch.object(_windows, "_WINDOW", n_bytes),
    ):
        yield
