"""At home in scikit-learn: what its own checks in `test_common.py` leave open."""

import ast
import importlib
import inspect
import os
import pickle
import random
import re
import subprocess
import sys
import warnings
from contextlib import contextmanager
from types import FunctionType

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, estimator_html_repr

from skvae import BalancedVAE
from skvae.balance import POLICIES, LearnedVariance, Linear, RunningAverage
from skvae.divergences import DIVERGENCES, KL
from skvae.likelihoods import LIKELIHOODS, Bernoulli, Gaussian
from skvae.networks import MLP, NETWORKS
from skvae.priors import PRIORS, Normal

X = np.random.default_rng(0).normal(size=(60, 5))
NAMES = ["a", "b", "c", "d", "e"]
FRAMES = {
    "pandas": lambda values: pd.DataFrame(values, columns=NAMES),
    "polars": lambda values: pl.DataFrame(values, schema=NAMES, orient="row"),
}


def small(**params):
    """An estimator that is fitted at once; the tolerance says it may stop early."""
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (4,),
        "max_iter": 2,
        "tol": 1e3,
        "random_state": 0,
    }
    return BalancedVAE(**{**settings, **params})


def binary(**params):
    return small(balance="constant", likelihood=Bernoulli(threshold=0.0), **params)


@pytest.fixture(scope="module")
def fitted():
    """For tests that only read it."""
    return small().fit(X)


# Every method that takes rows or latents, as a function of the estimator and rows.
METHODS = {
    "transform": lambda vae, rows: vae.transform(rows),
    "inverse_transform": lambda vae, rows: vae.inverse_transform(vae.transform(rows)),
    "sample": lambda vae, rows: vae.sample(len(rows), random_state=0),
    "score": lambda vae, rows: vae.score(rows),
    "score_samples": lambda vae, rows: vae.score_samples(rows),
    "score_cells": lambda vae, rows: vae.score_cells(rows),
    "rate_distortion": lambda vae, rows: vae.rate_distortion(rows),
    "log_likelihood": lambda vae, rows: vae.log_likelihood(
        rows, n_importance_samples=3
    ),
    "get_feature_names_out": lambda vae, rows: vae.get_feature_names_out(),
}


def assert_same_fit(left, right):
    """Bit for bit: weights and everything public that fit learns."""
    assert_array_equal(left._fitted.values, right._fitted.values)
    for name in ("variance_", "theta_", "active_units_", "elbo_", "rate_", "n_iter_"):
        assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    assert left.history_.keys() == right.history_.keys()
    for name, entries in left.history_.items():
        assert_array_equal(entries, right.history_[name], err_msg=name)


# --- The checks that scikit-learn runs on its own estimators only --------------------


# Some fit on a frame and go on with an array on purpose.
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names")
@pytest.mark.parametrize(
    "check",
    [
        "check_param_validation",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_dataframe_column_names_consistency",
        "check_inplace_ensure_writeable",
        "check_get_feature_names_out_error",
        "check_estimators_partial_fit_n_features",
    ],
)
def test_check_of_its_own(check):
    getattr(estimator_checks, check)("BalancedVAE", small())


# --- Docstrings ----------------------------------------------------------------------

PACKAGES = [
    "skvae",
    "skvae.balance",
    "skvae.callbacks",
    "skvae.divergences",
    "skvae.learning_rates",
    "skvae.likelihoods",
    "skvae.metrics",
    "skvae.model_selection",
    "skvae.networks",
    "skvae.priors",
]
every_package = pytest.mark.parametrize("package", PACKAGES)

PUBLIC = {
    f"{module}.{name}": thing
    for module in PACKAGES
    for name, thing in vars(importlib.import_module(module)).items()
    if name in importlib.import_module(module).__all__
    # Tables and scorers are instances; what they are is documented with their class.
    and (inspect.isclass(thing) or inspect.isfunction(thing))
}

# Nobody makes an instance of these; what they define is documented with them.
BASES = {base for thing in PUBLIC.values() for base in getattr(thing, "__bases__", ())}


def methods_of(cls):
    """Public methods and properties that a class defines itself."""
    for name, member in vars(cls).items():
        # scikit-learn adds setters to each estimator, with docstrings of its own.
        is_public = not re.match(r"_|set_\w+_request$", name)
        if is_public and isinstance(member, (FunctionType, property)):
            yield name, member


def documented(package):
    """Dotted name, object and kind of everything public in a package."""
    for path, thing in PUBLIC.items():
        if path.rpartition(".")[0] != package:
            continue
        if not inspect.isclass(thing):
            yield path, thing, "function"
            continue
        # The fields of named tuples are described one by one, where numpydoc does not
        # look.
        has_settings = issubclass(thing, BaseEstimator) and thing not in BASES
        yield path, thing, "class" if has_settings else "base or record"
        for name, method in methods_of(thing):
            kind = "method" if thing is BalancedVAE else "method of a part"
            yield f"{path}.{name}", method, kind


IGNORED = {
    # PEP 257 as ruff checks it: the summary stands behind the quotes.
    "GL01": "all",
    # A summary that says everything needs no second paragraph.
    "ES01": "all",
    # Not everything has a sibling to point at.
    "SA01": "all",
    # Methods are shown at work on the page of their class.
    "EX01": {"base or record", "method", "method of a part"},
    # As scikit-learn, we name what is returned even if it is one thing.
    "RT02": "all",
    # Summaries may be noun phrases ("Latents at ..."), which it takes for verbs.
    "SS05": "all",
    # Members of a family share a protocol. Its base class describes arguments that
    # need more than name, type and summary, and overrides do not repeat that. What is
    # written has to be right all the same.
    "PR01": {"base or record", "method of a part"},
    "PR07": {"method of a part"},
    "RT01": {"base or record", "method of a part"},
    "RT03": {"method of a part"},
}


@every_package
def test_docstrings_are_numpydoc(package):
    errors = [
        (path, code, message)
        for path, _, kind in documented(package)
        for code, message in validate(path)["errors"]
        if IGNORED.get(code) != "all" and kind not in IGNORED.get(code, ())
    ]
    assert errors == []


@every_package
def test_documented_defaults_are_those_of_the_signature(package):
    errors = [
        (path, name, message)
        for path, thing, kind in documented(package)
        if not isinstance(thing, property) and kind != "base or record"
        for name, message in wrong_defaults(thing, kind)
    ]
    assert errors == []


def wrong_defaults(thing, kind):
    """Parameters whose docstring differs from the signature, and in which way."""
    doc = ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing)
    parameters = {entry.name.lstrip("*"): entry.type for entry in doc["Parameters"]}
    parameters = {
        name: text for names, text in parameters.items() for name in names.split(", ")
    }
    signature = inspect.signature(thing).parameters
    if kind in {"class", "function"} and list(parameters) != list(signature):
        yield list(parameters), f"not {list(signature)}"
    for name, text in parameters.items():
        if signature[name].kind is inspect.Parameter.VAR_KEYWORD:
            continue
        default = signature[name].default
        match = re.search(r"default=(.+)$", text)
        if default is inspect.Parameter.empty:
            if match is not None:
                yield name, "has no default"
        elif text == "None":
            if default is not None:
                yield name, f"is {default!r} by default"
        elif match is None:
            yield name, "has a default"
        else:
            written = ast.literal_eval(match[1])
            if (type(written), written) != (type(default), default):
                yield name, f"is {default!r} by default"


def test_wrong_defaults_are_found():
    def function(a, b=1, c=None, d=2.0):
        """Do nothing.

        Parameters
        ----------
        a : int, default=3
        b : int, default=2
        c : int
        d : float, default=2.0
        """

    assert [name for name, _ in wrong_defaults(function, "function")] == ["a", "b", "c"]


# --- clone, repr, parameters ---------------------------------------------------------

PARTS = [
    cls()
    for family in (POLICIES, DIVERGENCES, LIKELIHOODS, NETWORKS, PRIORS)
    for cls in family.values()
]


@pytest.mark.parametrize("estimator", [*PARTS, small(balance=Linear(warmup=0.5))])
def test_clone_and_repr_give_the_settings_back(estimator):
    names = {name.split(".")[-1]: thing for name, thing in PUBLIC.items()}
    # Two families may have a Constant: that of the estimator is meant.
    family = ".".join(type(estimator).__module__.split(".")[:2])
    names |= {
        name.split(".")[-1]: thing
        for name, thing in PUBLIC.items()
        if name.startswith(f"{family}.")
    }
    for copy in (clone(estimator), eval(repr(estimator), names)):
        assert type(copy) is type(estimator)
        assert repr(copy) == repr(estimator)
        assert copy.get_params().keys() == estimator.get_params().keys()


def test_clone_of_a_fitted_estimator_is_not_fitted(fitted):
    with pytest.raises(NotFittedError):
        clone(fitted).transform(X)
    assert vars(clone(fitted)).keys() == set(fitted.get_params(deep=False))


def test_html_view(fitted):
    for vae in (small(), fitted):
        view = estimator_html_repr(vae)
        assert "BalancedVAE" in view
        assert "hidden_layer_sizes" in view
        # Without a template of its own, a documentation link would lead there.
        assert "scikit-learn.org/" not in view
    # Fitted attributes appear in it since scikit-learn 1.9, a long history as well.
    assert len(view) < 100_000


def test_parameters_of_parts_are_parameters():
    vae = small(balance=Linear(), likelihood=Gaussian(), network=MLP())
    vae.set_params(
        balance__warmup=0.75, likelihood__floor=0.1, network__activation="tanh"
    )
    params = vae.get_params()
    assert params["balance__warmup"] == 0.75
    assert params["likelihood__floor"] == 0.1
    assert params["network__activation"] == "tanh"
    assert clone(vae).get_params()["balance__warmup"] == 0.75
    assert vae.fit(X)._fitted.spec.policy.warmup == 0.75


def test_parameters_of_parts_are_validated():
    with pytest.raises(
        ValueError, match="'warmup' parameter of Linear must be a float"
    ):
        small(balance=Linear(warmup=2.0)).fit(X)


def test_fit_leaves_its_parts_alone():
    parts = {
        "balance": Linear(warmup=0.5),
        "likelihood": Gaussian(variance=[1.0, 2.0, 3.0, 4.0, 5.0]),
        "divergence": KL(),
        "network": MLP(hidden_layer_sizes=[4]),
        "prior": Normal(),
    }
    before = pickle.dumps(parts)
    vae = small(**parts).fit(X).partial_fit(X)
    assert pickle.dumps(parts) == before
    for name, part in parts.items():
        assert getattr(vae, name) is part


def test_latents_are_not_metadata():
    assert not hasattr(BalancedVAE, "set_inverse_transform_request")
    assert BalancedVAE().get_metadata_routing().fit.requests == {"sample_weight": None}


# --- Model selection -----------------------------------------------------------------


def searched(n_jobs=1, backend="loky"):
    pipeline = make_pipeline(StandardScaler(), small(balance=Linear()))
    grid = {
        "balancedvae__beta": [0.1, 1.0],
        "balancedvae__balance__warmup": [0.25, 1.0],
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs, error_score="raise")
    one_thread = {"inner_max_num_threads": 1} if backend == "loky" else {}
    with joblib.parallel_config(backend, **one_thread):
        return search.fit(X)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_search_does_not_depend_on_n_jobs(backend, one_thread):
    alone, together = searched(), searched(2, backend)
    for name in ("split0_test_score", "split1_test_score"):
        assert_array_equal(alone.cv_results_[name], together.cv_results_[name])
    assert together.best_params_ == alone.best_params_
    assert_array_equal(together.transform(X), alone.transform(X))


def test_search_tells_settings_apart():
    search = searched()
    scores = search.cv_results_["mean_test_score"]
    assert len(np.unique(scores)) == len(scores)
    assert search.score(X) == search.best_estimator_.score(X)


# --- Weights are repetition, order is nothing: bit for bit ---------------------------

SETTINGS = {
    "early stopping, small batches": small(
        early_stopping=True, validation_fraction=0.25, batch_size=7
    ),
    "one batch": small(early_stopping=False),
    "feature variances": small(balance=RunningAverage(scope="feature"), batch_size=5),
    "linear, float64": small(hidden_layer_sizes=(), precision="float64", batch_size=9),
    "bernoulli": binary(early_stopping=True, batch_size=4),
    "auto on zeros and ones": small(batch_size=4),
}


def table_with_ties(name, seed):
    table = np.random.default_rng(seed).normal(size=(40, 3)).round(1)
    table[10:14] = table[:4]
    return (table > 0).astype(float) if name.startswith("auto") else table


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
@pytest.mark.parametrize("name", SETTINGS)
def test_weights_are_repetition(name, seed):
    vae, rows = SETTINGS[name], table_with_ties(name, seed)
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 4, size=len(rows))
    # What has no weight has no say, whatever it is.
    rows[weight == 0] *= 10.0
    repeated = np.repeat(rows, weight, axis=0)
    shuffle = rng.permutation(len(repeated))

    weighted = clone(vae).fit(rows, sample_weight=weight)
    for other in (
        clone(vae).fit(repeated),
        clone(vae).fit(repeated[shuffle]),
        clone(vae).fit(rows[::-1], sample_weight=weight[::-1]),
        clone(vae).fit(np.asfortranarray(rows), sample_weight=weight.astype(float)),
    ):
        assert_same_fit(weighted, other)
        assert_array_equal(weighted.transform(repeated), other.transform(repeated))


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_are_repetition_in_partial_fit(name):
    vae, rows = SETTINGS[name], table_with_ties(name, 0)
    rng = np.random.default_rng(0)
    weighted, repeated = clone(vae), clone(vae)
    for _ in range(2):
        weight = rng.integers(0, 4, size=len(rows))
        weighted.partial_fit(rows, sample_weight=weight)
        repeated.partial_fit(rng.permutation(np.repeat(rows, weight, axis=0)))
    assert_same_fit(weighted, repeated)


def test_weights_of_any_size_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, size=(40, 3)) * 1.5
    weight = rng.exponential(size=40)
    order = rng.permutation(40)
    assert_same_fit(
        small(batch_size=3).fit(rows, sample_weight=weight),
        small(batch_size=3).fit(rows[order], sample_weight=weight[order]),
    )


def test_equal_rows_are_on_one_side_of_the_validation_split():
    rows = np.repeat(X[:20], 3, axis=0)
    vae = small(early_stopping=True, validation_fraction=0.5).fit(rows)
    # Weights of 1 have the same means but for rounding.
    once = small(early_stopping=True, validation_fraction=0.5)
    once.fit(X[:20], sample_weight=np.full(20, 3.0))
    assert_same_fit(vae, once)


def test_score_weighs_rows(fitted):
    weight = np.arange(len(X))
    repeated = fitted.score(np.repeat(X, weight, axis=0))
    assert_allclose(fitted.score(X, sample_weight=weight), repeated, rtol=1e-12)


# --- Persistence ---------------------------------------------------------------------


def through_pickle(vae, folder):
    return pickle.loads(pickle.dumps(vae))


def through_joblib(vae, folder):
    joblib.dump(vae, folder / "vae.joblib")
    return joblib.load(folder / "vae.joblib")


def through_memory_map(vae, folder):
    joblib.dump(vae, folder / "vae.joblib")
    return joblib.load(folder / "vae.joblib", mmap_mode="r")


def through_skops(vae, folder):
    from skops import io

    file = folder / "vae.skops"
    io.dump(vae, file)
    types = io.get_untrusted_types(file=file)
    # To be named by the one who loads, so they should be ours and be few.
    assert all(name.startswith("skvae.") for name in types), types
    return io.load(file, trusted=types)


ROUND_TRIPS = [through_pickle, through_joblib, through_memory_map, through_skops]
RESUMED = {
    "learned variance": small(),
    "warm-up": small(balance=Linear(warmup=1.0), max_iter=4),
    "running average": small(balance=RunningAverage(scope="feature"), batch_size=11),
    "bernoulli": binary(precision="float64"),
}


# Only skops looks at the types of what is saved: it has them all.
@pytest.mark.parametrize(
    ("name", "round_trip"),
    [
        ("learned variance", through_pickle),
        ("warm-up", through_joblib),
        ("bernoulli", through_memory_map),
        *((name, through_skops) for name in RESUMED),
    ],
)
def test_round_trip_changes_nothing(name, round_trip, tmp_path):
    straight = clone(RESUMED[name])
    for _ in range(4):
        straight.partial_fit(X)

    first = clone(RESUMED[name]).partial_fit(X).partial_fit(X)
    second = round_trip(first, tmp_path)
    assert_same_fit(first, second)
    for method in METHODS.values():
        assert_array_equal(method(first, X), method(second, X))
    second.partial_fit(X).partial_fit(X)
    assert_same_fit(straight, second)


@pytest.mark.parametrize("name", RESUMED)
def test_partial_fit_is_fit_epoch_by_epoch(name):
    """Where both plan the same: many batches, a constant rate, no held-out rows."""
    settings = {"batch_size": 1, "learning_rate": "constant", "max_iter": 3}
    vae = clone(RESUMED[name]).set_params(early_stopping=False, **settings)
    stepwise = clone(vae)
    for _ in range(3):
        stepwise.partial_fit(X)
    assert_same_fit(stepwise, vae.fit(X))


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
def test_round_trip_of_a_fit_with_early_stopping_on_a_frame(round_trip, tmp_path):
    frame = FRAMES["pandas"](X)
    vae = small(early_stopping=True, warm_start=True).fit(frame)
    copy = round_trip(vae, tmp_path)
    assert_same_fit(vae, copy)
    pd.testing.assert_frame_equal(vae.sample(3, 0), copy.sample(3, 0))
    assert_same_fit(vae.fit(frame), copy.fit(frame))


def test_pickle_holds_no_tensors():
    assert b"torch" not in pickle.dumps(small(early_stopping=True).fit(X))


# --- Warm start ----------------------------------------------------------------------


def test_warm_start_goes_on_from_the_last_weights():
    vae = small(warm_start=True, early_stopping=False).fit(X)
    before = vae._fitted.values.copy()
    # Steps so small that float32 weights do not move show where it started; another
    # seed shows that it did not start from the initial weights.
    vae.set_params(learning_rate_init=1e-20, random_state=1).fit(X)
    assert_array_equal(vae._fitted.values, before)
    cold = clone(vae).set_params(warm_start=False).fit(X)
    assert not np.array_equal(cold._fitted.values, before)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 3}, r"shapes are .* now ask for .* Keep n_components"),
        ({"hidden_layer_sizes": (5,)}, r"shapes are .* now ask for"),
        ({"network": MLP((4, 4))}, r"shapes are .* now ask for"),
        ({"balance": LearnedVariance()}, r"shapes are .* the scope of balance"),
        (
            {"likelihood": Bernoulli(threshold=0.0), "balance": "constant"},
            r"likelihood was Gaussian\(\) and is now Bernoulli\(threshold=0.0\)",
        ),
    ],
)
def test_warm_start_says_what_does_not_fit(params, message):
    vae = small(warm_start=True).fit(X).set_params(**params)
    before = dict(vars(vae))
    with pytest.raises(ValueError, match=message):
        vae.fit(X)
    assert vars(vae) == before


def test_warm_start_needs_the_same_features():
    vae = small(warm_start=True).fit(X)
    with pytest.raises(
        ValueError, match="X has 4 features, but BalancedVAE is expecting 5"
    ):
        vae.fit(X[:, :4])


# --- Nothing global is touched, nothing is cached ------------------------------------


@contextmanager
def nothing_global_changes(but=()):
    def state():
        return {
            "random": random.getstate(),
            "numpy": pickle.dumps(np.random.get_state()),
            "torch": torch.get_rng_state().numpy().tobytes(),
            "threads": torch.get_num_threads(),
            "dtype": torch.get_default_dtype(),
            "gradients": torch.is_grad_enabled(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "matmul": torch.get_float32_matmul_precision(),
            "numpy errors": np.geterr(),
            "warnings": list(warnings.filters),
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "files": sorted(os.listdir()),
            "scikit-learn": sklearn.get_config(),
        }

    before = state()
    yield
    after = state()
    assert [k for k in before if before[k] != after[k] and k not in but] == []


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("make", [small, binary])
def test_nothing_global_changes(make, random_state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # None means numpy's global generator, as everywhere in scikit-learn.
    but = () if random_state == 0 else {"numpy"}
    vae = make(random_state=random_state, early_stopping=True)
    with nothing_global_changes(but=but):
        vae.fit(X)
    with nothing_global_changes(but=but):
        vae.partial_fit(X)
    for method in METHODS.values():
        with nothing_global_changes():
            method(vae, X)
    with nothing_global_changes(but={"numpy"}):
        vae.sample(3)
    with nothing_global_changes(), pytest.raises(ValueError, match="infinity"):
        vae.fit(np.full_like(X, np.inf))


def test_sample_seeds_no_other_device(fitted, monkeypatch):
    """`torch.manual_seed` seeds all GPUs, which nobody gives back."""
    for module in (torch, torch.cuda, torch.random):
        for name in ("manual_seed", "manual_seed_all"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda *args: pytest.fail("seeded"))
    fitted.sample(3, random_state=0)


def test_without_a_seed_numpy_decides():
    state = np.random.get_state()
    try:
        np.random.seed(3)
        first = small(random_state=None).fit(X)
        second = small(random_state=None).fit(X)
        np.random.seed(3)
        third = small(random_state=None).fit(X)
    finally:
        np.random.set_state(state)
    assert_same_fit(first, third)
    assert not np.array_equal(first._fitted.values, second._fitted.values)


@pytest.mark.parametrize("name", METHODS)
def test_methods_leave_the_estimator_as_it_is(name, fitted):
    before = dict(vars(fitted))
    contents = pickle.dumps(fitted)
    METHODS[name](fitted, X)
    after = vars(fitted)
    assert after.keys() == before.keys()
    assert all(after[key] is value for key, value in before.items())
    assert pickle.dumps(fitted) == contents


# --- What methods return -------------------------------------------------------------


def test_two_fits_are_equal(fitted):
    assert_same_fit(fitted, small().fit(X))
    assert_same_fit(fitted, small().fit(X.copy()))
    assert not np.array_equal(
        fitted._fitted.values, small(random_state=1).fit(X)._fitted.values
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_score_is_a_python_float(dtype):
    rows = X.astype(dtype)
    vae = small(balance="learned_variance").fit(rows)
    assert type(vae.score(rows)) is float
    assert type(vae.score(rows, sample_weight=np.ones(len(rows), dtype))) is float
    for name in ("elbo_", "rate_", "distortion_", "beta_", "variance_", "theta_"):
        assert type(getattr(vae, name)) is float, name
    assert type(vae.n_iter_) is int
    assert type(vae.n_components_) is int


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)]
)
@pytest.mark.parametrize("make", [small, binary])
@pytest.mark.parametrize(
    "name", ["transform", "score_samples", "score_cells", "log_likelihood"]
)
def test_a_row_does_not_depend_on_the_others(name, make, dtype, tolerance):
    """But for the rounding of matrix products, which depends on their shape."""
    rows = X.astype(dtype)
    vae, method = make().fit(rows), METHODS[name]
    together = method(vae, rows)
    scale = np.abs(together).max()
    order = np.random.default_rng(0).permutation(len(rows))
    alone = np.concatenate([method(vae, rows[[i]]) for i in range(len(rows))])
    for other, expected in (
        (method(vae, rows[order]), together[order]),
        (method(vae, rows[::3]), together[::3]),
        (alone, together),
        (method(vae, rows), together),
    ):
        assert other.dtype == dtype
        assert_allclose(other, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("library", FRAMES)
def test_frames(library, fitted):
    frame = FRAMES[library](X)
    vae = small().fit(frame)
    assert_same_fit(vae, fitted)
    # Before 1.9, scikit-learn learns names by a protocol that polars 2 has dropped.
    expected = getattr(StandardScaler().fit(frame), "feature_names_in_", None)
    assert_array_equal(getattr(vae, "feature_names_in_", None), expected)
    for name in ("transform", "score_samples", "score_cells", "log_likelihood"):
        assert_array_equal(METHODS[name](vae, frame), METHODS[name](fitted, X))

    latents = clone(vae).set_output(transform=library).fit_transform(frame)
    assert isinstance(latents, type(frame))
    assert list(latents.columns) == ["balancedvae0", "balancedvae1"]
    assert_array_equal(latents.to_numpy(), fitted.transform(X))

    # A frame in, a frame out; five rows of five columns could be mistaken.
    rows = vae.inverse_transform(latents[:5])
    drawn = vae.sample(5, random_state=0)
    for made, expected in (
        (rows, fitted.inverse_transform(fitted.transform(X)[:5])),
        (drawn, fitted.sample(5, random_state=0)),
    ):
        assert isinstance(made, type(frame))
        assert list(made.columns) == NAMES
        assert_array_equal(made.to_numpy(), expected)
    assert vae.score_samples(drawn).shape == (5,)


def test_frame_whose_names_are_not_strings():
    frame = pd.DataFrame(X, columns=[10, 11, 12, 13, 14])
    vae = small().fit(frame)
    assert not hasattr(vae, "feature_names_in_")
    assert list(vae.sample(2, random_state=0).columns) == list(frame.columns)


def test_frame_of_whole_numbers():
    frame = pd.DataFrame(
        {"a": [0, 1, 2, 3], "b": pd.array([1, 2, 3, 5], dtype="Int64")}
    )
    vae = small().fit(frame)
    assert np.isfinite(vae.score(frame))
    assert list(vae.sample(2, random_state=0).columns) == ["a", "b"]


# --- Callbacks -----------------------------------------------------------------------


@pytest.fixture
def callbacks():
    reason = "scikit-learn has callbacks since 1.9"
    return pytest.importorskip("sklearn.callback", reason=reason)


class Recorder:
    """A callback that writes down what it is told."""

    def __init__(self, stop_at=None, raise_at=None):
        self.stop_at, self.raise_at = stop_at, raise_at
        self.events, self.data, self.fitted = [], [], []

    def setup(self, estimator, context):
        self.events.append("setup")
        self.max_subtasks = context.max_subtasks

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, fitted_estimator=None
    ):
        self.events.append(f"end {context.task_name}")
        self.data.append((X, y))
        self.fitted.append(fitted_estimator)
        n_epochs = self.events.count("end epoch")
        if n_epochs == self.raise_at:
            raise ZeroDivisionError("from the callback")
        return n_epochs == self.stop_at


def test_callback_has_one_task_an_epoch():
    recorder = Recorder()
    frame = FRAMES["pandas"](X)
    vae = small(max_iter=3).set_callbacks(recorder).fit(frame)
    epochs = ["begin epoch", "end epoch"] * 3
    expected = ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert recorder.events == expected
    assert recorder.max_subtasks == 3
    # Rows as they were given, names included; they are the target as well.
    assert all(X_seen is frame and y is frame for X_seen, y in recorder.data)
    # Each is a working estimator: the last epoch's and the whole fit's are this one.
    scores = [copy.score(frame) for copy in recorder.fitted]
    assert scores[-1] == scores[-2] == vae.score(frame)
    assert scores[0] != scores[-1]
    assert_array_equal(recorder.fitted[-2].variance_, vae.variance_)
    assert_same_fit(vae, small(max_iter=3).fit(frame))


@pytest.mark.parametrize("early_stopping", [True, False])
def test_callback_stops_training(early_stopping):
    vae = small(max_iter=5, early_stopping=early_stopping)
    vae.set_callbacks(Recorder(stop_at=2)).fit(X)
    assert vae.n_iter_ == 2
    assert {len(entries) for entries in vae.history_.values()} == {2}


def test_callback_is_torn_down_if_fit_raises():
    recorder = Recorder(raise_at=2)
    vae = small(max_iter=3).set_callbacks(recorder)
    before = dict(vars(vae))
    with pytest.raises(ZeroDivisionError, match="from the callback"):
        vae.fit(X)
    assert recorder.events[-2:] == ["end epoch", "teardown"]
    assert vars(vae) == before


def test_callback_is_not_told_of_partial_fit():
    recorder = Recorder()
    small().set_callbacks(recorder).partial_fit(X)
    assert recorder.events == []


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("make", [small, binary])
@pytest.mark.parametrize("convert", [np.asarray, FRAMES["pandas"]])
def test_scoring_monitor(callbacks, convert, make, early_stopping):
    def elbo(estimator, X, y=None):
        return estimator.score(X)

    rows = convert(X)
    monitor = callbacks.ScoringMonitor(scoring={"elbo": elbo})
    vae = make(max_iter=3, early_stopping=early_stopping)
    vae.set_callbacks(monitor).fit(rows)
    log = monitor.get_logs().data
    scores = [row["elbo"] for row in log if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert np.isfinite(scores).all()
    assert scores[-1] == vae.score(rows)


def test_progress_bar(callbacks, capsys):
    pytest.importorskip("rich")
    bar = callbacks.ProgressBar()
    plain = make_pipeline(StandardScaler(), small()).fit(X)
    shown = make_pipeline(StandardScaler(), small()).set_callbacks(bar).fit(X)
    assert_same_fit(plain[-1], shown[-1])
    assert "BalancedVAE" in capsys.readouterr().out


# --- Fresh processes -----------------------------------------------------------------


def new_modules(script):
    """What a script imports in a new process after the line that says `start()`."""
    prologue = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in {"matplotlib", "pandas", "polars", "rich"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

# scikit-learn itself imports some of these where they are installed.
sys.meta_path.insert(0, NotInstalled())
before = set()

def start():
    before.update(sys.modules)
"""
    epilogue = "print('new:', *set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", prologue + script + epilogue],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_settings_do_not_import_torch():
    modules = new_modules(
        """
start()
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

import skvae
from skvae import BalancedVAE, balance, divergences, likelihoods, networks, priors
from skvae import metrics, model_selection

families = [
    balance.POLICIES,
    divergences.DIVERGENCES,
    likelihoods.LIKELIHOODS,
    networks.NETWORKS,
    priors.PRIORS,
]
for family in families:
    for part in family.values():
        repr(clone(part())), estimator_html_repr(part())
for policy in balance.POLICIES.values():
    vae = BalancedVAE(
        balance=policy(),
        likelihood=likelihoods.Gaussian(variance=1.0),
        divergence=divergences.KL(),
        network=networks.MLP((3,)),
        prior=priors.Normal(),
    )
    vae.set_params(network__activation="tanh").get_params()
    pipeline = make_pipeline(clone(vae))
    repr(vae), str(vae), vae.__sklearn_tags__(), vae.get_metadata_routing()
    clone(GridSearchCV(pipeline, {"balancedvae__beta": [1.0]}))
    estimator_html_repr(pipeline)
balance.beta_from_loss(n_features=3, n_components=2)
"""
    )
    assert "skvae._vae" in modules
    assert "torch" not in modules


def test_first_fit_imports_no_compiler():
    """Beyond what `import torch` itself brings, which is not ours to answer for."""
    modules = new_modules(
        """
import torch

start()
import numpy as np
from skvae import BalancedVAE

X = np.random.default_rng(0).normal(size=(60, 3))
vae = BalancedVAE(2, hidden_layer_sizes=(4,), max_iter=2, tol=1e3, random_state=0)
# The second is differentiated automatically, the first by what is written down.
for balance in "running_average", "capacity":
    vae.set_params(balance=balance).fit(X).partial_fit(X)
    vae.inverse_transform(vae.transform(X)), vae.sample(2), vae.score_cells(X)
    vae.score(X), vae.log_likelihood(X, 2), vae.get_feature_names_out()
"""
    )
    assert "skvae.training._train" in modules
    assert modules & {"torch._dynamo", "torch._inductor", "sympy"} == set()
