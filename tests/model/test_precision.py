"""Precision of training steps: products in bfloat16 and TF32, all else as it is."""

import pickle
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from torch import nn

from skvae import BalancedVAE, BalancedVAECV, OutlierVAE
from skvae.model import _device, _precision
from skvae.model._precision import InBfloat16, InTF32, for_steps
from skvae.networks import MLP, ConvNet, TorchNetwork

X = load_wine().data
N_REPLICAS, N_ROWS, N_INPUTS, N_OUTPUTS = 2, 6, 12, 5
MATMUL = torch.backends.cuda.matmul


class Normed(nn.Sequential):
    """A module of a user."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(nn.Linear(n_inputs, 8), nn.LayerNorm(8), nn.Tanh())
        self.append(nn.Linear(8, n_outputs))


class EncoderOfModule(Normed):
    def __init__(self, n_inputs, n_components):
        super().__init__(n_inputs, 2 * n_components)


NETWORKS = {
    "plain": MLP((8, 8)),
    "linear": MLP(()),
    "full": MLP((8,), posterior="full"),
    "residual": MLP((8, 8), "gelu", residual=True, layer_norm=True, linear_path=False),
    **{name: MLP((8,), name) for name in ("relu", "tanh", "elu", "softplus")},
    "leaky": MLP((8, 8), "leaky_relu", dropout=0.3),
    "pictures": ConvNet((1, 3, 4), channels=(2,), hidden_layer_sizes=(6,)),
    "module": TorchNetwork(EncoderOfModule, Normed),
}
every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def small(**params):
    settings = {"n_components": 2, "hidden_layer_sizes": (16, 16), "tol": 1e3}
    settings = {"max_iter": 10, **settings, **params}
    return BalancedVAE(random_state=0, **settings)


def derivatives(function, weights, x):
    """Output of a function, and its pullback of ones to weights and rows."""
    output, pullback = function.vjp(weights, x, to_rows=True)
    gradients = {name: torch.empty_like(weights[name]) for name in function.shapes}
    to_x = pullback(torch.ones_like(output), gradients)
    return {**gradients, "output": output, "rows": to_x}


def drawn(function, n_inputs):
    """Weights of a function, with noise, and rows."""
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(N_REPLICAS, *shape, generator=generator) / 3.0
        for name, shape in function.shapes.items()
    }
    for name, width in function.noise_widths.items():
        weights[name] = torch.randn(N_ROWS, width, generator=generator)
    return weights, torch.randn(N_REPLICAS, N_ROWS, n_inputs, generator=generator)


@every_network
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_derivatives_are_those_of_a_rounded_function(network, side):
    widths = (N_INPUTS, 2) if side == "encoder" else (2, N_INPUTS)
    function = getattr(network, side)(*widths)
    weights, x = drawn(function, widths[0])
    exact = derivatives(function, weights, x)
    found = derivatives(InBfloat16(function), weights, x)
    for name, value in found.items():
        assert value.dtype == torch.float32, name
        # The type has eight bits, and errors of layers add up.
        bound = 0.04 * (exact[name].abs().max() + 1e-3)
        assert (value - exact[name]).abs().max() < bound, name
    assert torch.equal(found["output"], found["output"].bfloat16().float())
    assert not torch.equal(found["output"], exact["output"])


@every_network
@pytest.mark.parametrize("reduced", [InBfloat16, InTF32])
def test_all_but_derivatives_is_that_of_the_function(network, reduced):
    function = network.encoder(N_INPUTS, 2)
    found = reduced(function)
    weights, x = drawn(function, N_INPUTS)
    assert torch.equal(found(weights, x), function(weights, x))
    for name in ("shapes", "noise_widths", "cells_per_row", "uses_autograd"):
        assert getattr(found, name) == getattr(function, name)
    one, other = (
        each.init(torch.Generator().manual_seed(1)) for each in (found, function)
    )
    assert all(torch.equal(one[name], other[name]) for name in function.shapes)
    decoder = network.decoder(2, N_INPUTS)
    start = decoder.init(torch.Generator().manual_seed(1))
    again = {name: value.clone() for name, value in start.items()}
    bias = torch.arange(N_INPUTS, dtype=torch.float64)
    decoder.set_bias(start, bias)
    reduced(decoder).set_bias(again, bias)
    assert all(torch.equal(start[name], again[name]) for name in start)


def test_usual_precisions_change_nothing():
    module = small().fit(X)._fitted.spec.module()
    assert for_steps(module, "float32") is module
    assert for_steps(module, "float64") is module
    changed = for_steps(module, "bfloat16")
    assert type(changed.encoder) is type(changed.decoder) is InBfloat16
    assert type(module.encoder) is not InBfloat16


class OfFloats(Normed):
    """A module with a tensor of single precision at the least."""

    def forward(self, x):
        dtype = torch.promote_types(x.dtype, torch.float32)
        return super().forward(x @ torch.eye(x.shape[1], dtype=dtype))


def test_module_that_cannot_compute_in_bfloat16_is_refused():
    network = TorchNetwork(EncoderOfModule, OfFloats)
    small(network=network).fit(X)
    with pytest.raises(ValueError, match=r"'bfloat16' .*dtype=x.dtype, or .*'float32'"):
        small(network=network, precision="bfloat16").fit(X)


class Broken(Normed):
    """A module with an error of its own, in training alone."""

    def forward(self, x):
        if len(x) > 100:
            raise RuntimeError("an error of its own")
        return super().forward(x)


def test_other_errors_of_a_module_are_left_as_they_are():
    network = TorchNetwork(EncoderOfModule, Broken)
    with pytest.raises(RuntimeError, match=r"^an error of its own"):
        small(network=network, precision="bfloat16").fit(X)


# Real tables


@pytest.mark.parametrize("network", [None, NETWORKS["module"]], ids=["own", "module"])
def test_training_in_bfloat16_ends_where_float32_does(network):
    train, new = train_test_split(X, random_state=0)
    found, expected = (
        small(precision=precision, network=network, max_iter=30).fit(train)
        for precision in ("bfloat16", "float32")
    )
    assert found.score(new) == pytest.approx(expected.score(new), abs=0.05)
    Z, expected_Z = found.transform(new), expected.transform(new)
    assert 0.0 < np.sqrt(np.square(Z - expected_Z).mean()) < 0.04
    assert found._fitted.dtype == np.float32


def test_wide_table_in_bfloat16():
    train, new = train_test_split(load_breast_cancer().data, random_state=0)
    scores = [
        small(precision=precision, n_components=5, max_iter=20).fit(train).score(new)
        for precision in ("bfloat16", "float32")
    ]
    # Fits of other seeds are up to 2 nats apart.
    assert scores[0] == pytest.approx(scores[1], abs=1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_have_the_precision_of_their_rows(dtype):
    vae = small(precision="bfloat16").fit(X)
    rows = X.astype(dtype)
    for method in ("transform", "score_samples", "log_likelihood", "score_cells"):
        found = getattr(vae, method)(rows)
        assert found.dtype == dtype
        assert np.isfinite(found).all()
    # Rows differ by less than the type of the steps can tell.
    one, other = vae.transform(np.stack([X[0], X[0] * (1.0 + 1e-5)]))
    assert 0.0 < np.abs(one - other).max() < 1e-2


def test_training_in_bfloat16_is_deterministic_and_stored():
    vae = small(precision="bfloat16").fit(X)
    expected = vae.score_samples(X)
    np.testing.assert_array_equal(clone(vae).fit(X).score_samples(X), expected)
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(again.score_samples(X), expected)
    assert again.precision == "bfloat16"


@pytest.mark.parametrize(
    "params",
    [
        {"likelihood": "student_t", "balance": "constant"},
        {"balance": "learned_variance", "divergence": "mmd"},
        {"network": MLP((8,), dropout=0.2)},
        {"early_stopping": False, "batch_size": 16},
    ],
    ids=str,
)
def test_other_parts_of_the_formula_in_bfloat16(params):
    table = X.copy()
    table[::7, 3] = np.nan
    vae = small(precision="bfloat16", **params).fit(table)
    assert np.isfinite(vae.score_samples(table)).all()
    assert np.isfinite(vae.impute(table)).all()
    assert all(np.isfinite(each).all() for each in vae.history_.values())
    assert np.isfinite(vae.partial_fit(table).score(table))


def test_searches_in_bfloat16():
    grid = {"precision": ["float32", "bfloat16"]}
    search = GridSearchCV(small(), grid, cv=KFold(2, shuffle=True, random_state=0)).fit(
        X
    )
    first, second = search.cv_results_["mean_test_score"]
    assert first == pytest.approx(second, abs=0.1)
    params = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}
    search = BalancedVAECV([0.5, 1.0], cv=2, precision="bfloat16", **params).fit(X)
    assert np.isfinite(search.score(X))
    assert OutlierVAE(precision="bfloat16", **params).fit_predict(X).shape == (178,)


def test_remedy_of_a_divergence_names_double_precision():
    from skvae.exceptions import TrainingDivergedError

    params = {"learning_rate_init": 1e30, "learning_rate": "constant"}
    with pytest.raises(TrainingDivergedError, match="Or use precision='float64'"):
        small(precision="bfloat16", early_stopping=False, **params).fit(X)


# TF32


def state():
    """Settings of torch for products of float32, as each of its readers sees them."""
    readers = (
        lambda: MATMUL.allow_tf32,
        lambda: getattr(MATMUL, "fp32_precision", None),
        lambda: getattr(torch.backends, "fp32_precision", None),
        torch.get_float32_matmul_precision,
    )
    found = []
    for reader in readers:
        try:
            found.append(reader())
        except RuntimeError:
            # Of two settings that disagree, as torch words it.
            found.append("mixed")
    return found


def allows_tf32():
    """Whether products may use TF32."""
    if hasattr(MATMUL, "fp32_precision"):
        return MATMUL.fp32_precision == "tf32"
    return MATMUL.allow_tf32


@pytest.fixture(autouse=True)
def _untouched():
    before = state()
    yield
    assert state() == before


@pytest.fixture(params=["default", "highest", "high", "medium"])
def user(request):
    """A user with a setting of their own for all products."""
    before = torch.get_float32_matmul_precision()
    if request.param == "default":
        yield
        return
    torch.set_float32_matmul_precision(request.param)
    yield
    torch.set_float32_matmul_precision(before)
    if hasattr(MATMUL, "fp32_precision"):
        MATMUL.fp32_precision = "none"


@pytest.fixture(params=["ieee", "tf32"])
def user_of_all(request):
    """A user of the setting of torch 2.9 for all products of all devices."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this torch has one setting alone")
    torch.backends.fp32_precision = request.param
    yield
    torch.backends.fp32_precision = "none"


def _is_restored():
    before = state()
    with _precision._tf32.allowed():
        assert allows_tf32()
    assert state() == before
    with pytest.raises(ZeroDivisionError), _precision._tf32.allowed():
        raise ZeroDivisionError
    assert state() == before


@pytest.mark.usefixtures("user")
def test_setting_of_the_user_is_restored():
    _is_restored()


@pytest.mark.usefixtures("user_of_all")
def test_setting_of_the_user_for_all_products_is_restored():
    _is_restored()
    # It still follows that of all products.
    torch.backends.fp32_precision = "tf32"
    assert allows_tf32()
    torch.backends.fp32_precision = "ieee"
    assert not allows_tf32()


def test_older_setting_is_used_where_it_is_the_only_one(monkeypatch):
    setting = []
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace())
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: setting[-1])
    monkeypatch.setattr(torch, "set_float32_matmul_precision", setting.append)
    for before in ("highest", "high", "medium"):
        setting.append(before)
        with _precision._tf32.allowed():
            assert setting[-1] == "high"
        assert setting[-1] == before


def test_last_of_several_threads_restores_the_setting():
    is_in, may_leave = threading.Event(), threading.Event()

    def other():
        with _precision._tf32.allowed():
            is_in.set()
            may_leave.wait(10.0)

    thread = threading.Thread(target=other)
    with _precision._tf32.allowed():
        thread.start()
        assert is_in.wait(10.0)
    assert allows_tf32()
    may_leave.set()
    thread.join()
    assert not allows_tf32()


class Recorded(MLP):
    """A network that notes the setting whenever it computes."""

    def encoder(self, n_inputs, n_components):
        inner = super().encoder(n_inputs, n_components)
        inner.__class__ = type("Noted", (_Noted, type(inner)), {})
        return inner


SEEN: dict[str, set] = {"call": set(), "vjp": set(), "pullback": set()}


class _Noted:
    def __call__(self, weights, x):
        SEEN["call"].add(allows_tf32())
        return super().__call__(weights, x)

    def vjp(self, weights, x, *, to_rows):
        SEEN["vjp"].add(allows_tf32())
        output, inner = super().vjp(weights, x, to_rows=to_rows)

        def pullback(to_output, gradients):
            SEEN["pullback"].add(allows_tf32())
            return inner(to_output, gradients)

        return output, pullback


def test_tf32_is_allowed_in_steps_alone(monkeypatch):
    expected = small(network=MLP((4,))).fit(X)
    monkeypatch.setattr(_device, "has_tf32", lambda device: True)
    for seen in SEEN.values():
        seen.clear()
    found = small(network=Recorded((4,)), precision="tf32").fit(X)
    expected_of = {"call": {False}, "vjp": {True}, "pullback": {True}}
    assert expected_of == SEEN
    # The CPU has none of it, so that nothing else differs.
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))
