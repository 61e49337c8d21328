"""Columns as normal scores inside an estimator: what holds for all of its methods."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

from skvae import BalancedVAE, BalancedVAECV
from skvae.displays import RateDistortionDisplay
from skvae.metrics import latent_report

pytestmark = pytest.mark.filterwarnings("ignore:Training ended after")
SETTINGS = {
    "standardize": "quantile",
    "hidden_layer_sizes": (8,),
    "max_iter": 3,
    "random_state": 0,
    "precision": "float64",
}


def mixed(n_rows=150):
    """A skewed, a zero-inflated, a counted and a rounded column that depend."""
    random = np.random.RandomState(0)
    z = random.normal(size=(n_rows, 2))
    noise = random.normal(size=(n_rows, 4))
    skewed = np.exp(z[:, 0] + 0.3 * noise[:, 0])
    zeros = np.where(z[:, 1] + 0.3 * noise[:, 1] < 0.3, 0.0, np.exp(z[:, 0]))
    counts = random.poisson(np.exp(1.0 + 0.5 * z[:, 1]))
    return np.column_stack([skewed, zeros, counts, np.round(z[:, 0] + noise[:, 3])])


def with_gaps(X):
    X = X.copy()
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.1] = np.nan
    return X


def quantile(X, weight=None, n_components=2, **params):
    vae = BalancedVAE(n_components, **(SETTINGS | params))
    return vae.fit(X, sample_weight=weight)


def log_probability(vae, X):
    """Log-probability of rows under the prior, by quadrature over one latent."""
    model = vae._fitted.on("cpu")
    z = np.linspace(-8.0, 8.0, 4001)
    parameters = model.module.decode(model.weights, torch.from_numpy(z)[None, :, None])
    prior = torch.from_numpy(
        -0.5 * z**2 - 0.5 * np.log(2.0 * np.pi) + np.log(z[1] - z[0])
    )
    found = []
    for row in X:
        x, _ = model.seen(row[None])
        nats = model.module.likelihood.log_prob(x, parameters, model.scored_variance)
        there = ~np.isnan(row)
        total = (nats[0][:, there].sum(dim=-1) + prior).logsumexp(dim=0)
        nats_of_units = vae._fitted.view.log_jacobian(row[None])[0, there]
        found.append(float(total) - nats_of_units.sum())
    return np.array(found)


@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_probability_of_a_column_is_one(column):
    """Atoms have probabilities, and what is between them a density."""
    X = mixed()
    vae = quantile(X, n_components=1, max_iter=20)
    known = vae._fitted.view.scores.columns[column]

    def probability(cells):
        rows = np.full((len(cells), 4), np.nan)
        rows[:, column] = cells
        return np.exp(log_probability(vae, rows))

    low, high = known.values[0], known.values[-1]
    steps = np.linspace(0.0, 6.0 * X[:, column].std(), 40)[1:]
    ends = np.concatenate([low - steps[::-1], known.values, high + steps])
    part = (np.arange(10) + 0.5) / 10
    cells = ends[:-1, None] + part * np.diff(ends)[:, None]
    density = probability(cells.ravel()).reshape(cells.shape).mean(axis=1)
    atoms = known.values[known.is_atom]
    total = probability(atoms).sum() + density @ np.diff(ends)
    assert total == pytest.approx(1.0, abs=5e-3)


def test_scores_are_bounds_on_the_log_probability():
    X = mixed()[:, 1:3]
    vae = quantile(X, n_components=1, max_iter=30, early_stopping=False)
    exact = log_probability(vae, X)
    elbo, bound = vae.score_samples(X), vae.log_likelihood(X, 1000)
    # Means over draws, of which those of the elbo are few.
    assert (elbo < exact + 0.1).all()
    assert elbo.mean() < exact.mean()
    assert_allclose(bound.mean(), exact.mean(), atol=0.02)
    assert elbo.mean() < bound.mean()
    # The history is of rows drawn within atoms: its bound is the looser one.
    assert vae.history_["elbo"][-1] < exact.mean()
    assert vae.history_["elbo"][-1] == pytest.approx(vae.elbo_, abs=0.5)


@pytest.mark.parametrize("prior", ["normal", "mixture"])
@pytest.mark.parametrize("gaps", [False, True])
def test_elbo_is_the_score_of_the_rows_of_fit(gaps, prior):
    X = with_gaps(mixed()) if gaps else mixed()
    weight = 1.0 + np.arange(len(X)) % 3
    vae = quantile(X, weight, early_stopping=False, prior=prior)
    rate, distortion = vae.rate_distortion(X)
    assert vae.elbo_ == pytest.approx(vae.score(X, sample_weight=weight), rel=1e-9)
    assert vae.rate_ == pytest.approx(np.average(rate, weights=weight), rel=1e-9)
    total = np.average(distortion, weights=weight)
    assert vae.distortion_ == pytest.approx(total, rel=1e-9)


def test_a_mean_within_an_atom_is_its_value_and_draws_are_on_the_grid():
    X = mixed()
    vae = quantile(X, max_iter=20)
    drawn = vae.sample(2000, random_state=0)
    assert np.isin(drawn[:, 2], X[:, 2]).all()
    assert np.isin(drawn[:, 3], X[:, 3]).all()
    zeros = [np.mean(rows[:, 1] == 0.0) for rows in (drawn, X)]
    assert zeros[0] == pytest.approx(zeros[1], abs=0.1)
    for rows in (drawn, vae.inverse_transform(vae.transform(X))):
        assert (rows >= X.min(axis=0)).all()
        assert (rows <= X.max(axis=0)).all()


def test_imputation_is_the_mean_of_draws():
    X = with_gaps(mixed())
    vae = quantile(X, max_iter=30)
    filled, gaps = vae.impute(X, 400), np.isnan(X)
    tables = vae.impute(X, 400, n_draws=300, random_state=0)
    assert_array_equal(filled[~gaps], X[~gaps])
    mean, std = np.mean(tables, axis=0), np.std(tables, axis=0)
    error = (filled - mean)[gaps] / np.maximum(std[gaps], 1e-3)
    # The mean is over slices of the normal distribution, draws over all of it.
    assert np.abs(error).max() < 0.4
    assert abs(error.mean()) < 0.05
    assert np.isin(tables[0][:, 2:], X[:, 2:]).all()


@pytest.mark.parametrize("gaps", [False, True])
def test_units_make_no_difference(gaps):
    X = with_gaps(mixed()) if gaps else mixed()
    scale = np.array([1e-3, 50.0, 1000.0, 1e6])
    own, other = quantile(X), quantile(scale * X)
    assert_allclose(other.transform(scale * X), own.transform(X), atol=1e-6)
    density = ~(own._fitted.view.scores.is_atom(X) | np.isnan(X))
    shift = density @ np.log(scale)
    score = other.score_samples(scale * X)
    assert_allclose(score, own.score_samples(X) - shift, atol=1e-5)


@pytest.mark.parametrize("gaps", [False, True])
def test_weight_is_repetition(gaps):
    X = with_gaps(mixed()) if gaps else mixed()
    weight = np.arange(len(X)) % 3
    weighted, repeated = quantile(X, weight), quantile(X.repeat(weight, axis=0))
    assert_array_equal(weighted.score_samples(X), repeated.score_samples(X))
    order = np.random.RandomState(0).permutation(len(X))
    shuffled = quantile(X[order], weight[order])
    assert_array_equal(weighted.transform(X), shuffled.transform(X))


def test_a_row_has_its_score_wherever_it_is():
    X = with_gaps(mixed())
    vae = quantile(X)
    some = X[10:12]
    assert_allclose(vae.score_samples(X)[10:12], vae.score_samples(some), rtol=1e-9)
    bound = vae.log_likelihood(X, 20)
    assert_allclose(bound[10:12], vae.log_likelihood(some, 20), rtol=1e-9)
    cells = vae.score_cells(X)
    assert_allclose(cells.sum(axis=1), vae.rate_distortion(X)[1])
    # The cost of an atom is that of a probability.
    is_atom = vae._fitted.view.scores.is_atom(X)
    assert (cells[is_atom] >= 0.0).all()
    assert_array_equal(cells[np.isnan(X)], 0.0)


def test_columns_without_ties_have_rates_in_closed_form():
    X = np.random.RandomState(0).normal(size=(100, 3)) @ np.ones((3, 3))
    X += np.random.RandomState(1).normal(size=X.shape)
    vae = quantile(X, early_stopping=False)
    kl = vae._fitted.on("cpu").posterior(X).kl()[0].sum(dim=-1)
    assert_allclose(vae.rate_distortion(X)[0], kl)
    assert vae.score(X) == pytest.approx(vae.elbo_, abs=1e-9)


def test_partial_fit_and_warm_start_keep_the_map():
    X = mixed()
    vae = quantile(X)
    scores = vae._fitted.view.scores
    vae.partial_fit(3.0 * X)
    assert vae._fitted.view.scores is scores
    vae.set_params(warm_start=True).fit(3.0 * X)
    assert vae._fitted.view.scores is scores
    assert np.isfinite(vae.score(3.0 * X))
    first = BalancedVAE(2, **SETTINGS).partial_fit(X)
    assert np.isfinite(first.partial_fit(X).score(X))


def test_models_come_back_from_files():
    skops = pytest.importorskip("skops.io")
    X = with_gaps(mixed())
    vae = quantile(X)
    file = io.BytesIO()
    joblib.dump(vae, file)
    file.seek(0)
    data = skops.dumps(vae)
    trusted = skops.get_untrusted_types(data=data)
    for copy in (
        pickle.loads(pickle.dumps(vae)),
        joblib.load(file),
        skops.loads(data, trusted=trusted),
    ):
        assert_array_equal(copy.score_samples(X), vae.score_samples(X))
        assert_array_equal(
            copy.sample(5, random_state=0), vae.sample(5, random_state=0)
        )


def test_types_of_columns_are_kept():
    X = mixed()
    frame = pd.DataFrame(
        {
            "skewed": X[:, 0].astype(np.float32),
            "zeros": X[:, 1],
            "counts": X[:, 2].astype(int),
            "level": pd.Categorical(np.where(X[:, 3] > 0, "high", "low")),
            "flag": X[:, 3] > 1,
        }
    )
    vae = BalancedVAE(2, **SETTINGS).fit(frame)
    drawn = vae.sample(50, random_state=0)
    assert list(drawn.dtypes) == list(frame.dtypes)
    assert np.isin(drawn["counts"], frame["counts"]).all()
    holes = frame.astype({"counts": "Int64"})
    holes.loc[3, ["counts", "zeros"]] = pd.NA
    filled = quantile(holes).impute(holes)
    assert not filled.isna().any().any()


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precisions(precision, dtype):
    X = with_gaps(mixed()).astype(dtype)
    vae = quantile(X, precision=precision, max_iter=10)
    other = np.float64 if dtype == np.float32 else np.float32
    assert vae.score_samples(X).dtype == dtype
    assert vae.score(X.astype(other)) == pytest.approx(vae.score(X), abs=0.02)


def test_a_constant_column_is_as_without_a_map():
    X = np.column_stack([mixed(), np.full(150, 7.0)])
    vae = quantile(X)
    assert_array_equal(vae.sample(20, random_state=0)[:, 4], 7.0)
    assert_array_equal(vae.inverse_transform(vae.transform(X))[:, 4], 7.0)
    other = BalancedVAE(2, **(SETTINGS | {"standardize": True})).fit(X)
    cells = [each.score_cells(X)[:, 4].mean() for each in (vae, other)]
    assert cells[0] == pytest.approx(cells[1], abs=0.2)


def test_a_grid_search_over_the_scaling():
    X = mixed()
    search = GridSearchCV(
        BalancedVAE(2, **SETTINGS), {"standardize": [True, "robust", "quantile"]}, cv=2
    ).fit(X)
    # A value that comes again has more than a density.
    assert search.best_params_ == {"standardize": "quantile"}
    path = BalancedVAECV(2, n_components=2, cv=2, **SETTINGS).fit(X)
    assert np.isfinite(path.score(X))


def test_other_likelihoods_are_refused():
    X = mixed()
    message = r"only the Gaussian likelihood fits, but column 'x1' has StudentT\. Use"
    frame = pd.DataFrame(X, columns=["x0", "x1", "x2", "x3"])
    members = [("gaussian", ["x0", "x2", "x3"]), ("student_t", ["x1"])]
    with pytest.raises(ValueError, match=message):
        quantile(frame, likelihood=members)
    # Those that are not scaled have units of their own.
    members[1] = "log_normal", ["x1"]
    with pytest.raises(ValueError, match="has LogNormal"):
        quantile(frame, likelihood=members)
    members = [("gaussian", ["x0", "x1", "x3"]), ("poisson", ["x2"])]
    vae = quantile(frame, likelihood=members)
    assert_array_equal(vae._fitted.view.scores.is_mapped, [True, True, False, True])
    vae.set_params(warm_start=True, likelihood="laplace")
    with pytest.raises(ValueError, match="has Laplace"):
        vae.fit(frame)


def test_reports_leave_out_densities_of_linear_models():
    X = mixed()
    vae = quantile(X, max_iter=20)
    report = latent_report(vae, X)
    assert report.pca is None
    assert np.isfinite(report.column_explained).all()
    assert_allclose(report.column_distortion, vae.score_cells(X).mean(axis=0))
    # A model without latents is a standard normal number, whose atoms are as frequent
    # as in the table, but for the margins.
    frequency = np.mean(X[:, 1] == 0.0)
    null = vae._fitted.null_model.cells(vae._fitted.on("cpu"), X)[X[:, 1] == 0.0, 1]
    assert_allclose(null, -np.log(frequency), atol=0.01)
    assert RateDistortionDisplay.from_estimators([vae], X).pca is None
