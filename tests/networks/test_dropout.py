"""Units that a training step leaves out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skvae import BalancedVAE
from skvae.balance import Constant, RunningAverage
from skvae.divergences import KL, ImportanceWeighted
from skvae.likelihoods import Bernoulli, Gaussian
from skvae.model._module import Module
from skvae.networks import MLP, Function
from skvae.networks._blocks import Dropped
from skvae.training._noise import StepNoise

NETWORKS = {
    "plain": MLP((8, 6), "tanh", dropout=0.3),
    "blocks": MLP((8, 8, 8), residual=True, layer_norm=True, dropout=0.3),
    "random": MLP((8,), linear_path=False, decoder_layer_sizes=(4, 4), dropout=0.3),
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
both_sides = pytest.mark.parametrize("side", ["encoder", "decoder"])

X = np.random.RandomState(0).standard_normal((60, 5))
SMALL = {"max_iter": 3, "tol": 1e3, "random_state": 0}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def build(network, side, n_rows):
    """Function, weights of three replicas, and noise of the rows."""
    function = getattr(network, side)(5, 2)
    weights = {
        name: draw(3, *shape, seed=i)
        for i, (name, shape) in enumerate(function.shapes.items())
    }
    noise = {
        name: draw(n_rows, width, seed=i)
        for i, (name, width) in enumerate(function.noise_widths.items(), 10)
    }
    return function, weights, noise


@every_network
@both_sides
def test_every_hidden_layer_takes_noise(network, side):
    function, _, noise = build(network, side, 4)
    n_hidden = len(network.hidden_layer_sizes)
    if side == "decoder" and network.decoder_layer_sizes is not None:
        n_hidden = len(network.decoder_layer_sizes)
    assert len(noise) == n_hidden
    assert not set(noise) & set(function.shapes)


@both_sides
def test_a_network_without_it_takes_none(side):
    function, _, noise = build(MLP((8, 8)), side, 4)
    assert noise == function.noise_widths == {}


@every_network
@both_sides
@pytest.mark.parametrize("to_rows", [False, True])
def test_derivatives_are_those_of_autograd(network, side, to_rows, monkeypatch):
    function, weights, noise = build(network, side, 6)

    def leave_out(self, weights, x):
        scale = (noise[self.name] >= self.bound).double() / 0.7
        return scale * self.inner(weights, x)

    x = draw(3, 6, 5, seed=20)
    results = []
    for vjp in (function.vjp, lambda *args, **kw: Function.vjp(function, *args, **kw)):
        gradients = {name: torch.empty_like(w) for name, w in weights.items()}
        output, pullback = vjp({**weights, **noise}, x, to_rows=to_rows)
        to_x = pullback(draw(*output.shape, seed=21), gradients)
        assert (to_x is not None) == to_rows
        results.append([output, *gradients.values(), *([to_x] if to_rows else [])])
        monkeypatch.setattr(Dropped, "__call__", leave_out)
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_the_layer_itself_is_the_mean():
    function = MLP((8,), dropout=0.3).encoder(5, 2)
    (layer,) = function.layers.hidden
    weights = {name: draw(1, *shape) for name, shape in layer.shapes.items()}
    x = draw(1, 1, 5).expand(-1, 20_000, -1)
    noise = draw(20_000, 8, seed=1)
    output, _ = layer.vjp({**weights, layer.name: noise}, x, to_rows=False)
    expected = layer(weights, x)
    fraction = (output == 0.0).double().mean()
    assert float(fraction) == pytest.approx(0.3, abs=0.005)
    left = output != 0.0
    torch.testing.assert_close(output[left], (expected / 0.7)[left])
    # The scale 0 or 1 / 0.7 has a standard deviation of 0.65.
    error = (output.mean(dim=1) / expected.mean(dim=1) - 1.0).abs()
    assert float(error.max()) < 5 * 0.65 / 20_000**0.5


def test_noise_of_a_step_is_divided_among_latents_and_layers():
    network = MLP((3, 4), dropout=0.3)
    module = Module(network, Gaussian(), KL(), 5, 2)
    assert module.noise_width == 2 + 2 * (3 + 4)
    noise = draw(2, 6, 16)
    found = StepNoise.of(module, noise)
    assert torch.equal(found.latents, noise[..., :2])
    # A row is encoded once, and decoded for both draws.
    (first, second), decoder = found.encoder.values(), list(found.decoder.values())
    assert torch.equal(first, noise[0, :, 2:5])
    assert torch.equal(second, noise[0, :, 5:9])
    assert [tuple(each.shape) for each in decoder] == [(12, 4), (12, 3)]
    assert torch.equal(decoder[0], torch.cat([*noise[..., 9:13]]))


@pytest.mark.parametrize(
    ("likelihood", "divergence", "policy"),
    [
        (Gaussian(), KL(), RunningAverage()),
        (Bernoulli(), ImportanceWeighted(2), Constant()),
    ],
    ids=["closed", "traced"],
)
def test_replicas_leave_out_the_same_units(
    likelihood, divergence, policy, make_problem, make_plan
):
    problem = make_problem(likelihood)
    network = MLP((6, 6), residual=True, dropout=0.4)
    problem = replace(problem, module=Module(network, likelihood, divergence, 5, 2))
    plan = make_plan(n_draws=2, is_paired=False)
    betas = [0.1, 0.5, 1.0]
    together = problem.train(policy, betas, plan, validate=True)
    for r, beta in enumerate(betas):
        alone = problem.train(policy, [beta], plan, validate=True)
        torch.testing.assert_close(
            together.take(r).values, alone.values, rtol=1e-9, atol=1e-9
        )


def test_scores_are_repeatable_and_rows_do_not_see_each_other():
    vae = BalancedVAE(2, network=MLP((8, 8), dropout=0.5), **SMALL).fit(X)
    scores = vae.score_samples(X)
    assert_array_equal(vae.score_samples(X), scores)
    np.testing.assert_allclose(vae.score_samples(X[3:4]), scores[3:4], rtol=1e-6)
    again = BalancedVAE(2, network=MLP((8, 8), dropout=0.5), **SMALL).fit(X)
    assert_array_equal(again.score_samples(X), scores)
    plain = BalancedVAE(2, network=MLP((8, 8)), **SMALL).fit(X)
    assert (plain.score_samples(X) != scores).any()


def test_it_takes_overfitting_back():
    random = np.random.RandomState(1)
    rows, new = random.standard_normal((2, 40, 6))
    settings = {"early_stopping": False, "max_iter": 40, "learning_rate_init": 0.01}
    gaps = []
    for dropout in (0.0, 0.5):
        network = MLP((64,), linear_path=False, dropout=dropout)
        vae = BalancedVAE(3, network=network, beta=0.1, **SMALL | settings).fit(rows)
        gaps.append(vae.score(rows) - vae.score(new))
    assert gaps[1] < 0.7 * gaps[0]


@pytest.mark.parametrize("dropout", [-0.1, 1.0, "half"])
def test_no_fraction(dropout):
    match = (
        r"The 'dropout' parameter of MLP must be a float in the range \[0\.0, 1\.0\)"
    )
    with pytest.raises(ValueError, match=match):
        BalancedVAE(1, network=MLP((4,), dropout=dropout), **SMALL).fit(X)


def test_no_unit_to_leave_out():
    with pytest.raises(
        ValueError, match=r"dropout=0\.1 leaves out units .* none\. Add"
    ):
        BalancedVAE(1, network=MLP((), dropout=0.1), **SMALL).fit(X)
    network = MLP((), decoder_layer_sizes=(4,), dropout=0.1)
    BalancedVAE(1, network=network, **SMALL).fit(X)
