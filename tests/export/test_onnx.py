"""ONNX files, read by ONNX Runtime: the same numbers as the estimator's."""

import json
import sys

import pytest
import torch
from numpy.testing import assert_allclose

from skvae._torch_compat import lgamma_operator
from skvae.export import to_onnx
from skvae.export._onnx import log_gamma
from skvae.networks import MLP
from skvae.networks._base import Function

from .conftest import WINE, frame, small

METHODS = ["transform", "inverse_transform", "score_samples"]
REASON = "needs the extra skvae[onnx]; `make test-engines` installs it"


@pytest.fixture
def runtime():
    """Function that runs a file on rows."""
    pytest.importorskip("onnx", reason=REASON)
    pytest.importorskip("onnxscript", reason=REASON)
    onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)

    def run(path, rows):
        session = onnxruntime.InferenceSession(path)
        (given,) = session.get_inputs()
        return session.run(None, {given.name: rows})[0]

    return run


def check(runtime, folder, case, method, precision):
    """Compare a file with the estimator, on all rows and on one."""
    path = folder / "model.onnx"
    to_onnx(case.estimator, path, method, precision=precision)
    rows = case.X.astype(precision)
    if method == "inverse_transform":
        rows = case.estimator.transform(rows)
    found = runtime(path, rows)
    assert found.dtype == precision
    assert_allclose(found, case.expected(method, rows), rtol=1e-5, atol=1e-5)
    assert_allclose(runtime(path, rows[:1]), found[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_runtime_computes_what_the_estimator_does(case, method, runtime, tmp_path):
    check(runtime, tmp_path, case, method, "float32")


@pytest.mark.parametrize("case", ["by columns", "beta", "tanh"], indirect=True)
@pytest.mark.parametrize("method", METHODS)
def test_runtime_takes_double_precision(case, method, runtime, tmp_path):
    check(runtime, tmp_path, case, method, "float64")


def test_file_describes_itself(runtime, tmp_path):
    import onnx

    vae, path = small().fit(frame()), tmp_path / "model.onnx"
    to_onnx(vae, path, "inverse_transform")
    model = onnx.load(path)
    assert [given.name for given in model.graph.input] == ["Z"]
    assert [given.name for given in model.graph.output] == ["inverse_transform"]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["method"] == "inverse_transform"
    assert json.loads(metadata["levels"]) == [None, ["u", "v", "w"], None, None]
    to_onnx(vae, path)
    assert [given.name for given in onnx.load(path).graph.input] == ["X"]


class Special(MLP):
    """A network with a function that ONNX does not have."""

    def encoder(self, n_inputs, n_components):
        return Bent(super().encoder(n_inputs, n_components))


class Bent(Function):
    def __init__(self, inner):
        self.inner, self.shapes, self.init = inner, inner.shapes, inner.init

    def __call__(self, weights, x):
        return torch.digamma(1.0 + self.inner(weights, x).square())


def test_operation_without_a_counterpart_is_named(runtime, tmp_path):
    vae = small(network=Special((4,), linear_path=False)).fit(WINE)
    with pytest.raises(ValueError, match="to_onnx cannot write 'transform' of this"):
        to_onnx(vae, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_absent_extra_is_named(package, monkeypatch, tmp_path):
    if package == "onnxscript":
        pytest.importorskip("onnx", reason=REASON)

    class NotInstalled:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])
    for loaded in [*sys.modules]:
        if loaded.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, loaded)
    message = (
        f"to_onnx needs {package}, which is not installed. Install it with: "
        r"pip install 'skvae\[onnx\]'"
    )
    with pytest.raises(ImportError, match=message):
        to_onnx(small().fit(WINE), tmp_path / "model.onnx")


class LogGamma(torch.nn.Module):
    def forward(self, x):
        return torch.lgamma(x)


def test_log_gamma_is_exact(runtime, tmp_path):
    x = torch.tensor([1e-30, 1e-8, 0.3, 1.0, 1.5, 2.0, 9.7, 10.0]).double()
    program = torch.onnx.export(
        LogGamma().eval(),
        (x,),
        dynamo=True,
        verbose=False,
        custom_translation_table={lgamma_operator(): log_gamma()},
    )
    program.save(tmp_path / "model.onnx")
    found = runtime(tmp_path / "model.onnx", x.numpy())
    assert_allclose(found, torch.lgamma(x), rtol=1e-7, atol=1e-7)
