"""Devices by their names, and what they lack, without any of them being here."""

import contextlib
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from skvae import BalancedVAE, BalancedVAECV, OutlierVAE, beta_path
from skvae.balance import Constant
from skvae.fit import _fit, _pass, _prepare
from skvae.fit._fit import Fit
from skvae.fitted import _inference
from skvae.model import _device
from skvae.model._device import (
    device_of_use,
    devices_here,
    has_float64,
    missing_named,
    torch_device,
    training_device,
)

X = load_wine().data
ELSEWHERE = ["mps", "xpu", "xpu:0", "xpu:1", "cuda:1"]
MPS = torch.device("mps")


def small(**params):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, **params}
    return BalancedVAE(2, random_state=0, **settings)


@pytest.fixture
def nothing_here(monkeypatch):
    """A machine without accelerators."""

    def reach(device):
        if device.type != "cpu":
            raise RuntimeError("none of it here")

    monkeypatch.setattr(_device, "_reach", reach)
    monkeypatch.setattr(_device, "devices_here", lambda: ["cpu", "cuda:0"])


@pytest.fixture
def all_here(monkeypatch):
    """A machine with every device that is asked for, and double precision on none."""
    monkeypatch.setattr(_device, "_reach", lambda device: None)
    monkeypatch.setattr(_device, "has_float64", lambda device: device.type == "cpu")


@pytest.mark.parametrize("kind", [str, torch.device])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_device_that_is_not_here(nothing_here, name, kind):
    match = (
        f"device='{name}' is not available here: expected .*, which are cpu, cuda:0. "
        "Use device='cpu', device='auto' or another of these; .* a build of torch"
    )
    with pytest.raises(ValueError, match=match) as error:
        small(device=kind(name)).fit(X)
    assert isinstance(error.value.__cause__, RuntimeError)
    assert device_of_use(kind(name)) == torch.device("cpu")


@pytest.mark.parametrize("kind", [str, torch.device])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_device_is_accepted_by_name(all_here, name, kind):
    found = training_device(kind(name), "float32")
    assert (str(found), type(found)) == (name, torch.device)


@pytest.mark.parametrize("device", [None, 0, ["cpu"]])
@pytest.mark.parametrize("estimator", [BalancedVAE, OutlierVAE, BalancedVAECV])
def test_device_of_another_type(estimator, device):
    with pytest.raises(ValueError, match=r"'device' .* 'str' or .* 'torch.device'"):
        estimator(device=device).fit(X)


def test_devices_are_those_that_torch_sees(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices_here() == ["cpu", "cuda:0", "cuda:1", "xpu:0", "mps"]
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices_here() == ["cpu", "cuda:0", "cuda:1", "xpu:0"]


@pytest.mark.parametrize(("has_cuda", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_or_the_cpu(all_here, monkeypatch, has_cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert torch_device("auto") == torch.device(expected)


def test_device_object_is_a_parameter_like_a_name():
    device = torch.device("cpu")
    found, expected = small(device=device).fit(X), small(device="cpu").fit(X)
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))
    path = beta_path(X, betas=[0.5, 1.0], n_components=2, device=device, max_iter=1)
    assert len(path.betas) == 2


def test_double_precision_is_asked_of_the_device():
    assert has_float64(torch.device("cpu"))
    # It takes tensors, but computes nothing.
    assert not has_float64(torch.device("meta"))


def test_double_precision_is_refused_before_the_fit(all_here, monkeypatch):
    monkeypatch.setattr(_prepare, "scaled", None)
    match = "precision='float64' needs .* device='mps' has none. Use .*'float32'"
    vae = small(device="mps", precision="float64")
    with pytest.raises(ValueError, match=match):
        vae.fit(X)
    with pytest.raises(ValueError, match=match):
        vae.partial_fit(X)
    assert not hasattr(vae, "n_components_")


def test_model_of_a_device_without_double_precision_works_on_the_cpu(all_here):
    vae = small().fit(X)
    expected = vae.score_samples(X)
    vae.set_params(device="mps")
    found = vae.score_samples(X)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64


@pytest.mark.parametrize("device", ["cpu", "mps", "xpu"])
def test_tf32_is_refused_where_there_is_none(all_here, device):
    match = f"precision='tf32' needs an NVIDIA .* device='{device}'. Use .*'bfloat16'"
    with pytest.raises(ValueError, match=match):
        small(device=device, precision="tf32").fit(X)


@pytest.mark.parametrize("is_supported", [True, False])
def test_tf32_is_asked_of_the_gpu(all_here, monkeypatch, is_supported):
    asked = []

    @contextlib.contextmanager
    def current(device):
        asked.append(device)
        yield

    monkeypatch.setattr(torch.cuda, "device", current)
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: is_supported, False)
    expected = contextlib.nullcontext()
    if not is_supported:
        expected = pytest.raises(ValueError, match="precision='tf32' needs")
    with expected:
        training_device("cuda:1", "tf32")
    assert asked == [torch.device("cuda:1")]


#: Errors as torch words them, and what of it is named.
MISSING = {
    "The operator 'aten::_foo.out' is not currently implemented for the MPS device. If "
    "you want this op to be added ... set `PYTORCH_ENABLE_MPS_FALLBACK=1`": (
        NotImplementedError,
        "lacks the operation aten::_foo.out, .* PYTORCH_ENABLE_MPS_FALLBACK=1 before",
    ),
    "Could not run 'aten::foo' with arguments from the 'MPS' backend.": (
        NotImplementedError,
        "lacks the operation aten::foo,",
    ),
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support "
    "float64. Please use float32 instead.": (TypeError, "lacks double precision,"),
    "Required aspect fp64 is not supported on the device": (
        RuntimeError,
        "lacks double precision,",
    ),
}


@pytest.mark.parametrize(("text", "case"), MISSING.items())
def test_missing_operation_is_named(text, case):
    kind, match = case
    with (
        pytest.raises(NotImplementedError, match=f"device='mps' {match}") as error,
        missing_named(MPS),
    ):
        raise kind(text)
    assert str(error.value.__cause__) == text
    assert "Use device='cpu'" in str(error.value)
    # The fallback of torch is for mps alone.
    with (
        pytest.raises(NotImplementedError, match=r"device='xpu:1' lacks") as error,
        missing_named(torch.device("xpu:1")),
    ):
        raise kind(text)
    assert "FALLBACK" not in str(error.value)


@pytest.mark.parametrize(
    ("device", "error"),
    [
        ("cpu", NotImplementedError("The operator 'aten::foo' is not there")),
        ("mps", NotImplementedError("a policy without an update")),
        ("mps", RuntimeError("a shape in aten::foo")),
        ("mps", TypeError("float64 is not iterable")),
        ("mps", KeyError("aten::foo")),
    ],
)
def test_other_errors_are_left_as_they_are(device, error):
    with pytest.raises(type(error)) as found, missing_named(torch.device(device)):
        raise error
    assert found.value is error


def test_error_of_this_torch_is_understood():
    if torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    with (
        pytest.raises(NotImplementedError, match="lacks the operation aten::empty"),
        missing_named(MPS),
    ):
        torch.empty(0, device="mps")


class _Failing(Constant):
    """A policy with an operation that a device does not have."""

    def update(self, state, terms, progress):
        raise NotImplementedError("The operator 'aten::foo' is not implemented")


def _on_mps(device):
    return missing_named(MPS)


def test_fit_names_what_its_device_lacks(monkeypatch):
    vae = small(balance=_Failing())
    with pytest.raises(NotImplementedError, match=r"^The operator"):
        vae.fit(X)
    monkeypatch.setattr(_fit, "missing_named", _on_mps)
    for fit in (vae.fit, vae.partial_fit):
        with pytest.raises(NotImplementedError, match="lacks the operation aten::foo"):
            fit(X)
    assert not hasattr(vae, "n_components_")


def test_a_pass_that_goes_on_names_it_too(monkeypatch):
    """Of the comparison on held-out rows, and of weights that stay the best."""
    vae = small().partial_fit(X)

    def fails(*args):
        raise NotImplementedError("The operator 'aten::foo' is not implemented")

    monkeypatch.setattr(_pass, "missing_named", _on_mps)
    for owner, name in ((_pass.training.Validation, "drawn"), (Fit, "attributes")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            # Weights that training makes worse.
            vae.set_params(learning_rate="constant", learning_rate_init=1.0)
            with pytest.raises(NotImplementedError, match="lacks the operation"):
                vae.partial_fit(X)


def test_what_follows_the_training_names_it_too(monkeypatch):
    def evaluate(*args):
        raise NotImplementedError("The operator 'aten::foo' is not implemented")

    monkeypatch.setattr(_fit, "missing_named", _on_mps)
    monkeypatch.setattr(_fit, "evaluate", evaluate)
    with pytest.raises(NotImplementedError, match="lacks the operation aten::foo"):
        small().fit(X)


@pytest.mark.parametrize(
    ("method", "step"),
    [
        ("transform", "encode"),
        ("inverse_transform", "decode"),
        ("score_samples", "log_prob"),
        ("score_cells", "log_prob"),
        ("log_likelihood", "log_prob"),
        ("sample", "sample"),
        ("sample given cells", "log_prob"),
        ("impute", "expectation"),
        ("impute by draws", "sample"),
    ],
)
def test_methods_name_what_their_device_lacks(monkeypatch, method, step):
    def missing(*args, **kwargs):
        raise NotImplementedError("The operator 'aten::foo' is not implemented")

    vae = small().fit(X)
    gaps = X.copy()
    gaps[:3, 0] = np.nan
    calls = {
        "inverse_transform": partial(vae.inverse_transform, vae.transform(X)),
        "sample": partial(vae.sample, 3),
        "sample given cells": partial(vae.sample, 3, given={0: X[0, 0]}),
        "impute": partial(vae.impute, gaps),
        "impute by draws": partial(vae.impute, gaps, n_draws=2),
    }
    call = calls.get(method) or partial(getattr(vae, method), X)
    monkeypatch.setattr(_inference, "missing_named", _on_mps)
    module = vae._fitted.on(vae.device).module
    for dtype in (np.float64, np.float32):
        module = vae._fitted.on(vae.device, dtype).module
        owner = module if step in {"encode", "decode"} else module.likelihood
        monkeypatch.setattr(owner, step, missing)
    with pytest.raises(NotImplementedError, match="lacks the operation aten::foo"):
        call()
