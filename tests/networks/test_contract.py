"""What every network promises; a new one is tested by being in NETWORKS."""

import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skvae import BalancedVAE, beta_path, networks
from skvae.networks import MLP, NETWORKS, ConvNet, Function, TorchNetwork

N_REPLICAS, N_ROWS, N_FEATURES, N_COMPONENTS, N_OUTPUTS = 3, 6, 5, 2, 7


class Encoder(nn.Sequential):
    """A hidden layer, normalized."""

    def __init__(self, n_inputs, n_components):
        super().__init__(
            nn.Linear(n_inputs, 8),
            nn.LayerNorm(8),
            nn.Tanh(),
            nn.Linear(8, 2 * n_components),
        )


class Decoder(nn.Module):
    """Convolutions: a module and a weight with two names, and a constant."""

    def __init__(self, n_components, n_outputs):
        super().__init__()
        self.first = nn.Linear(n_components, 2 * n_outputs)
        self.convolution = nn.Conv1d(2, 2, 3, padding=1)
        self.again = self.convolution
        self.last = nn.Conv1d(2, 2, 3, padding=1)
        self.last.weight = self.convolution.weight
        self.register_buffer("position", torch.linspace(-1.0, 1.0, n_outputs))

    def forward(self, z):
        signal = self.first(z).tanh().unflatten(1, (2, -1)) * self.position
        signal = self.last(self.again(self.convolution(signal).tanh()).tanh())
        return signal.sum(dim=1) + self.position


#: Networks whose start values are those of the modules of their users.
OF_MODULES = {"torch": TorchNetwork(Encoder, Decoder)}

#: Networks of pictures: sides that are odd, several channels and scales.
OF_PICTURES = {
    "pictures": ConvNet((1, 4, 5), channels=(2,), hidden_layer_sizes=(6,)),
    "coloured": ConvNet((3, 5, 4), (3,), 2, hidden_layer_sizes=(), activation="tanh"),
    "no blocks": ConvNet((2, 8, 9), (3, 4), n_blocks=0, activation="leaky_relu"),
}

#: Each network, and settings that change what its functions compute.
SETTINGS = {
    **OF_MODULES,
    **OF_PICTURES,
    **{name: network() for name, network in NETWORKS.items()},
    "residual": MLP((8, 8, 4, 4), residual=True),
    "layer_norm": MLP((8, 6, 6), "tanh", layer_norm=True),
    "residual layer_norm": MLP((6, 8, 8, 8), residual=True, layer_norm=True),
    "residual gelu": MLP((8, 8), "gelu", linear_path=False, residual=True),
    "own decoder": MLP((8,), "elu", decoder_layer_sizes=(6, 4)),
    "linear decoder": MLP((8,), "softplus", decoder_layer_sizes=()),
}

every_class = pytest.mark.parametrize("name", NETWORKS)
every_network = pytest.mark.parametrize("network", SETTINGS.values(), ids=SETTINGS)
OF_OWN_START = {name: SETTINGS[name] for name in SETTINGS if name not in OF_MODULES}
every_own_start = pytest.mark.parametrize(
    "network", OF_OWN_START.values(), ids=OF_OWN_START
)
both_sides = pytest.mark.parametrize("side", ["encoder", "decoder"])


def n_features_of(network):
    """Number of columns that a network takes."""
    if isinstance(network, ConvNet):
        return math.prod(network.image_shape)
    return N_FEATURES


def build(network, side):
    """Function, and the widths of its rows and of its output."""
    n_features = n_features_of(network)
    if side == "encoder":
        function = network.encoder(n_features, N_COMPONENTS)
        return function, n_features, 2 * N_COMPONENTS
    n_outputs = N_OUTPUTS
    if isinstance(network, ConvNet):
        n_outputs = 2 * n_features
    return network.decoder(N_COMPONENTS, n_outputs), N_COMPONENTS, n_outputs


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def start(function, seed=0):
    """Start values of one replica."""
    generator = torch.Generator().manual_seed(seed)
    weights = function.init(generator)
    return {name: weight[None] for name, weight in weights.items()}


def trained(function):
    """Weights of several replicas, all different, none of them zero."""
    replicas = [start(function, seed) for seed in range(N_REPLICAS)]
    return {
        name: torch.cat([weights[name] for weights in replicas])
        + 0.1 * draw(N_REPLICAS, *shape, seed=9)
        for name, shape in function.shapes.items()
    }


@every_class
def test_name_and_class_agree(name):
    cls = NETWORKS[name]
    assert cls.__name__.lower() == name.replace("_", "")
    assert getattr(networks, cls.__name__) is cls
    assert cls.__name__ in networks.__all__


@every_class
def test_settings_have_constraints(name):
    network = NETWORKS[name]()
    assert set(network._parameter_constraints) == set(network.get_params())


@every_network
def test_copies_are_the_same(network):
    for again in (
        clone(network),
        pickle.loads(pickle.dumps(network)),
    ):
        assert type(again) is type(network)
        assert again.get_params() == network.get_params()
        for side in ("encoder", "decoder"):
            assert build(again, side)[0].shapes == build(network, side)[0].shapes


@every_own_start
def test_representation_can_be_evaluated(network):
    again = eval(repr(network), vars(networks).copy())
    assert type(again) is type(network)
    assert again.get_params() == network.get_params()


@every_network
@both_sides
def test_built_functions_can_be_pickled(network, side):
    function, n_inputs, _ = build(network, side)
    again = pickle.loads(pickle.dumps(function))
    x, weights = draw(1, N_ROWS, n_inputs), start(function)
    assert torch.equal(again(weights, x), function(weights, x))


@every_network
def test_building_leaves_the_settings(network):
    before = pickle.dumps(network)
    for side in ("encoder", "decoder"):
        function, n_inputs, _ = build(network, side)
        function(start(function), draw(1, N_ROWS, n_inputs))
    assert pickle.dumps(network) == before


@every_network
def test_names_of_weights_do_not_collide(network):
    encoder, decoder = (
        build(network, side)[0].shapes for side in ("encoder", "decoder")
    )
    assert not set(encoder) & set(decoder)


@every_network
@both_sides
def test_start_values(network, side):
    function, *_ = build(network, side)
    weights = function.init(torch.Generator().manual_seed(0))
    assert list(weights) == list(function.shapes)
    for key, weight in weights.items():
        assert weight.shape == function.shapes[key], key
        assert weight.dtype == torch.float64, key
        assert weight.device.type == "cpu", key
        assert torch.isfinite(weight).all(), key


@every_network
@both_sides
def test_start_values_come_from_the_private_generator_alone(network, side):
    function, *_ = build(network, side)
    before = torch.get_rng_state()
    first = start(function, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    again, other = start(function, seed=3), start(function, seed=4)
    torch.set_rng_state(before)
    for key, weight in first.items():
        assert torch.equal(weight, again[key]), key
    assert any(not torch.equal(weight, other[key]) for key, weight in first.items())


@every_network
@both_sides
def test_layers_do_not_share_draws(network, side):
    generator = torch.Generator().manual_seed(0)
    function, *_ = build(network, side)
    first, second = (function.init(generator) for _ in range(2))
    assert any(not torch.equal(first[key], second[key]) for key in first)


@every_network
@both_sides
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_output(network, side, dtype):
    function, n_inputs, n_outputs = build(network, side)
    weights = {key: value.to(dtype) for key, value in trained(function).items()}
    x = draw(N_REPLICAS, N_ROWS, n_inputs).to(dtype)
    output = function(weights, x)
    assert output.shape == (N_REPLICAS, N_ROWS, n_outputs)
    assert output.dtype == dtype
    assert torch.isfinite(output).all()


@every_network
@both_sides
def test_rows_without_replicas_are_the_same_for_all(network, side):
    function, n_inputs, _ = build(network, side)
    weights, x = trained(function), draw(N_ROWS, n_inputs)
    torch.testing.assert_close(
        function(weights, x),
        function(weights, x.repeat(N_REPLICAS, 1, 1)),
        rtol=1e-12,
        atol=1e-13,
    )


@every_network
@both_sides
def test_rows_do_not_see_each_other(network, side):
    function, n_inputs, _ = build(network, side)
    weights, x = trained(function), draw(N_REPLICAS, N_ROWS, n_inputs)
    alone = torch.cat([function(weights, row) for row in x.split(1, dim=1)], dim=1)
    torch.testing.assert_close(function(weights, x), alone, rtol=1e-12, atol=1e-13)


@every_network
@both_sides
def test_replicas_together_equal_each_alone(network, side):
    function, n_inputs, n_outputs = build(network, side)
    x, slope = draw(N_REPLICAS, N_ROWS, n_inputs), draw(N_ROWS, n_outputs, seed=1)

    def value_and_gradient(weights, x):
        weights = {
            key: value.clone().requires_grad_() for key, value in weights.items()
        }
        output = function(weights, x)
        (output * slope).sum().backward()
        return {"output": output, **{key: w.grad for key, w in weights.items()}}

    together = value_and_gradient(trained(function), x)
    for r in range(N_REPLICAS):
        one = slice(r, r + 1)
        weights = {key: value[one] for key, value in trained(function).items()}
        for key, value in value_and_gradient(weights, x[one]).items():
            torch.testing.assert_close(
                value, together[key][one], rtol=1e-12, atol=1e-13, msg=key
            )


@every_network
@both_sides
@pytest.mark.parametrize("to_rows", [False, True])
def test_derivatives_are_those_of_autograd(network, side, to_rows):
    function, n_inputs, n_outputs = build(network, side)
    # Those of a module of torch are not written down.
    assert function.uses_autograd != isinstance(network, MLP)
    weights = trained(function)
    x, to_output = (draw(N_REPLICAS, N_ROWS, n, seed=n) for n in (n_inputs, n_outputs))
    found = []
    for vjp in (function.vjp, lambda *args, **kw: Function.vjp(function, *args, **kw)):
        gradients = {key: torch.full_like(w, torch.nan) for key, w in weights.items()}
        with torch.no_grad():
            output, pullback = vjp(weights, x.clone(), to_rows=to_rows)
            to_x = pullback(to_output.clone(), gradients)
        assert (to_x is not None) == to_rows
        found.append(
            {"output": output, **gradients, **({"x": to_x} if to_rows else {})}
        )
    for key, value in found[1].items():
        torch.testing.assert_close(found[0][key], value, rtol=1e-9, atol=1e-12, msg=key)


@every_network
@both_sides
def test_gradient_reaches_every_weight(network, side):
    function, n_inputs, n_outputs = build(network, side)
    weights = {key: w.requires_grad_() for key, w in trained(function).items()}
    output = function(weights, draw(N_REPLICAS, N_ROWS, n_inputs))
    (output * draw(N_ROWS, n_outputs, seed=1)).sum().backward()
    for key, weight in weights.items():
        assert torch.isfinite(weight.grad).all(), key
        assert (weight.grad != 0.0).all(), key


@every_network
def test_gradient_leaves_the_start(network):
    # Weights that start at zero must not stay there.
    function, n_inputs, n_outputs = build(network, "encoder")
    weights = {key: w.requires_grad_() for key, w in start(function).items()}
    output = function(weights, draw(1, N_ROWS, n_inputs))
    (output * draw(N_ROWS, n_outputs, seed=1)).sum().backward()
    for key, weight in weights.items():
        assert (weight.grad != 0.0).any(), key
    *_, log_variance = [
        key for key in weights if key.endswith(("bias", "log_variance"))
    ]
    assert (weights[log_variance].grad != 0.0).all()


@every_own_start
def test_posterior_starts_at_variance_one(network):
    function, n_inputs, _ = build(network, "encoder")
    output = function(start(function), 10.0 * draw(1, N_ROWS, n_inputs))
    mean, log_variance = output.chunk(2, dim=-1)
    assert (log_variance == 0.0).all()
    assert (mean != 0.0).all()


@every_own_start
@both_sides
def test_start_keeps_the_order_of_magnitude(network, side):
    function, n_inputs, _ = build(network, side)
    x = draw(1, 200, n_inputs)
    outputs = [function(start(function, seed), x) for seed in range(20)]
    output = torch.cat(outputs)
    if side == "encoder":
        output = output.chunk(2, dim=-1)[0]
    assert 0.1 < output.square().mean() < 10.0


@every_network
@both_sides
def test_nothing_waits_for_a_number(network, side):
    function, n_inputs, n_outputs = build(network, side)
    weights = {key: value.to("meta") for key, value in trained(function).items()}
    output = function(weights, draw(N_ROWS, n_inputs).to("meta"))
    assert output.shape == (N_REPLICAS, N_ROWS, n_outputs)


SHORT = {"max_iter": 2, "tol": 1e3, "batch_size": 16, "precision": "float64"}


def fitted(network, X):
    return BalancedVAE(2, network=network, random_state=0, **SHORT).fit(X)


def table(network):
    """Rows of as many columns as a network takes."""
    generator = np.random.default_rng(0)
    factors = generator.standard_normal((60, 2))
    X = factors @ generator.standard_normal((2, n_features_of(network)))
    return X + 0.3 * generator.standard_normal(X.shape)


@every_network
def test_fit_does_all_five_jobs_and_can_be_stored(network):
    X = table(network)
    X[::4, 1] = np.nan
    vae = fitted(network, X)
    again = pickle.loads(pickle.dumps(vae))
    for each in (vae, again, fitted(clone(network), X)):
        np.testing.assert_allclose(each.transform(X), vae.transform(X), atol=1e-12)
        assert each.score(X) == pytest.approx(vae.score(X), abs=1e-9)
    assert vae.inverse_transform(vae.transform(X)).shape == X.shape
    assert vae.sample(3, random_state=0).shape == (3, X.shape[1])
    assert np.isfinite(vae.impute(X)).all()
    part = [5, 9, 20]
    np.testing.assert_allclose(vae.transform(X[part]), vae.transform(X)[part])
    np.testing.assert_allclose(vae.score_samples(X[part]), vae.score_samples(X)[part])
    assert np.isfinite(vae.partial_fit(X).score(X))


@every_network
def test_path_is_each_beta_alone(network):
    X = table(network)
    settings = {"n_components": 2, "network": network, "random_state": 0, **SHORT}
    path = beta_path(X, betas=[0.5, 2.0], **settings)
    for beta, vae in zip(path.betas, path.models, strict=True):
        alone = BalancedVAE(beta=beta, **settings).fit(X)
        assert alone.elbo_ == pytest.approx(vae.elbo_, abs=1e-8)


@pytest.mark.parametrize(
    ("network", "parameter", "values"),
    [
        (MLP(), "hidden_layer_sizes", [(8,), (8,), (2,)]),
        (OF_PICTURES["pictures"], "n_blocks", [1, 1, 0]),
        (OF_MODULES["torch"], "make_decoder", [Decoder, Decoder, nn.Linear]),
    ],
    ids=["mlp", "pictures", "torch"],
)
def test_settings_can_be_searched(network, parameter, values):
    search = GridSearchCV(
        BalancedVAE(2, network=network, random_state=0, **SHORT),
        {f"network__{parameter}": values},
        cv=2,
        error_score="raise",
    ).fit(table(network))
    first, again, other = search.cv_results_["mean_test_score"]
    assert first == again
    assert first != other
