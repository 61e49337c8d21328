"""A network of one's own, whose functions only define shapes, init and __call__."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import POLICIES
from skvae.divergences import DIVERGENCES
from skvae.networks import MLP, Function, Network

X = load_wine().data[:, :6]


class Bare(Function):
    """The function of another one, without its derivatives."""

    def __init__(self, function):
        self.function = function
        self.shapes = function.shapes

    def init(self, generator, start=None):
        return self.function.init(generator, start)

    def __call__(self, weights, x):
        return self.function(weights, x)


class BareMLP(Network):
    """The functions of an MLP, without their derivatives."""

    def __init__(self, hidden_layer_sizes=(8,), posterior="diagonal"):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.posterior = posterior

    @property
    def starts_linear(self):
        return True

    @property
    def mlp(self):
        return MLP(self.hidden_layer_sizes, posterior=self.posterior)

    def encoder(self, n_inputs, n_components):
        return Bare(self.mlp.encoder(n_inputs, n_components))

    def decoder(self, n_components, n_outputs):
        return Bare(self.mlp.decoder(n_components, n_outputs))


class Tanh(Function):
    """One layer, written as in the documentation of `Function`."""

    def __init__(self, name, n_inputs, n_outputs):
        self.weight, self.bias = f"{name}.weight", f"{name}.bias"
        self.shapes = {self.weight: (n_inputs, n_outputs), self.bias: (n_outputs,)}

    def init(self, generator, start=None):
        shape = self.shapes[self.weight]
        weight = torch.randn(shape, generator=generator, dtype=torch.float64)
        bias = torch.zeros(shape[1], dtype=torch.float64)
        return {self.weight: 0.1 * weight, self.bias: bias}

    def __call__(self, weights, x):
        return (x @ weights[self.weight] + weights[self.bias][:, None]).tanh()


class Small(Network):
    """Single layers."""

    def encoder(self, n_inputs, n_components):
        return Tanh("encoder", n_inputs, 2 * n_components)

    def decoder(self, n_components, n_outputs):
        return Tanh("decoder", n_components, n_outputs)


def fit(X=X, **params):
    # Normalized keeps no latent at a beta of 1.
    settings = {
        "hidden_layer_sizes": (8,),
        "batch_size": 50,
        "beta": 0.3,
        "max_iter": 2,
        "tol": 1e3,
        "precision": "float64",
        "random_state": 0,
    }
    return BalancedVAE(2, **{**settings, **params}).fit(X)


def assert_same_fit(one, other):
    np.testing.assert_allclose(one.transform(X), other.transform(X), atol=1e-8)
    assert one.elbo_ == pytest.approx(other.elbo_, abs=1e-8)
    for name, entries in other.history_.items():
        np.testing.assert_allclose(one.history_[name], entries, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("balance", POLICIES)
def test_training_is_that_with_derivatives_written_down(balance):
    target = {"balance__target": 1.5} if balance in {"capacity", "control"} else {}
    policy = POLICIES[balance]().set_params(
        **{name.removeprefix("balance__"): value for name, value in target.items()}
    )
    assert_same_fit(fit(network=BareMLP(), balance=policy), fit(balance=policy))


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_divergences_and_posteriors(divergence, posterior):
    params = {"divergence": divergence, "balance": "constant"}
    bare, written = (
        fit(network=network((8,), posterior=posterior), **params)
        for network in (BareMLP, MLP)
    )
    assert_same_fit(bare, written)


def test_missing_cells():
    gaps = X.copy()
    gaps[::5, 2] = np.nan
    bare, written = (fit(gaps, network=network((8,))) for network in (BareMLP, MLP))
    assert_same_fit(bare, written)


@pytest.mark.parametrize("balance", ["auto", *POLICIES])
def test_smallest_network_fits_with_every_policy(balance):
    vae = fit(network=Small(), balance=balance)
    assert np.isfinite(vae.score(X))
    assert np.isfinite(vae.partial_fit(X).score(X))


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "student_t"])
def test_smallest_network_fits_with_a_likelihood(likelihood):
    assert np.isfinite(fit(network=Small(), likelihood=likelihood).score(X))


def test_one_function_may_have_its_derivatives_written_down():
    class Half(BareMLP):
        def decoder(self, n_components, n_outputs):
            return self.mlp.decoder(n_components, n_outputs)

    assert_same_fit(fit(network=Half()), fit())
