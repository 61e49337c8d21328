import itertools
import math

import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import nn

from skvae import BalancedVAE
from skvae.linear._model import LinearWeights
from skvae.networks import ACTIVATIONS, MLP

MODULES = {
    "silu": nn.SiLU(),
    "relu": nn.ReLU(),
    "gelu": nn.GELU(),
    "tanh": nn.Tanh(),
    "leaky_relu": nn.LeakyReLU(),
    "elu": nn.ELU(),
    "softplus": nn.Softplus(),
}
GAINS = {
    "silu": math.sqrt(2),
    "relu": math.sqrt(2),
    "gelu": math.sqrt(2),
    "tanh": 1.0,
    "leaky_relu": math.sqrt(2 / 1.0001),
    "elu": 1.25,
    "softplus": 1.0,
}

every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def start(function, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: weight[None] for name, weight in function.init(generator).items()}


def draw(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_every_activation_is_tested():
    assert set(MODULES) == set(ACTIVATIONS)


@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_slope_of_an_activation(activation, dtype):
    x = torch.tensor([0.0, 1e-3, -1e-3, 19.0, -19.0, 60.0, -60.0], dtype=dtype)
    x = torch.cat([x, 3.0 * draw(50).to(dtype)])
    leaf = x.clone().requires_grad_()
    expected = MODULES[activation](leaf)
    expected.sum().backward()
    function, with_slope = ACTIVATIONS[activation][1:]
    value, slope = with_slope(x.clone())
    assert value.dtype == slope.dtype == dtype
    kw = {"rtol": 1e-12, "atol": 1e-13} if dtype == torch.float64 else {}
    torch.testing.assert_close(value, expected.detach(), **kw)
    torch.testing.assert_close(function(x.clone()), expected.detach(), **kw)
    # Torch takes the derivative of softplus to be 1 above 20.
    if activation == "softplus" and dtype == torch.float64:
        kw = {"rtol": 1e-8, "atol": 1e-8}
    torch.testing.assert_close(slope, leaf.grad, **kw)


@every_activation
@pytest.mark.parametrize("linear_path", [False, True])
def test_agrees_with_layers_of_torch(activation, linear_path):
    network = MLP((6, 4), activation, linear_path)
    for function, widths in (
        (network.encoder(5, 2), (5, 6, 4, 4)),
        (network.decoder(2, 3), (2, 4, 6, 3)),
    ):
        weights = {
            name: 0.5 * draw(2, *shape, seed=i)
            for i, (name, shape) in enumerate(function.shapes.items())
        }
        x = draw(2, 8, widths[0], seed=99)
        output = function(weights, x)
        # Beside the layers: to the posterior mean, or all that is decoded.
        linear = [value for name, value in weights.items() if name.endswith("linear")]
        assert len(linear) == linear_path
        for r in range(2):
            layers, values = [], iter(weights.values())
            for n_in, n_out in itertools.pairwise(widths):
                layer = nn.Linear(n_in, n_out, dtype=torch.float64)
                layer.weight.data = next(values)[r].T
                layer.bias.data = next(values)[r]
                layers += [layer, MODULES[activation]]
            expected = nn.Sequential(*layers[:-1])(x[r]).detach()
            if linear_path:
                beside = x[r] @ linear[0][r]
                expected[:, : beside.shape[1]] += beside
                is_mean = beside.shape[1] == widths[-1] // 2
                assert is_mean == (function.shapes.keys() >= {"encoder.linear"})
            torch.testing.assert_close(output[r], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_hidden_layers_agree_with_torch(residual, layer_norm):
    widths = (5, 6, 6, 4, 4)
    network = MLP(
        widths[1:], linear_path=False, residual=residual, layer_norm=layer_norm
    )
    function = network.encoder(widths[0], 2)
    weights = {
        name: 0.5 * draw(2, *shape, seed=i)
        for i, (name, shape) in enumerate(function.shapes.items())
    }
    x = draw(2, 8, widths[0], seed=99)
    output = function(weights, x)
    for r in range(2):
        own = {name: weight[r] for name, weight in weights.items()}
        hidden = x[r]
        for i, n_in in enumerate(widths[:-1]):
            before = hidden
            if layer_norm and i > 0:
                hidden = nn.LayerNorm(n_in, dtype=torch.float64)(hidden)
            hidden = hidden @ own[f"encoder.{i}.weight"] + own[f"encoder.{i}.bias"]
            hidden = nn.functional.silu(hidden)
            # The first layer takes rows, the third one another width.
            if residual and i in {1, 3}:
                hidden = before + hidden
        expected = hidden @ own["encoder.4.weight"] + own["encoder.4.bias"]
        torch.testing.assert_close(output[r], expected.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("widths", [(), (8,), (8, 6)])
def test_residual_without_a_layer_to_add_to_is_refused(widths, side):
    message = r"residual=True adds.*encoder \(.*\) have no such layer. Give two neighb"
    with pytest.raises(ValueError, match=message):
        getattr(MLP(widths, residual=True), side)(5, 5)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("widths", [(), (8,)])
def test_layer_norm_without_a_second_layer_is_refused(widths, side):
    message = r"layer_norm=True standardizes.*have no second one. Add a hidden layer"
    with pytest.raises(ValueError, match=message):
        getattr(MLP(widths, layer_norm=True), side)(5, 5)


def test_settings_may_serve_one_side_alone():
    network = MLP(
        (8,), residual=True, layer_norm=True, decoder_layer_sizes=(6, 6)
    ).encoder(5, 2)
    plain = MLP((8,)).encoder(5, 2)
    weights, x = start(plain), draw(1, 9, 5)
    assert torch.equal(plain(weights, x), network(weights, x))


def test_fit_refuses_idle_settings():
    vae = BalancedVAE(network=MLP((8,), residual=True), max_iter=1)
    with pytest.raises(ValueError, match="residual=True"):
        vae.fit(draw(20, 3).numpy())
    assert not hasattr(vae, "n_components_")


def test_residual_layers_of_different_widths_are_plain():
    plain, other = (
        MLP((8, 6, 8), residual=residual, decoder_layer_sizes=(6, 6)).encoder(5, 2)
        for residual in (False, True)
    )
    weights, x = start(plain), draw(1, 9, 5)
    assert torch.equal(plain(weights, x), other(weights, x))


def test_decoder_mirrors_the_encoder():
    network = MLP((30, 20, 10))
    encoder, decoder = network.encoder(7, 3), network.decoder(3, 9)
    kernels = [
        [shape for name, shape in function.shapes.items() if name.endswith("weight")]
        for function in (encoder, decoder)
    ]
    assert kernels[0] == [(7, 30), (30, 20), (20, 10), (10, 6)]
    assert kernels[1] == [(3, 10), (10, 20), (20, 30), (30, 9)]


@every_activation
def test_without_hidden_layers_it_is_linear(activation):
    network = MLP((), activation)
    encoder, decoder = network.encoder(5, 3), network.decoder(3, 4)
    assert encoder.shapes == {
        "encoder.0.weight": (5, 3),
        "encoder.0.bias": (3,),
        "encoder.log_variance": (3,),
    }
    for function, n_inputs in ((encoder, 5), (decoder, 3)):
        weights = {
            name: draw(2, *shape, seed=i)
            for i, (name, shape) in enumerate(function.shapes.items())
        }
        a, b = draw(2, 2, 6, n_inputs)
        zero = function(weights, torch.zeros_like(a))
        left = function(weights, 2.0 * a - 3.0 * b) - zero
        right = 2.0 * (function(weights, a) - zero) - 3.0 * (
            function(weights, b) - zero
        )
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_linear_encoder_has_one_log_variance_for_each_latent():
    encoder = MLP(()).encoder(5, 3)
    weights = {
        name: draw(2, *shape, seed=i)
        for i, (name, shape) in enumerate(encoder.shapes.items())
    }
    _, log_variance = encoder(weights, 100.0 * draw(8, 5)).chunk(2, dim=-1)
    expected = weights["encoder.log_variance"][:, None, :].expand(2, 8, 3)
    assert torch.equal(log_variance, expected)


@every_activation
def test_variance_of_the_start_values(activation):
    function = MLP((200, 300), activation).decoder(100, 50)
    weights = start(function)
    n_layers = 3
    for layer, name in enumerate(name for name in weights if name.endswith("weight")):
        weight = weights[name]
        n_inputs = weight.shape[1]
        gain = GAINS[activation] if layer < n_layers - 1 else 1.0
        expected = gain**2 / n_inputs
        # A uniform distribution has kurtosis 1.8; five standard errors.
        error = 5.0 * math.sqrt(0.8 / weight.numel())
        assert float(weight.var()) == pytest.approx(expected, rel=error), name
        error = 5.0 * math.sqrt(expected / weight.numel())
        assert float(weight.mean()) == pytest.approx(0.0, abs=error), name
        assert weight.abs().max() <= gain * math.sqrt(3.0 / n_inputs), name
        bias = weights[name.replace("weight", "bias")]
        assert (bias == 0.0).all(), name


def mean_square_after(activation, n_hidden):
    """Mean square of a wide random network's output for standard normal rows."""
    nodes, weights = hermegauss(200)
    square = 1.0
    for _ in range(n_hidden):
        inputs = torch.tensor(nodes) * GAINS[activation] * math.sqrt(square)
        square = weights @ MODULES[activation](inputs).numpy() ** 2 / weights.sum()
    return square


@every_activation
@pytest.mark.parametrize("n_hidden", [0, 1, 3])
def test_variance_passes_through_the_start(activation, n_hidden):
    width = 64
    function = MLP((width,) * n_hidden, activation).decoder(width, width)
    x = draw(1, 50, width)
    squares = np.array(
        [float(function(start(function, s), x).square().mean()) for s in range(40)]
    )
    expected = mean_square_after(activation, n_hidden) * float(x.square().mean())
    # Five standard errors over the seeds, and what a finite width bends.
    error = 5.0 * squares.std() / math.sqrt(len(squares)) + expected / width
    assert squares.mean() == pytest.approx(expected, abs=error)
    if activation == "relu":
        assert mean_square_after(activation, n_hidden) == pytest.approx(1.0)


@pytest.mark.parametrize("widths", [(0,), (8, -1), (8.0,), ("8",), (None,)])
def test_impossible_widths(widths):
    message = r"hidden_layer_sizes must hold positive integers.*got \("
    with pytest.raises(ValueError, match=message):
        MLP(widths).encoder(3, 2)
    with pytest.raises(ValueError, match=message):
        MLP(widths).decoder(2, 3)


@pytest.mark.parametrize("widths", [(0,), (8, -1), (8.0,), ("8",), (None,)])
def test_impossible_widths_of_the_decoder(widths):
    message = r"decoder_layer_sizes must hold positive integers.*got \("
    network = MLP((8,), decoder_layer_sizes=widths)
    assert network.encoder(3, 2).shapes == MLP((8,)).encoder(3, 2).shapes
    with pytest.raises(ValueError, match=message):
        network.decoder(2, 3)


@pytest.mark.parametrize("widths", [(), (6,), (6, 4), (7, 7)])
def test_decoder_may_have_widths_of_its_own(widths):
    network = MLP((30, 20), decoder_layer_sizes=widths)
    assert network.encoder(7, 3).shapes == MLP((30, 20)).encoder(7, 3).shapes
    expected = MLP(widths[::-1]).decoder(3, 9).shapes
    assert network.decoder(3, 9).shapes == expected


def test_widths_may_come_as_an_array():
    expected = MLP((8, 4)).encoder(3, 2).shapes
    for widths in ([8, 4], np.array([8, 4])):
        assert MLP(widths).encoder(3, 2).shapes == expected


def test_full_posterior_has_an_output_for_every_pair_of_latents():
    encoder = MLP((8,), posterior="full").encoder(5, 4)
    assert encoder.shapes["encoder.1.weight"] == (8, 4 + 4 + 6)
    assert MLP((8,), posterior="full").encoder(5, 1).shapes["encoder.1.bias"] == (2,)
    diagonal, full = (MLP((8,), posterior=name) for name in ("diagonal", "full"))
    assert full.decoder(4, 5).shapes == diagonal.decoder(4, 5).shapes


@pytest.mark.parametrize("widths", [(), (8,)])
def test_full_posterior_starts_without_correlations(widths):
    encoder = MLP(widths, posterior="full").encoder(5, 4)
    output = encoder(start(encoder), draw(1, 9, 5))
    assert output.shape == (1, 9, 4 + 4 + 6)
    mean, others = output.split([4, 10], dim=-1)
    assert (mean != 0.0).all()
    assert (others == 0.0).all()


def test_full_linear_encoder_has_one_covariance_for_all_rows():
    encoder = MLP((), posterior="full").encoder(5, 3)
    assert encoder.shapes == {
        "encoder.0.weight": (5, 3),
        "encoder.0.bias": (3,),
        "encoder.log_variance": (3,),
        "encoder.below_diagonal": (3,),
    }
    weights = {
        name: draw(2, *shape, seed=i)
        for i, (name, shape) in enumerate(encoder.shapes.items())
    }
    _, log_variance, below = encoder(weights, draw(8, 5)).chunk(3, dim=-1)
    for part, name in ((log_variance, "log_variance"), (below, "below_diagonal")):
        expected = weights[f"encoder.{name}"][:, None, :].expand(2, 8, 3)
        assert torch.equal(part, expected)
    assert MLP((), posterior="full").encoder(5, 1).shapes == (
        MLP(()).encoder(5, 1).shapes
    )


# Starts in closed form.


@pytest.fixture
def linear_weights():
    random = np.random.RandomState(0)
    return LinearWeights(
        center=random.standard_normal(5),
        encoder=random.standard_normal((5, 2)),
        log_variance=random.standard_normal(2),
        decoder=random.standard_normal((2, 5)),
        bias=random.standard_normal(5),
    )


def begin(function, linear_weights):
    generator = torch.Generator().manual_seed(0)
    weights = function.init(generator, linear_weights)
    assert all(weight.dtype == torch.float64 for weight in weights.values())
    return {name: weight[None] for name, weight in weights.items()}


@pytest.mark.parametrize(
    ("widths", "posterior", "settings"),
    [
        ((), "diagonal", {}),
        ((), "full", {}),
        ((6,), "diagonal", {"activation": "relu"}),
        ((6,), "full", {"activation": "gelu"}),
        ((6, 4), "diagonal", {"activation": "tanh"}),
        ((6, 4), "full", {}),
        ((6, 6), "diagonal", {"residual": True}),
        ((6,), "diagonal", {"decoder_layer_sizes": ()}),
        ((), "full", {"decoder_layer_sizes": (4, 3)}),
        ((6, 6), "full", {"layer_norm": True}),
        ((6, 6, 4), "diagonal", {"residual": True, "layer_norm": True}),
    ],
)
def test_start_is_the_linear_model(widths, posterior, settings, linear_weights):
    network = MLP(widths, posterior=posterior, **settings)
    assert network.starts_linear
    encoder, decoder = network.encoder(5, 2), network.decoder(2, 5)
    x, z = 3.0 * draw(1, 9, 5), 3.0 * draw(1, 9, 2)
    output = encoder(begin(encoder, linear_weights), x)
    mean, log_variance, below = output.split([2, 2, output.shape[-1] - 4], dim=-1)
    parts = (torch.tensor(part) for part in linear_weights)
    center, encode, spread, decode, bias = parts
    torch.testing.assert_close(mean, (x - center) @ encode)
    torch.testing.assert_close(log_variance, spread.expand(1, 9, 2))
    assert (below == 0.0).all()
    output = decoder(begin(decoder, linear_weights), z)
    torch.testing.assert_close(output, bias + z @ decode)


@pytest.mark.parametrize("n_outputs", [5, 10])
@pytest.mark.parametrize("widths", [(), (6,)])
def test_start_sets_the_first_outputs_alone(widths, n_outputs, linear_weights):
    # A likelihood may take more numbers than the means.
    decoder = MLP(widths).decoder(2, n_outputs)
    output = decoder(begin(decoder, linear_weights), draw(1, 9, 2))
    assert output.shape == (1, 9, n_outputs)
    assert (output[..., 5:] == 0.0).all()


def test_start_can_learn_what_is_not_linear(linear_weights):
    for function, n_inputs in (
        (MLP((6,)).encoder(5, 2), 5),
        (MLP((6,)).decoder(2, 5), 2),
    ):
        weights = {
            name: weight.requires_grad_()
            for name, weight in begin(function, linear_weights).items()
        }
        output = function(weights, draw(1, 9, n_inputs))
        (output * draw(*output.shape, seed=2)).sum().backward()
        (last,) = (name for name in weights if name.endswith("1.weight"))
        assert (weights[last] == 0.0).all()
        assert (weights[last].grad != 0.0).all()


@pytest.mark.parametrize("widths", [(6,), (6, 4)])
def test_without_a_linear_model_the_linear_map_starts_at_zero(widths):
    for side in ("encoder", "decoder"):
        sizes = (5, 2) if side == "encoder" else (2, 5)
        with_path, without = (
            getattr(MLP(widths, linear_path=path), side)(*sizes)
            for path in (True, False)
        )
        assert set(with_path.shapes) - set(without.shapes) == {f"{side}.linear"}
        weights, plain = start(with_path), start(without)
        assert (weights[f"{side}.linear"] == 0.0).all()
        x = draw(1, 9, sizes[0])
        torch.testing.assert_close(with_path(weights, x), without(plain, x))


def test_random_start_is_asked_for():
    assert not MLP(linear_path=False).starts_linear
    encoder = MLP((), linear_path=False).encoder(5, 2)
    assert encoder.shapes == MLP(()).encoder(5, 2).shapes
