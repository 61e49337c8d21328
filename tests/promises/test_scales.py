"""Numbers and weights of any scale, and trainings that diverge."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skvae import BalancedVAE
from skvae.exceptions import TrainingDivergedError
from skvae.likelihoods import Beta, Categorical

pytestmark = [
    pytest.mark.filterwarnings("ignore:Training ended after"),
    pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning"),
]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "tol": 1e3, "random_state": 0}
N_ROWS = 80
LARGEST = np.finfo(np.float64).max
REAL = ["gaussian", "student_t", "laplace"]

NORMAL = np.random.RandomState(0).standard_normal((N_ROWS, 3))


def fit(X, sample_weight=None, **params):
    return BalancedVAE(1, **{**SMALL, **params}).fit(X, sample_weight=sample_weight)


def assert_finite(vae, X):
    """All that a model holds and returns."""
    Z = vae.transform(X)
    gaps = X.copy()
    gaps[::7, 0] = gaps[3] = np.nan
    scaling = vae._fitted.view.scaling
    found = {
        "Z": Z,
        "X": vae.inverse_transform(Z),
        "prior": vae.inverse_transform(3.0 * np.ones((2, 1))),
        "rate": vae.rate_distortion(X)[0],
        "score": vae.score(X),
        "cells": vae.score_cells(X),
        "likelihood": vae.log_likelihood(X, 5),
        "sample": vae.sample(20, random_state=0),
        "impute": vae.impute(gaps, 5),
        "drawn": vae.impute(gaps, 5, n_draws=1, random_state=0),
        "elbo_": vae.elbo_,
        "theta_": 0.0 if vae.theta_ is None else vae.theta_,
        "variance_": 0.0 if vae.variance_ is None else vae.variance_,
        "weights": vae._fitted.values,
        "center": scaling.center,
        "scale": scaling.scale,
        **vae.history_,
    }
    infinite = [name for name, each in found.items() if not np.isfinite(each).all()]
    assert not infinite


SCALES = [1e-300, 1e-160, 1e-38, 1e38, 1e160, 1e300]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("standardize", [True, "robust"])
@pytest.mark.parametrize("likelihood", REAL)
def test_columns_of_all_scales_in_one_table(likelihood, standardize, precision):
    scales = np.array(SCALES)
    X = np.concatenate([NORMAL, NORMAL**3], axis=1) * scales
    params = {
        "likelihood": likelihood,
        "standardize": standardize,
        "precision": precision,
    }
    vae = fit(X, **params)
    assert_finite(vae, X)
    # Units make no difference but to the score, by their logarithms.
    alike = fit(X / scales, **params)
    assert_allclose(vae.transform(X), alike.transform(X / scales), atol=1e-5)
    nats = np.log(scales).sum()
    assert vae.score(X) == pytest.approx(alike.score(X / scales) - nats, abs=1e-3)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_normal_scores_of_columns_of_all_scales(precision):
    scales = np.array(SCALES)
    X = np.concatenate([NORMAL, np.round(NORMAL**3)], axis=1) * scales
    params = {"standardize": "quantile", "precision": precision}
    vae = fit(X, likelihood="gaussian", **params)
    assert_finite(vae, X)
    alike = fit(X / scales, likelihood="gaussian", **params)
    assert_allclose(vae.transform(X), alike.transform(X / scales), atol=1e-5)


@pytest.mark.parametrize("standardize", [True, "robust"])
@pytest.mark.parametrize("likelihood", REAL)
def test_the_ends_of_all_numbers(likelihood, standardize):
    X = np.where(NORMAL > 0.0, LARGEST, -LARGEST)
    X[:, 1], X[:, 2] = 5e-324, np.where(NORMAL[:, 2] > 2.0, 1e308, NORMAL[:, 2])
    # scikit-learn's own check sums the table.
    with np.errstate(over="ignore", invalid="ignore"):
        vae = fit(X, likelihood=likelihood, standardize=standardize)
        assert_finite(vae, X)


def test_positive_numbers_of_all_scales():
    X = 10.0 ** np.random.RandomState(0).uniform(-300.0, 300.0, (N_ROWS, 3))
    X[:, 1], X[:2, 2] = 5e-324, [5e-324, LARGEST]
    assert_finite(fit(X, likelihood="log_normal"), X)


@pytest.mark.parametrize("likelihood", ["beta", "continuous_bernoulli"])
def test_fractions_next_to_the_ends(likelihood):
    uniform = np.random.RandomState(0).uniform(size=(N_ROWS, 5))
    X = uniform * [1e-300, 1e-30, 1e-10, 1.0, 1.0]
    X[:, 3] = 1.0 - 1e-15 * X[:, 3]
    assert_finite(fit(X, likelihood=likelihood), X)


@pytest.mark.parametrize(
    "likelihood", ["poisson", "negative_binomial", "zero_inflated_negative_binomial"]
)
def test_large_counts(likelihood):
    random = np.random.RandomState(0)
    X = np.floor(10.0 ** random.uniform(0.0, [1.0, 9.0, 18.0], (N_ROWS, 3)))
    assert_finite(fit(X, likelihood=likelihood), X)
    X[5, 1] = 1e19
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    match = r"needs counts up to 1e18, but column 'b' holds 1e\+19\. Use likelihood="
    with pytest.raises(ValueError, match=match):
        fit(table, likelihood=likelihood)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("likelihood", [*REAL, "log_normal"])
def test_new_rows_out_of_all_proportion(likelihood, dtype):
    X = np.exp(NORMAL) if likelihood == "log_normal" else NORMAL
    vae = fit(X.astype(dtype), likelihood=likelihood)
    rows = np.exp(NORMAL[:4]).astype(dtype)
    rows[0, 0], rows[1, :], rows[2, 1] = (
        np.finfo(dtype).max,
        1e30,
        np.finfo(dtype).tiny,
    )
    assert np.isfinite(vae.score_samples(rows)).all()
    assert np.isfinite(vae.score_cells(rows)).all()
    assert np.isfinite(vae.transform(rows)).all()
    assert vae.score_cells(rows)[0, 0] > vae.score_cells(rows)[3, 0]


@pytest.mark.parametrize(
    ("scale", "precision", "dtype", "match"),
    [
        (1e20, "float32", float, r"'b' ranges from -1.* to 1.*e\+20, and float32"),
        (1e-20, "float32", float, r"float32 .* standardize=True.*precision='float64'"),
        (1e20, "float64", np.float32, "float32 cannot hold the squares"),
        (1e200, "float64", float, "float64 cannot hold .* or another unit"),
        (1e-200, "float64", float, "float64 cannot hold the squares"),
    ],
)
def test_what_no_precision_holds_unscaled_is_named(scale, precision, dtype, match):
    X = NORMAL.copy()
    X[:, 1] *= scale
    table = pd.DataFrame(X, columns=["a", "b", "c"]).astype(dtype)
    params = {"precision": precision}
    with pytest.raises(ValueError, match=match):
        fit(table, standardize=False, **params)
    fit(table, **params)


@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_other_units_are_left_alone(scale):
    X = NORMAL * [1.0, scale, 1.0]
    assert_finite(fit(X, standardize=False), X)


# --- sample weights -------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "student_t", "beta"])
@pytest.mark.parametrize("exponent", [-1020, -400, 400, 1015])
def test_the_scale_of_weights_makes_no_difference(likelihood, exponent):
    X = 1.0 / (1.0 + np.exp(NORMAL))
    weight = np.random.RandomState(1).uniform(1.0, 2.0, N_ROWS)
    expected = fit(X, weight, likelihood=likelihood)
    vae = fit(X, np.ldexp(weight, exponent), likelihood=likelihood)
    if likelihood != "beta":
        # The squeeze of the latter is by the number of rows.
        assert_array_equal(vae.transform(X), expected.transform(X))
    assert_allclose(vae.score(X), expected.score(X), rtol=0.05)
    score = vae.score(X, sample_weight=np.ldexp(weight, exponent))
    assert_allclose(score, vae.score(X, sample_weight=weight), rtol=1e-12)


def test_large_weights_of_large_cells():
    X = NORMAL * [1e300, 1.0, 1e-300]
    weight = np.where(np.arange(N_ROWS) % 3 == 0, 1e300, 1e299)
    assert_finite(fit(X, weight), X)


@pytest.mark.parametrize("likelihood", [*REAL, "poisson", "beta", "categorical"])
def test_weights_of_all_scales_in_one_table(likelihood):
    X = NORMAL if likelihood in REAL else np.floor(np.abs(NORMAL))
    X = X / X.max() if likelihood == "beta" else X
    weight = 10.0 ** np.random.RandomState(0).uniform(-300.0, 300.0, N_ROWS)
    assert_finite(fit(X, weight, likelihood=likelihood), X)


def test_weights_that_sum_to_one_count_rows():
    """Shares of levels and the squeeze of fractions are those of weights of 1."""
    X = np.floor(np.abs(2.0 * NORMAL))
    weight = np.full(N_ROWS, 1.0 / N_ROWS)
    rare, usual = Categorical().fit(X, weight=weight), Categorical().fit(X)
    assert_allclose(rare.frequency_, usual.frequency_)
    assert Beta().fit(X / X.max(), weight=weight).n_rows_ == N_ROWS
    known = Categorical(n_levels=12)
    assert_allclose(
        known.fit(X, weight=weight).frequency_,
        Categorical(n_levels=12).fit(X).frequency_,
    )


# --- lists and levels -----------------------------------------------------------------


def test_lists_of_lists_beside_a_list_of_likelihoods():
    likelihood = [("gaussian", [0, 2]), ("student_t", slice(1, 2))]
    vae = fit(NORMAL.tolist(), likelihood=likelihood)
    expected = fit(NORMAL, likelihood=likelihood)
    assert vae.score(NORMAL.tolist()) == expected.score(NORMAL)


@pytest.mark.filterwarnings("ignore::skvae.exceptions.ColumnWarning")
def test_a_level_beyond_those_declared_is_missing_in_fit():
    X = np.random.RandomState(0).randint(0, 4, (N_ROWS, 2)).astype(float)
    X[3, 1] = 7.0
    likelihood = Categorical(n_levels=4, handle_unknown="missing")
    vae = fit(X, likelihood=likelihood)
    assert vae.score_cells(X)[3, 1] == 0.0
    assert vae.impute(X)[3, 1] in range(4)


# --- divergence -----------------------------------------------------------------------


def diverging(n_epochs, monkeypatch):
    """Break the weights of each training after some epochs of one batch."""
    from skvae.training._optimizer import Adam

    step, n_steps = Adam.step, [0]

    def broken(self, *args):
        step(self, *args)
        n_steps[0] += 1
        if n_steps[0] > 20 * n_epochs:
            self.parameters.values[:] = np.nan

    monkeypatch.setattr(Adam, "step", broken)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("balance", ["running_average", "learned_variance", "geco"])
def test_a_training_that_diverges_ends_with_finite_weights(
    balance, early_stopping, monkeypatch
):
    params = {"balance": balance, "early_stopping": early_stopping, "max_iter": 6}
    diverging(2, monkeypatch)
    match = r"Training diverged in epoch 3: .* before that are kept\. Lower learning_"
    with pytest.warns(ConvergenceWarning, match=match):
        vae = fit(NORMAL, **params)
    assert vae.n_iter_ == 2
    assert all(len(entries) == 2 for entries in vae.history_.values())
    assert_finite(vae, NORMAL)
    monkeypatch.undo()
    # It can be gone on from.
    vae.partial_fit(NORMAL)
    assert np.isfinite(vae._fitted.values).all()
    assert np.isfinite(vae.score_samples(NORMAL)).all()


def test_weights_that_are_never_finite_are_an_error(monkeypatch):
    diverging(0, monkeypatch)
    with pytest.raises(TrainingDivergedError, match="Training diverged: weights are"):
        fit(NORMAL)


def test_a_candidate_without_an_elbo_does_not_win():
    import torch

    from skvae.training import best_of

    assert best_of(torch.tensor([torch.nan, -3.0, torch.inf, -2.0])) == 3


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"beta": 1e300}, r"Lower beta \(now 1e\+300\)"),
        ({"learning_rate_init": 1e30}, r"Lower learning_rate_init \(now 1e\+30\)"),
        (
            {"learning_rate_init": 1e30, "alpha": 1.0},
            r"Lower alpha \(now 1\), which undoes each step",
        ),
        ({"beta": 1e300, "precision": "float32"}, "Or use precision='float64'"),
    ],
)
def test_the_message_names_what_to_change(params, named):
    with (
        np.errstate(all="ignore"),
        pytest.raises(TrainingDivergedError, match=named) as caught,
    ):
        fit(NORMAL, **params)
    # Which is so already, and the columns are not to blame.
    assert "standardize" not in str(caught.value)
    assert "column" not in str(caught.value)


def test_the_message_names_columns_and_weights():
    X = pd.DataFrame(NORMAL, columns=["a", "b", "c"])
    X["b"] *= 1e5
    weight = np.ones(N_ROWS)
    weight[7] = 1e9
    with pytest.raises(TrainingDivergedError) as caught:
        fit(X, beta=1e300, standardize=False)
    message = str(caught.value)
    assert "Pass standardize=True, as the columns differ in scale" in message
    assert "that of column 'b'" in message
    assert "sample_weight" not in message
    with pytest.raises(TrainingDivergedError) as caught:
        fit(X, weight, beta=1e300)
    message = str(caught.value)
    assert "Even out sample_weight: one row has 80 times the mean weight" in message
    # As the weighted mean and standard deviation are those of one row.
    assert "Look at column '" in message
    assert "likelihood='student_t' for the column" in message


def test_decay_beyond_all_measure_does_not_diverge():
    assert_finite(fit(NORMAL, alpha=1e9), NORMAL)
