"""The linear start of columns of several kinds."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skvae import BalancedVAE
from skvae.likelihoods import Bernoulli, ByColumns, Categorical, Gaussian, Poisson
from skvae.linear._columns import LinearColumns
from skvae.linear._model import LinearModel


def started(likelihood, X, n_components=2, **params):
    """A model as it is before the first step."""
    params = {"hidden_layer_sizes": (4,), "random_state": 0} | params
    vae = BalancedVAE(n_components, likelihood=likelihood, max_iter=1, **params)
    vae.set_params(learning_rate_init=1e-12, precision="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return vae.fit(X)


def correlated(n_rows, n_columns, seed=0):
    """Columns that are half noise and half two factors."""
    random = np.random.RandomState(seed)
    factors = random.normal(size=(n_rows, 2)) @ random.normal(size=(2, n_columns))
    return factors + random.normal(size=(n_rows, n_columns))


def is_missing(shape, share=0.2):
    return np.random.RandomState(1).uniform(size=shape) < share


@pytest.mark.parametrize("balance", ["constant", "running_average", "capacity"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("network", [(), (4,)])
def test_gaussians_by_columns_start_as_one(balance, gaps, network):
    X = correlated(300, 5)
    X = np.where(is_missing(X.shape) & gaps, np.nan, X)
    params = {"balance": balance, "hidden_layer_sizes": network}
    plain = started("gaussian", X, **params)
    listed = started([("gaussian", [3, 0]), ("gaussian", [4, 1, 2])], X, **params)
    assert_allclose(listed.score_samples(X), plain.score_samples(X), rtol=1e-8)
    assert_allclose(listed.transform(X), plain.transform(X), atol=1e-8)


def codes(n_rows=200):
    """Two columns of levels and two of zeros and ones."""
    x = correlated(n_rows, 4, seed=3)
    many = np.digitize(x[:, :2], [-1.0, 0.2, 1.5]).astype(float)
    return np.column_stack([many, x[:, 2:] > 0.4])


@pytest.mark.parametrize("family", [Categorical, Bernoulli])
def test_levels_are_gaussian_to_second_order(family):
    """About the null model, with the noise variance 1."""
    X = codes()[:, :2] if family is Categorical else codes()[:, 2:]
    likelihood = family().fit(X)
    columns = likelihood.linear_columns(2)
    x = torch.tensor(likelihood.to_model(X))
    u = columns.rows(likelihood.inputs(x).numpy(), None)
    step = 1e-4 * np.random.RandomState(0).normal(size=u.shape)
    start = likelihood.start(2)

    def nats(logits):
        parameters = {"logits": torch.tensor(logits)[None]}
        return likelihood.log_prob(x, parameters, None)[0].sum(dim=1).numpy()

    mean = columns.unit * step
    expected = (u * mean - 0.5 * mean**2).sum(axis=1)
    if family is Categorical:
        # A logit that all levels of a column share says nothing.
        for d in range(2):
            own = columns.features == d
            expected += 0.5 * (step[:, own] @ columns.center[own]) ** 2
    found = nats(start + step) - nats(np.broadcast_to(start, step.shape))
    assert_allclose(found, expected, atol=1e-11)


def test_weights_are_those_of_the_linear_model():
    """With missing cells, of which the encoder is told, and columns without a model."""
    groups = [("levels", Categorical(), [4, 1]), ("flags", Bernoulli(), [2])]
    X = np.column_stack([correlated(200, 1), codes()[:, [0, 2, 3, 1]]])
    X = np.where(is_missing(X.shape), np.nan, X)
    likelihood = ByColumns(
        [*(pair for _, *pair in groups), (Gaussian(), [0]), (Poisson(), [3])]
    )
    likelihood.fit(X)
    columns = likelihood.linear_columns(5)
    assert (np.diff(columns.features) >= 0).all()
    assert 3 not in columns.features
    observed = ~np.isnan(X)
    x = torch.tensor(np.where(observed, likelihood.to_model(X), 0.0))
    inputs = likelihood.inputs(x, torch.tensor(observed)).numpy()
    u = columns.rows(inputs, observed)
    assert (u[:, columns.features == 2][~observed[:, 2]] == 0.0).all()

    weight = np.full(len(u), 1.0 / len(u))
    model = LinearModel.from_rows(u, weight, 2)
    linear = model.weights(1.0, weight @ u, np.ones(u.shape[1]))
    start = np.arange(float(likelihood.n_parameters(5)))
    masked = (1, 2, 4)
    weights = columns.weights(linear, start, inputs.shape[1], masked)
    rows = np.column_stack([inputs, ~observed[:, masked]])
    assert_allclose(
        (rows - weights.center) @ weights.encoder,
        (u - linear.center) @ linear.encoder,
        atol=1e-12,
    )
    z = np.random.RandomState(0).normal(size=(7, 2))
    output = weights.bias + z @ weights.decoder
    with_model = output[:, columns.outputs]
    is_level = ~columns.has_noise
    gain = with_model[:, is_level] - start[columns.outputs[is_level]]
    of_u = z @ linear.decoder
    assert_allclose(gain * columns.unit[is_level], of_u[:, is_level], atol=1e-12)
    (gaussian,) = np.flatnonzero(columns.has_noise)
    expected = of_u[:, gaussian] + linear.center[gaussian]
    assert_allclose(with_model[:, gaussian], expected, atol=1e-12)
    alone = np.setdiff1d(np.arange(len(start)), columns.outputs)
    assert_allclose(output[:, alone], np.broadcast_to(start[alone], (7, len(alone))))


KINDS = [
    ("gaussian", ["real", "other"]),
    ("bernoulli", ["flag"]),
    ("categorical", ["ring", "level"]),
    ("log_normal", ["positive"]),
    ("laplace", ["peak"]),
    ("poisson", ["count"]),
]


def mixed():
    """Columns of every kind that are noisy views of two factors."""
    x = correlated(400, 8)
    return pd.DataFrame(
        {
            "real": x[:, 0],
            "flag": (x[:, 1] > 0.3).astype(float),
            "other": 5.0 * x[:, 2] + 40.0,
            "level": np.array(list("abc"))[np.digitize(x[:, 4], [-0.7, 0.9])],
            "ring": np.where(x[:, 5] > 0.5, "yes", "no"),
            "positive": np.exp(x[:, 3]),
            "peak": x[:, 7],
            "count": np.floor(np.exp(0.5 * x[:, 6])),
        }
    )


@pytest.mark.parametrize("gaps", [False, True])
def test_start_explains_columns_of_every_kind(gaps):
    X = mixed()
    if gaps:
        X = X.mask(is_missing(X.shape, 0.1))
    vae = started(KINDS, X, balance="running_average")
    cells = vae.score_cells(X).mean(axis=0)
    # A model that starts at random, and so at each column's own distribution.
    network = vae._fitted.spec.network.set_params(linear_path=False)
    null = started(KINDS, X, balance="running_average", network=network)
    gain = dict(zip(X.columns, null.score_cells(X).mean(axis=0) - cells, strict=True))
    for name in ("real", "flag", "level", "ring", "positive"):
        assert gain[name] > 0.02, gain
    # Those without a linear model start at their own distribution.
    assert gain["count"] > -0.05, gain
    assert vae.score(X) > null.score(X)


def test_columns_of_levels_alone_start_at_what_they_share():
    X = codes(400)
    vae = started([("categorical", [0, 1]), ("bernoulli", [2, 3])], X)
    rate, _ = vae.rate_distortion(X)
    assert rate.mean() > 0.2


def test_rare_levels_and_very_many_have_no_part():
    share = np.array([0.6, 0.38, 0.015, 0.005])
    columns = LinearColumns.of_levels(np.zeros(4, dtype=int), share, np.sqrt(share))
    assert_array_equal(columns.inputs, [0, 1])
    rare = LinearColumns.of_levels(np.arange(2), np.array([0.99, 0.5]), np.ones(2))
    assert_array_equal(rare.features, [1])
    share = np.linspace(0.1, 0.4, 3000)
    many = LinearColumns.of_levels(np.arange(3000), share, np.ones(3000))
    assert_array_equal(many.outputs, np.arange(2000, 3000))


@pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning")
@pytest.mark.filterwarnings("ignore:About as many levels as rows")
def test_levels_that_are_all_rare_start_at_the_null_model():
    """Two columns of 60 levels, and a row for each of them."""
    X = np.column_stack([np.arange(60.0), np.arange(60)[::-1]])
    vae = started("categorical", X)
    assert np.isfinite(vae.score(X))


def test_levels_beside_columns_whose_variance_is_in_no_linear_model():
    X = mixed()[["peak", "flag", "ring", "level"]]
    kinds = [("laplace", ["peak"]), ("bernoulli", ["flag"])]
    kinds.append(("categorical", ["ring", "level"]))
    vae = started(kinds, X, early_stopping=False)
    rate, _ = vae.rate_distortion(X)
    assert rate.mean() > 0.1
    # The dispersion b of a Laplace distribution, from the mean distance to the median.
    peak = (X["peak"] - X["peak"].median()).abs().mean() / X["peak"].std()
    assert np.ravel(vae.variance_)[0] == pytest.approx(peak, rel=0.1)
