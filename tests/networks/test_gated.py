import itertools
import math

import numpy as np
import pytest
import torch

from skvae._linear_model import LinearModel
from skvae._module import Module
from skvae.divergences import KL
from skvae.likelihoods import Gaussian
from skvae.networks import MLP, Network
from skvae.networks._gates import EPS, ROOT, SIGMOID

N_FEATURES, N_COMPONENTS, N_ROWS, N_REPLICAS = 5, 3, 7, 2
LOW, HIGH = 0.01, 10.0
SLOPE = math.log(HIGH / LOW) / (2.0 * math.sqrt(3.0))

every_shape = pytest.mark.parametrize(
    ("hidden", "linear_path", "posterior"),
    list(itertools.product([(), (6, 4)], [True, False], ["diagonal", "full"])),
)


def make(hidden, linear_path=True, posterior="diagonal"):
    network = MLP(hidden, "tanh", linear_path=linear_path, posterior=posterior)
    return Module(network.gated(SLOPE), Gaussian(), KL(), N_FEATURES, N_COMPONENTS)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def weights_of(module):
    """Weights in the middle of a training, of replicas that differ."""
    start = module.init(torch.Generator().manual_seed(0))
    return {
        name: weight + 0.3 * draw(N_REPLICAS, *weight.shape, seed=i)
        for i, (name, weight) in enumerate(start.items())
    }


def etas(*shape):
    return 1.7 * draw(*shape, seed=77).tanh()


def sides(module):
    return (module.encoder, N_FEATURES), (module.decoder, N_COMPONENTS)


@pytest.mark.parametrize("gate", [SIGMOID, ROOT], ids=["sigmoid", "root"])
def test_gates_are_between_0_and_1(gate):
    x = torch.linspace(-30.0, 30.0, 601, dtype=torch.float64)
    values = gate.forward(x)
    assert (values >= 0.0).all()
    assert (values <= 1.0).all()
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(gate.forward(leaf).sum(), leaf)
    found = gate.backward(torch.ones_like(x), values)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert torch.isfinite(found).all()


def test_gate_of_the_decoder_falls_until_it_is_closed():
    x = torch.linspace(-8.0, 3.0, 500, dtype=torch.float64)
    values = ROOT.forward(x)
    is_open = x < math.log1p(-EPS)
    assert (values[is_open].diff() < 0.0).all()
    assert (values[~is_open] == math.sqrt(EPS)).all()
    torch.testing.assert_close(values[is_open], (1.0 - x[is_open].exp()).sqrt())


def test_no_gate_starts_closed():
    module = make((40, 30))
    weights = module.init(torch.Generator().manual_seed(0))
    ends = torch.tensor([[-math.sqrt(3.0), 1.0], [math.sqrt(3.0), 1.0]]).double()
    for name in ("decoder.gate", "decoder.latent_gate", "encoder.latent_gate"):
        assert ((ends @ weights[name]) < -0.1).all(), name
        assert (ROOT.forward(ends @ weights[name]) > 0.3).all(), name


@every_shape
def test_derivatives_are_those_of_automatic_differentiation(
    hidden, linear_path, posterior
):
    module = make(hidden, linear_path, posterior)
    weights, step = weights_of(module), 1e-6
    for function, width in sides(module):
        rows = draw(N_REPLICAS, N_ROWS, width, seed=5)
        x = torch.cat([rows, etas(N_REPLICAS, N_ROWS, 1)], dim=-1)
        output, pullback = function.vjp(weights, x, to_rows=True)
        slope = draw(*output.shape, seed=6)
        gradients = {
            name: torch.full_like(weights[name], torch.nan) for name in function.shapes
        }
        to_rows = pullback(slope, gradients)

        def value(weights, x, function=function, slope=slope):
            return (function(weights, x) * slope).sum(dim=(1, 2))

        for i, name in enumerate(function.shapes):
            way = draw(*weights[name].shape, seed=20 + i)
            up = value({**weights, name: weights[name] + step * way}, x)
            down = value({**weights, name: weights[name] - step * way}, x)
            found = (gradients[name] * way).flatten(1).sum(dim=1)
            torch.testing.assert_close(
                found, (up - down) / (2 * step), rtol=1e-5, atol=1e-6, msg=name
            )
        way = draw(*rows.shape, seed=40)
        moved = torch.nn.functional.pad(step * way, (0, 1))
        slope_of_rows = (value(weights, x + moved) - value(weights, x - moved)) / 2
        torch.testing.assert_close(
            (to_rows * way).sum(dim=(1, 2)), slope_of_rows / step, rtol=1e-5, atol=1e-6
        )
        # Nobody who does not ask gets a gradient of the rows.
        assert function.vjp(weights, x, to_rows=False)[1](slope, gradients) is None


@every_shape
def test_at_one_beta_it_is_the_plain_network(hidden, linear_path, posterior):
    module = make(hidden, linear_path, posterior)
    weights, eta = weights_of(module), etas(4)
    at = module.at(weights, eta)
    assert {name: tuple(w.shape[1:]) for name, w in at.items()} == module.plain.shapes
    pairs = zip(
        sides(module), (module.plain.encoder, module.plain.decoder), strict=True
    )
    for (function, width), plain in pairs:
        rows = draw(N_ROWS, width, seed=5)
        found = plain(at, rows).unflatten(0, (N_REPLICAS, len(eta)))
        for i, place in enumerate(eta):
            x = torch.cat([rows, place.expand(N_ROWS, 1)], dim=-1)
            torch.testing.assert_close(found[:, i], function(weights, x))


@pytest.mark.parametrize("hidden", [(), (6, 4)])
@pytest.mark.parametrize("center", [0.0, 3.0])
def test_start_is_the_closed_form_of_every_beta(hidden, center):
    x = draw(200, N_FEATURES).numpy() * np.array([3.0, 1.5, 0.9, 0.5, 0.3]) + center
    model = LinearModel.from_rows(x, np.ones(len(x)), N_COMPONENTS)
    mean, scale = x.mean(axis=0), np.ones(N_FEATURES)
    module = make(hidden)
    start = module.init(
        torch.Generator().manual_seed(0), model.weights(LOW, mean, scale)
    )
    weights = {name: weight[None] for name, weight in start.items()}
    for beta in np.geomspace(LOW, HIGH, 9):
        eta = torch.tensor([2.0 * math.log(beta / LOW) / math.log(HIGH / LOW) - 1.0])
        at = module.at(weights, math.sqrt(3.0) * eta.double())
        plain = module.plain.init(
            torch.Generator().manual_seed(0), model.weights(beta, mean, scale)
        )
        rows, latents = torch.tensor(x[:9]), draw(9, N_COMPONENTS, seed=3)
        expected = {name: weight[None] for name, weight in plain.items()}
        for function, inputs in (
            (module.plain.encoder, rows),
            (module.plain.decoder, latents),
        ):
            torch.testing.assert_close(
                function(at, inputs), function(expected, inputs), rtol=1e-6, atol=1e-6
            )


def test_gates_do_not_decay():
    module = make((6, 4))
    names = list(module.shapes)
    gates = [name for name in names if name.endswith("gate")]
    assert names[-4:] == gates
    assert len(gates) == 4
    n_gates = sum(math.prod(module.shapes[name]) for name in gates)
    n_all = sum(math.prod(shape) for shape in module.shapes.values())
    assert module.n_decayed == n_all - n_gates
    plain = module.plain
    assert plain.n_decayed == sum(math.prod(shape) for shape in plain.shapes.values())


def test_network_without_gates_says_so():
    network = Network()
    assert network.gated(SLOPE) is None
    assert network.at_one_beta is network
    gated = MLP((3,)).gated(SLOPE)
    assert gated.at_one_beta is gated.plain
    with pytest.raises(NotImplementedError):
        MLP((3,)).encoder(2, 1).at({}, torch.zeros(1))
