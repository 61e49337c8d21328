"""Everything that the benchmarks use of skvae beside its public interface."""

import torch

from skvae import training
from skvae.balance import RunningAverage, Sizes
from skvae.data._rows import Rows
from skvae.divergences import KL
from skvae.learning_rates import Constant
from skvae.likelihoods import Gaussian
from skvae.model._calibration import Calibration
from skvae.model._evaluate import quadrature
from skvae.model._module import Module
from skvae.networks import MLP
from skvae.path._beta_grid import beta_grid

# The least decoder variance.
FLOOR = 1e-6


def training_pass(x, hidden, batch_size, n_components, learning_rate, n_replicas=1):
    """A function that trains for one pass over rows, the variance included."""
    n_rows, n_features = x.shape
    module = Module(MLP(hidden), Gaussian(), KL(), n_features, n_components)
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


def _rows(x):
    return Rows(x, torch.full((len(x),), 1.0 / len(x)))


def quadrature_nodes(n_components, *n_nodes):
    """Points at which a row is decoded, by default those of `score_samples`."""
    return torch.tensor(quadrature(n_components, *n_nodes)).float()


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
