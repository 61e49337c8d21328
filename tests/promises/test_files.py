"""Models in files: whole, or an error that says in a sentence what is wrong."""

import copy
import functools
import io
import pickle
from dataclasses import replace

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal, assert_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops import io as io_of_skops

from skvae import BalancedVAE, BalancedVAECV
from skvae.balance import Cyclical, RunningAverage
from skvae.data._kinds import Whole
from skvae.fitted import _file_format
from skvae.likelihoods import Categorical
from skvae.networks import MLP
from skvae.priors import Mixture

WINE = load_wine().data
X = WINE[:40, :3]


def small(**params):
    settings = {"hidden_layer_sizes": (2,), "max_iter": 2, "tol": 1e3}
    return BalancedVAE(1, **{**settings, "random_state": 0, "device": "cpu", **params})


def mixed_frame():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["category"] = pd.Categorical(["u", "v", None, "w"] * 10)
    frame["text"] = pd.array(["x", "y"] * 20, dtype="string")
    frame["arrow text"] = pd.array(["x", "y"] * 20, dtype="string[pyarrow]")
    frame["flag"] = [True, False] * 20
    frame["count"] = np.arange(40) % 5
    return frame


def enum_frame():
    levels = pl.Series(["u", "v"] * 20, dtype=pl.Enum(["u", "v", "w"]))
    return pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "level": levels})


def with_a_request():
    with config_context(enable_metadata_routing=True):
        return small().set_fit_request(sample_weight=True)


# Estimators and tables that hold one of each kind of setting.
MODELS = {
    "default": (small(), X),
    "without held-out rows": (small(early_stopping=False), X),
    "wrapped": (small(balance=Cyclical(policy=RunningAverage(scope="feature"))), X),
    "own parts": (
        small(
            network=MLP((2,), posterior="full"),
            likelihood=[("student_t", [0, 1]), (Categorical(), [2])],
        ),
        np.column_stack([X[:, :2], np.arange(40) % 3]),
    ),
    "mixture": (small(prior=Mixture(2)), X),
    "generator": (small(random_state=np.random.RandomState(3)), X),
    "metadata": (with_a_request(), X),
    "float32": (small(precision="float64"), X.astype(np.float32)),
    "pandas": (small(), mixed_frame()),
    "polars": (small(), enum_frame()),
    "output": (small().set_output(transform="pandas"), X),
}


def through_joblib(thing, folder, *, compress=0, mmap_mode=None):
    # A file of its own each time: what is mapped from it is read later.
    file = folder / f"{len(list(folder.iterdir()))}.joblib"
    joblib.dump(thing, file, compress=compress)
    return joblib.load(file, mmap_mode=mmap_mode)


ROUND_TRIPS = {
    "pickle": lambda thing, _: pickle.loads(pickle.dumps(thing)),
    "pickle 2": lambda thing, _: pickle.loads(pickle.dumps(thing, protocol=2)),
    "cloudpickle": lambda thing, _: pickle.loads(cloudpickle.dumps(thing)),
    "joblib": through_joblib,
    "compressed": lambda thing, folder: through_joblib(thing, folder, compress=3),
    "memory map": lambda thing, folder: through_joblib(thing, folder, mmap_mode="r"),
    "deepcopy": lambda thing, _: copy.deepcopy(thing),
    "copy": lambda thing, _: copy.copy(thing),
}


@pytest.fixture(scope="module")
def models():
    return {name: clone(vae).fit(table) for name, (vae, table) in MODELS.items()}


def results(vae, table):
    """All that a model can be told apart by."""
    parameters = {
        name: repr(value)
        for name, value in vae.get_params().items()
        if not isinstance(value, np.random.RandomState)
    }
    learned = {
        name: value
        for name, value in vars(vae).items()
        if name[-1] == "_" and name[0] != "_"
    }
    drawn = np.asarray(vae.sample(3, random_state=0))
    imputed = vae.impute(table, 3, n_draws=1, random_state=0)[0]
    scores = [*vae.rate_distortion(table), vae.score_cells(table), vae.transform(table)]
    scores = [np.asarray(each) for each in scores]
    return parameters, learned, drawn.tolist(), np.asarray(imputed).tolist(), scores


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("way", ROUND_TRIPS)
@pytest.mark.parametrize("name", MODELS)
def test_model_comes_back_whole(name, way, models, tmp_path):
    vae, table = models[name], MODELS[name][1]
    again = ROUND_TRIPS[way](vae, tmp_path)
    assert_same(results(again, table), results(vae, table))
    assert vars(again).keys() == vars(vae).keys()
    # Once more, from what came out of a file.
    once_more = ROUND_TRIPS[way](again, tmp_path)
    assert_array_equal(once_more._fitted.values, vae._fitted.values)
    assert type(once_more._fitted.values).__name__ in {"ndarray", "memmap"}


@pytest.mark.parametrize("early_stopping", [True, False])
def test_model_in_a_memory_map_is_read_only_and_can_be_trained_on(
    early_stopping, tmp_path
):
    vae = small(early_stopping=early_stopping).fit(X)
    mapped = through_joblib(vae, tmp_path, mmap_mode="r")
    assert type(mapped._fitted.values) is np.memmap
    assert not mapped._fitted.values.flags.writeable
    assert_same(results(mapped, X), results(vae, X))
    for each in (mapped, vae):
        each.partial_fit(X)
    assert_same(results(mapped, X), results(vae, X))


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"wrapped", "metadata"}))
def test_model_comes_back_whole_from_skops(name, models):
    vae, table = models[name], MODELS[name][1]
    # Use makes tensors of what the parts have learned, which belong in no file.
    vae.sample(2, random_state=0)
    data = io_of_skops.dumps(vae)
    again = io_of_skops.loads(data, io_of_skops.get_untrusted_types(data=data))
    assert_same(results(again, table), results(vae, table))


@pytest.mark.parametrize("way", ROUND_TRIPS)
def test_estimators_within_others_and_unfitted_ones(way, tmp_path):
    pipeline = make_pipeline(StandardScaler(), small()).fit(X)
    again = ROUND_TRIPS[way](pipeline, tmp_path)
    assert_array_equal(again.score_samples(X), pipeline.score_samples(X))
    search = BalancedVAECV([0.5, 1.0], cv=2, hidden_layer_sizes=(2,), max_iter=2)
    assert repr(ROUND_TRIPS[way](search, tmp_path)) == repr(search)
    search.set_params(tol=1e3).fit(X)
    again = ROUND_TRIPS[way](search, tmp_path)
    assert_array_equal(again.score_samples(X), search.score_samples(X))
    assert_equal(again.cv_results_, search.cv_results_)


def test_model_of_a_device_that_is_missing_computes_on_the_cpu():
    vae = small().fit(X)
    expected = results(vae, X)[1:]
    vae.set_params(device="cuda:99")
    again = pickle.loads(pickle.dumps(vae))
    assert again.device == "cuda:99"
    assert_same(results(again, X)[1:], expected)


def test_weights_are_stored_once():
    vae = small(hidden_layer_sizes=(64, 64)).fit(WINE)
    for early_stopping, n_times in ((True, 1), (False, 3)):
        vae.set_params(early_stopping=early_stopping).fit(WINE)
        # Without held-out rows, two moments of the gradient are stored beside them.
        size, weights = len(pickle.dumps(vae)), vae._fitted.values.nbytes
        assert n_times * weights < size < (n_times + 0.3) * weights
        file = io.BytesIO()
        joblib.dump(vae, file)
        assert len(file.getvalue()) < (n_times + 0.3) * weights


# --- Files that were altered ---------------------------------------------------------


def flipped(data, bit):
    """Copy of bytes with one bit changed."""
    data = bytearray(data)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def outcome_of(load, data):
    """Model that comes out of altered bytes; None where that is an error.

    Pickle itself may end early, and then returns a number or a dictionary, which no
    one can use in place of a model.
    """
    try:
        found = load(data)
    except Exception:
        return None
    return found if isinstance(found, BalancedVAE) else None


def load_by_joblib(data):
    return joblib.load(io.BytesIO(data))


def dump_by_joblib(thing):
    file = io.BytesIO()
    joblib.dump(thing, file)
    return file.getvalue()


def load_by_skops(data):
    # The list is that of the whole file: a changed one must not extend it.
    return io_of_skops.loads(data, trusted=trusted())


@functools.cache
def trusted():
    """Types of the models whose files are altered below."""
    files = [
        io_of_skops.dumps(clone(vae).fit(t))
        for vae, t in (MODELS["default"], MODELS["pandas"])
    ]
    return [t for file in files for t in io_of_skops.get_untrusted_types(data=file)]


# Pickle written in C would fill the memory where the number of an object is wrong.
FORMATS = {
    "pickle": (pickle.dumps, pickle._loads),
    "joblib": (dump_by_joblib, load_by_joblib),
    "skops": (io_of_skops.dumps, load_by_skops),
}


# A changed name may be that of something deprecated.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["default", "pandas"])
@pytest.mark.parametrize("format", FORMATS)
def test_no_changed_bit_gives_another_model(format, name, models):
    (dump, load), table = FORMATS[format], MODELS[name][1]
    data, expected = dump(models[name]), results(models[name], table)
    assert_same(results(load(data), table), expected)
    bits = np.random.RandomState(0).randint(8 * len(data), size=250).tolist()
    n_errors = 0
    for bit in bits:
        found = outcome_of(load, flipped(data, bit))
        if found is None:
            n_errors += 1
        else:
            # Bits that say how the file is laid out, and not what is in it.
            assert_same(results(found, table), expected)
    assert n_errors > 200


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_file_is_an_error(format, models):
    dump, load = FORMATS[format]
    data = dump(models["default"])
    for length in np.linspace(0, len(data) - 1, 60, dtype=int).tolist():
        assert outcome_of(load, data[:length]) is None, length


class Tampered(BalancedVAE):
    """An estimator whose state is changed on its way into a file."""

    change = staticmethod(lambda state: None)

    def __getstate__(self):
        state = copy.deepcopy(super().__getstate__())
        return self.change(state) or state


@pytest.fixture
def after(monkeypatch):
    """Function that returns a model after its state was changed in a file."""

    def changed(change):
        monkeypatch.setattr(Tampered, "change", staticmethod(change))
        vae = Tampered(1, hidden_layer_sizes=(2,), max_iter=2, tol=1e3).fit(X)
        return pickle.loads(pickle.dumps(vae))

    return changed


def change_weight(state):
    values = state["_fitted"].values.copy()
    values[0, 3] = np.nextafter(values[0, 3], np.float32(np.inf))
    state["_fitted"] = replace(state["_fitted"], values=values)


def change_column(state):
    state["_fitted"].view.columns.kinds[0] = Whole()


def change_setting(state):
    state["_fitted"].spec.likelihood.floor = 0.5


@pytest.mark.parametrize(
    "change",
    [
        change_weight,
        change_column,
        change_setting,
        lambda state: state.update(beta=2.0),
        lambda state: state.update(beta="1.0"),
        lambda state: state.update(n_iter_=3),
        lambda state: state["history_"]["elbo"].__setitem__(1, 0.0),
        lambda state: state["history_"].update(other=state["history_"].pop("elbo")),
        lambda state: state.pop("_fitted") and None,
        lambda state: state["_fitted"].state.balance.beta.__imul__(2.0) is None,
    ],
)
def test_whatever_is_changed_is_said_to_be_damaged(change, after):
    with pytest.raises(ValueError, match=r"file of a Tampered is damaged: .* checksum"):
        after(change)


def test_unchanged_file_is_opened(after):
    assert after(lambda state: None).score(X) < 0.0


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("_file_format") and None,
        lambda state: state.update(_file_format=None),
        lambda state: state["_file_format"].pop("checksum") and None,
        lambda state: state["_file_format"].pop("version") and None,
        lambda state: (1, 2),
    ],
)
def test_file_without_a_format_is_refused(change, after):
    # As models were before files had one.
    message = r"file of a Tampered does not say its format: .* older than skvae 0\.1\.0"
    with pytest.raises(ValueError, match=message):
        after(change)


def test_file_of_another_format_is_refused(monkeypatch, models):
    monkeypatch.setattr(_file_format, "FORMAT", 7)
    monkeypatch.setattr(_file_format, "__version__", "9.0.1")
    data = pickle.dumps(models["default"])
    monkeypatch.undo()
    message = (
        r"BalancedVAE was written by skvae 9\.0\.1 in format 7, and skvae 0\.1\.\S+ "
        r"reads format 1\. Load it with skvae 9\.0\.1, or fit the model again"
    )
    with pytest.raises(ValueError, match=message):
        pickle.loads(data)


class Extended(BalancedVAE):
    """An estimator that gets another parameter after a model was stored."""

    def __init__(self, n_components=1, *, max_iter=1, extra=None):
        super().__init__(n_components, max_iter=max_iter)
        self.extra = extra


def test_missing_attribute_is_named(monkeypatch):
    vae = Extended()
    del vae.extra
    monkeypatch.setattr(Extended, "_get_param_names", lambda: ["max_iter"])
    data = pickle.dumps(vae)
    monkeypatch.undo()
    message = r"Extended lacks the attribute Extended\.extra: .* by skvae 0\.1"
    with pytest.raises(ValueError, match=message):
        pickle.loads(data)


def test_missing_attribute_of_a_part_is_named(models, monkeypatch):
    vae = copy.deepcopy(models["default"])
    del vars(vae._fitted.view)["scaling"]
    with pytest.raises(ValueError, match=r"lacks the attribute skvae\..*View\.scaling"):
        pickle.loads(pickle.dumps(vae))
    vae = copy.deepcopy(models["default"])
    del vae._fitted.spec.likelihood.floor
    with pytest.raises(
        ValueError, match=r"lacks the attribute skvae\..*Gaussian\.floor"
    ):
        pickle.loads(pickle.dumps(vae))


def test_callbacks_do_not_count(models):
    vae = copy.copy(models["default"])
    vae._skl_callbacks = [Forgetful()]
    again = pickle.loads(pickle.dumps(vae))
    assert again._skl_callbacks[0].seen == []
    assert again.score(X) == vae.score(X)


class Forgetful:
    """A callback that is not the same when it comes out of a file."""

    def __init__(self):
        self.seen = [1]

    def __getstate__(self):
        return {"seen": []}
