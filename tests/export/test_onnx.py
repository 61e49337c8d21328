"""ONNX files, read by ONNX Runtime: the same numbers as the estimator's."""

import json
import sys

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae._torch_compat import operator
from skvae.export import to_onnx
from skvae.export._operators import log_gamma, log_normal_cdf, search
from skvae.networks import MLP
from skvae.networks._base import Function

from .conftest import RANKED, WINE, frame, on_knots_and_between, small

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


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_maps_by_rank_know_their_values_again(method, precision, runtime, tmp_path):
    vae, path = small(standardize="quantile").fit(RANKED), tmp_path / "model.onnx"
    to_onnx(vae, path, method, precision=precision)
    rows = on_knots_and_between().astype(precision)
    if method == "inverse_transform":
        rows = vae.transform(rows)
    found, expected = runtime(path, rows), getattr(vae, method)(rows)
    assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


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


class Applied(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def translated(function, operation, translation, x, runtime, folder):
    """What ONNX Runtime makes of a function of tensors."""
    program = torch.onnx.export(
        Applied(function).eval(),
        (x,),
        dynamo=True,
        verbose=False,
        custom_translation_table={operator(operation): translation},
    )
    program.save(folder / "model.onnx")
    return runtime(folder / "model.onnx", x.numpy())


def test_log_gamma_is_exact(runtime, tmp_path):
    x = torch.tensor([1e-30, 1e-8, 0.3, 1.0, 1.5, 2.0, 9.7, 10.0]).double()
    found = translated(torch.lgamma, "lgamma", log_gamma(), x, runtime, tmp_path)
    assert_allclose(found, torch.lgamma(x), rtol=1e-7, atol=1e-7)


def test_log_normal_cdf_is_exact(runtime, tmp_path):
    x = torch.linspace(-50.0, 10.0, 6001).double()
    x, function = torch.cat([x, -x.square().square()]), torch.special.log_ndtr
    found = translated(
        function, "special_log_ndtr", log_normal_cdf(), x, runtime, tmp_path
    )
    assert_allclose(found, function(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("n_entries", [1, 2, 3, 4, 7, 8])
def test_search_is_exact(n_entries, right, runtime, tmp_path):
    entries = torch.arange(2.0 * n_entries).view(2, -1)
    entries[1, n_entries // 2 + 1 :] = torch.inf

    def function(x):
        return torch.searchsorted(entries, x, right=right)

    x = torch.arange(-1.0, 2 * n_entries, 0.5).expand(2, -1).contiguous()
    name = "searchsorted.Tensor"
    found = translated(function, name, search(), x, runtime, tmp_path)
    assert_array_equal(found, function(x))
