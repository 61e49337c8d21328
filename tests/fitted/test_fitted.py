"""A fitted model as arrays: pickled, copied, and built once on each device."""

import copy
import gc
import io
import pickle
import weakref
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import Cyclical, LearnedVariance
from skvae.fitted._fitted import Fitted
from skvae.networks import MLP

X = load_wine().data

MODELS = {
    "default": {},
    "wrapped": {"balance": Cyclical(policy=LearnedVariance(scope="feature"))},
    "mixed": {
        "balance": "constant",
        "likelihood": [("student_t", [0, 1]), ("gaussian", list(range(2, 13)))],
    },
    "full posterior": {"network": MLP((4,), posterior="full")},
}


def trained(**params):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3}
    return BalancedVAE(2, **{**settings, "random_state": 0, **params})


@pytest.fixture(scope="module", params=MODELS)
def vae(request):
    return trained(**MODELS[request.param]).fit(X)


@pytest.fixture
def fitted():
    return trained().fit(X)._fitted


class Recorder(pickle.Unpickler):
    """Unpickles, and remembers which modules that takes."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.packages = set()

    def find_class(self, module, name):
        self.packages.add(module.split(".")[0])
        return super().find_class(module, name)


def packages_in(thing):
    """Packages whose objects are in the pickle of a thing."""
    recorder = Recorder(pickle.dumps(thing))
    recorder.load()
    return recorder.packages


def test_pickle_holds_arrays_and_nothing_of_torch(vae):
    # Scoring builds a torch model, which is not the pickle's business.
    vae.score(X)
    for thing in (vae._fitted, vae):
        packages = packages_in(thing)
        assert {"numpy", "skvae"} <= packages
        assert "torch" not in packages
    # The test can fail.
    assert "torch" in packages_in(torch.zeros(1))


def test_pickle_and_deep_copy_do_the_same(vae):
    for again in (pickle.loads(pickle.dumps(vae)), copy.deepcopy(vae)):
        assert again._fitted is not vae._fitted
        assert_array_equal(again.transform(X), vae.transform(X))
        assert_array_equal(again.score_samples(X), vae.score_samples(X))
        drawn = vae.sample(3, random_state=0)
        assert_array_equal(again.sample(3, random_state=0), drawn)
        both = copy.deepcopy(vae).partial_fit(X), again.partial_fit(X)
        assert_array_equal(both[1]._fitted.values, both[0]._fitted.values)


def test_shallow_copy_goes_its_own_way(vae):
    other, before = copy.copy(vae), vae.transform(X)
    assert other._fitted is vae._fitted
    other.partial_fit(X)
    assert other._fitted is not vae._fitted
    assert_array_equal(vae.transform(X), before)


def test_clone_is_not_fitted(vae):
    other = clone(vae)
    assert not hasattr(other, "_fitted")
    assert repr(other) == repr(vae)


def test_arrays_are_in_the_precision_of_the_training():
    for precision in ("float32", "float64"):
        fitted = trained(precision=precision).fit(X)._fitted
        assert fitted.dtype == fitted.values.dtype == np.dtype(precision)
        state = fitted.training_state
        assert fitted.variance.dtype == state.values.dtype == fitted.dtype
        assert len(fitted.values) == 1


def test_model_is_built_once_for_each_device_and_precision(fitted):
    model = fitted.on("cpu")
    assert fitted.on("cpu", np.float64) is model
    assert fitted.on("cpu", "float64") is model
    single = fitted.on("cpu", np.float32)
    assert single is not model
    assert fitted.on("cpu", np.dtype("float32")) is single
    for found, dtype in ((model, torch.float64), (single, torch.float32)):
        assert found.scored_variance.dtype == dtype
        assert {weight.dtype for weight in found.weights.values()} == {dtype}
        assert {weight.device.type for weight in found.weights.values()} == {"cpu"}


def test_methods_of_an_estimator_share_a_model(monkeypatch):
    vae, build, built = trained(device="cpu").fit(X), Fitted._built, []

    def counted(self, *key):
        built.append(key)
        return build(self, *key)

    monkeypatch.setattr(Fitted, "_built", counted)
    for _ in range(2):
        vae.transform(X)
        vae.score_samples(X)
        vae.sample(2, random_state=0)
    assert len(built) == len(set(built))


def test_copies_have_models_of_their_own(fitted):
    other = copy.copy(fitted)
    assert other.on("cpu") is not fitted.on("cpu")
    assert other.on("cpu") is other.on("cpu")


def test_models_go_with_what_they_are_models_of(fitted):
    model = weakref.ref(fitted.on("cpu"))
    owner = weakref.ref(fitted)
    vae = BalancedVAE()
    vae._fitted = copy.copy(fitted)
    model_of_copy = weakref.ref(vae._fitted.on("cpu"))
    vae._fitted = None
    gc.collect()
    assert model_of_copy() is None
    assert owner() is fitted
    assert model() is fitted.on("cpu")


def test_settings_are_frozen(fitted):
    with pytest.raises(FrozenInstanceError):
        fitted.beta = 2.0


def test_resumable_copy_differs_in_its_state_alone(fitted):
    state = replace(fitted.training_state, n_steps=7)
    other = fitted.resumable(state)
    assert other.state.n_steps == 7
    assert fitted.state.n_steps != 7
    # The weights are stored once.
    assert other.state.values is None
    assert other.training_state.values is fitted.values
    for field in fields(Fitted):
        if field.name != "state":
            assert getattr(other, field.name) is getattr(fitted, field.name)
