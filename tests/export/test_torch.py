"""A fitted estimator as a torch module: the same numbers, from tensors."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from skvae import BalancedVAE, BalancedVAECV
from skvae.export import to_torch
from skvae.likelihoods import Categorical, Gaussian

from .conftest import (
    BY_COLUMNS,
    LEVELS,
    MIXED,
    RANKED,
    WINE,
    frame,
    on_knots_and_between,
    small,
)

METHODS = ["transform", "inverse_transform", "score_samples"]


@pytest.mark.parametrize("method", METHODS)
def test_module_computes_what_the_estimator_does(case, method):
    module = to_torch(case.estimator, method, precision="float64")
    rows = case.rows
    if method == "inverse_transform":
        rows = case.estimator.transform(rows)
    with torch.no_grad():
        found = module(torch.tensor(rows, dtype=torch.float64))
    assert found.dtype == torch.float64
    expected = case.expected(method, rows.astype(np.float64))
    assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_has_its_accuracy(case, method):
    module = to_torch(case.estimator, method, precision="float32")
    rows = case.X.astype(np.float32)
    if method == "inverse_transform":
        rows = case.estimator.transform(rows)
    with torch.no_grad():
        found = module(torch.tensor(rows))
    assert found.dtype == torch.float32
    expected = case.expected(method, rows)
    assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_methods_are_there_together():
    vae = small().fit(WINE)
    module, X = to_torch(vae), torch.tensor(WINE, dtype=torch.float32)
    Z = module.encode(X)
    assert torch.equal(module(X), Z)
    assert torch.equal(to_torch(vae, "inverse_transform")(Z), module.decode(Z))
    assert torch.equal(to_torch(vae, "score_samples")(X), module.score(X))
    # Weights can be trained on, scaling cannot.
    module.score(X).sum().backward()
    assert all(weight.grad is not None for weight in module.parameters())
    n_weights = sum(weight.numel() for weight in module.parameters())
    assert 0 < n_weights <= vae._fitted.values.size
    assert {"variance", "view.center", "view.scale"} <= set(module.state_dict())


@pytest.mark.parametrize("method", METHODS)
def test_module_runs_under_torch_export(method):
    vae = small(likelihood=BY_COLUMNS).fit(MIXED)
    module = to_torch(vae, method)
    rows = vae.transform(MIXED) if method == "inverse_transform" else MIXED
    rows = torch.tensor(rows, dtype=torch.float32)
    size = torch.export.Dim("n_samples", min=1)
    program = torch.export.export(module, (rows,), dynamic_shapes=({0: size},))
    with torch.no_grad():
        for part in (rows, rows[:1]):
            assert torch.equal(program.module()(part), module(part))


def test_module_is_independent_of_the_estimator():
    vae = small(likelihood=Categorical(), balance="constant").fit(LEVELS)
    module = to_torch(vae, precision="float64")
    X = torch.tensor(LEVELS)
    before = module(X)
    assert torch.equal(copy.deepcopy(module)(X), before)
    assert torch.equal(pickle.loads(pickle.dumps(module))(X), before)
    expected = vae.transform(LEVELS)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    assert_allclose(vae.transform(LEVELS), expected)
    vae.fit(LEVELS[::-1] * 2.0)
    assert module(X).isfinite().all()


def test_frame_goes_in_as_codes():
    table = frame()
    vae = small().fit(table)
    module = to_torch(vae, precision="float64")
    assert module.levels[0] is None
    assert module.levels[1].tolist() == ["u", "v", "w"]
    codes = table.assign(kind=table["kind"].cat.codes).to_numpy(dtype=float)
    X = torch.tensor(codes)
    assert_allclose(module.encode(X).detach(), vae.transform(table), rtol=1e-9)
    assert_allclose(module.score(X).detach(), vae.score_samples(table), rtol=1e-9)
    Z = module.encode(X)
    back = vae.inverse_transform(Z.detach().numpy())
    decoded = module.decode(Z).detach().numpy()
    assert [module.levels[1][int(code)] for code in decoded[:, 1]] == [*back["kind"]]
    assert_allclose(np.rint(decoded[:, 2]), back["count"])
    assert ((decoded[:, 3] > 0.5) == back["flag"]).all()


@pytest.mark.parametrize("handle_unknown", ["missing", "error"])
def test_unknown_level_is_a_missing_cell(handle_unknown):
    vae = small(
        likelihood=[
            ("gaussian", [0, 1]),
            (Categorical(handle_unknown=handle_unknown), [2, 3]),
        ]
    ).fit(MIXED[:, :4])
    module = to_torch(vae, "score_samples", precision="float64")
    X = MIXED[:5, :4].copy()
    X[2, 2] = np.nan
    expected = module(torch.tensor(X))
    X[2, 2] = 99.0
    assert torch.equal(module(torch.tensor(X)), expected)


def test_pipelines_searches_and_cv_are_taken():
    pipeline = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(pipeline, {"balancedvae__beta": [0.5, 1.0]}, cv=2).fit(WINE)
    found = to_torch(search, precision="float64")(torch.tensor(WINE))
    assert_allclose(found.detach(), search.transform(WINE), rtol=1e-9)
    cv = BalancedVAECV([0.5, 1.0], cv=2, hidden_layer_sizes=(2,), max_iter=2, tol=1e3)
    found = to_torch(cv.fit(WINE), precision="float64")(torch.tensor(WINE))
    assert_allclose(found.detach(), cv.transform(WINE), rtol=1e-9)


def test_step_that_is_no_scaler_is_refused():
    pipeline = make_pipeline(PowerTransformer(), small()).fit(WINE)
    message = (
        "to_torch composes the model with the scalers StandardScaler, MinMaxScaler, "
        "MaxAbsScaler, RobustScaler, and the step 'powertransformer' is a "
        "PowerTransformer. Export the last step of the pipeline alone"
    )
    with pytest.raises(ValueError, match=message):
        to_torch(pipeline)
    # What the message recommends.
    assert to_torch(pipeline[-1]).n_features == 4


class Own(StandardScaler):
    """A scaler that may do anything."""


def test_class_that_derives_from_a_scaler_is_refused():
    pipeline = make_pipeline(Own(), small()).fit(WINE)
    with pytest.raises(ValueError, match="the step 'own' is a Own"):
        to_torch(pipeline)


def test_times_are_refused():
    table = pd.DataFrame({"a": WINE[:, 0], "when": pd.date_range("2024", periods=60)})
    vae = small(1).fit(table)
    message = (
        r"to_torch takes columns of numbers, booleans and categories, and column "
        r"'when' holds values of another kind \(Time\)\. Make it a column of numbers"
    )
    with pytest.raises(ValueError, match=message):
        to_torch(vae)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_maps_by_rank_know_their_values_again(method, precision):
    """In the precision of the table, and rounded to a coarser one."""
    rows = on_knots_and_between().astype(precision)
    for X in (RANKED, RANKED.astype(np.float32)):
        vae = small(standardize="quantile").fit(X)
        module = to_torch(vae, method, precision=precision)
        given = vae.transform(rows) if method == "inverse_transform" else rows
        with torch.no_grad():
            found = module(torch.tensor(given)).numpy()
        expected = np.asarray(getattr(vae, method)(given))
        assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_rows_that_scalers_round_are_refused_by_rank():
    pipeline = make_pipeline(StandardScaler(), small(standardize="quantile")).fit(WINE)
    message = (
        r"to_torch takes a model with standardize='quantile' without scalers before "
        r"it: .* Fit the model alone, which needs no scaler"
    )
    with pytest.raises(ValueError, match=message):
        to_torch(pipeline)
    # The model itself, on rows that are scaled where it is used.
    X = pipeline[:-1].transform(WINE)
    found = to_torch(pipeline[-1], precision="float64")(torch.tensor(X))
    assert_allclose(found.detach(), pipeline.transform(WINE), rtol=1e-9)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "sample"}, r"method must be one of 'transform', .* Got 'sample'"),
        ({"precision": "int8"}, r"precision must be one of 'float32', .* Got 'int8'"),
    ],
)
def test_options_are_checked(params, message):
    with pytest.raises(ValueError, match=message):
        to_torch(small().fit(WINE), **params)


def test_estimator_has_to_be_fitted_and_a_model():
    with pytest.raises(NotFittedError):
        to_torch(BalancedVAE())
    with pytest.raises(TypeError, match="to_torch takes a fitted BalancedVAE"):
        to_torch(StandardScaler().fit(WINE))


class Rooted(Gaussian):
    """A likelihood of one's own, of the root of a column, on arrays alone."""

    def to_model(self, X):
        return np.frompyfunc(np.sqrt, 1, 1)(X).astype(float)

    def to_user(self, x):
        return x**2


class Doubled(Gaussian):
    """A likelihood that is something else on tensors."""

    def to_model(self, X):
        return X if isinstance(X, np.ndarray) else 2.0 * X


@pytest.mark.parametrize(
    ("likelihood", "differs"),
    [(Rooted(), "raises an error"), (Doubled(), "differs in 'encode'")],
)
def test_part_that_takes_no_tensors_is_refused(likelihood, differs):
    vae = small(likelihood=likelihood).fit(WINE)
    message = (
        f"to_torch cannot export this model: on tensors it {differs}. Methods of a "
        r"part of your own \(" + type(likelihood).__name__
    )
    with pytest.raises(ValueError, match=message):
        to_torch(vae)
