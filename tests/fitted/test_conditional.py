"""Rows drawn given some of their cells."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skvae import BalancedVAE
from skvae.exceptions import EffectiveSampleSizeWarning

LOADING = np.array([[1.0, 0.5, 0.0, 0.8], [0.0, 0.7, 1.0, -0.3]])


@pytest.fixture(scope="module")
def linear():
    """A linear model of rows with two factors."""
    random = np.random.default_rng(0)
    X = random.standard_normal((4000, 2)) @ LOADING
    X += 0.4 * random.standard_normal(X.shape)
    vae = BalancedVAE(2, hidden_layer_sizes=(), random_state=0)
    return vae.fit(X)


@pytest.fixture(scope="module")
def mixed():
    """A model of a number, a flag and a category that follows from the number."""
    random = np.random.default_rng(0)
    size = random.standard_normal(1500)
    frame = pd.DataFrame(
        {
            "size": np.round(10.0 + 2.0 * size, 1),
            "heavy": size + 0.5 * random.standard_normal(1500) > 0.0,
            "grade": np.where(size > 0.8, "top", np.where(size > -0.5, "mid", "low")),
        }
    )
    vae = BalancedVAE(2, hidden_layer_sizes=(16,), max_iter=30, random_state=0)
    return vae.fit(frame), frame


@pytest.mark.parametrize("given", [{0: 1.5}, {0: 1.5, 3: -1.0}, {2: 0.3, 1: 2.0}])
def test_a_linear_model_has_the_conditional_normal(linear, given):
    vae = linear
    rows = vae.sample(40_000, random_state=0, given=given)
    known = list(given)
    drawn = [d for d in range(4) if d not in given]
    assert (rows[:, known] == list(given.values())).all()
    # The model's own mean and covariance, by as many rows without a condition.
    free = vae.sample(400_000, random_state=1)
    mean, covariance = free.mean(axis=0), np.cov(free.T)
    slope = np.linalg.solve(
        covariance[np.ix_(known, known)], covariance[np.ix_(known, drawn)]
    )
    expected = mean[drawn] + (list(given.values()) - mean[known]) @ slope
    left = covariance[np.ix_(drawn, drawn)] - covariance[np.ix_(drawn, known)] @ slope
    # Rows take their latents from 400,000, of which some thousand count.
    assert rows[:, drawn].mean(axis=0) == pytest.approx(expected, abs=0.05)
    assert np.cov(rows[:, drawn].T) == pytest.approx(left, abs=0.05)


def test_a_posterior_that_is_wrong_does_not_bias_the_rows(linear):
    """Missing cells enter the encoder as zeros that nothing tells from values."""
    covariance = LOADING.T @ LOADING + 0.16 * np.eye(4)
    rows = linear.sample(20_000, random_state=0, given={1: 1.0})
    expected = covariance[1] / covariance[1, 1]
    assert rows.mean(axis=0) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("given", [{"heavy": True}, {"grade": "top"}])
def test_rows_are_those_that_happen_to_agree(mixed, given):
    """Rejection finds the same rows, where what is given is not rare."""
    vae, frame = mixed
    found = vae.sample(40_000, random_state=0, given=given)
    assert found.dtypes.equals(frame.dtypes)
    free = vae.sample(300_000, random_state=1)
    [(column, value)] = given.items()
    expected = free[free[column] == value]
    assert len(expected) > 10_000
    assert (found[column] == value).all()
    assert found["size"].mean() == pytest.approx(expected["size"].mean(), abs=0.1)
    assert found["size"].std() == pytest.approx(expected["size"].std(), abs=0.1)
    for other in {"heavy", "grade"} - {column}:
        counts = expected[other].value_counts(normalize=True)
        own = found[other].value_counts(normalize=True).reindex(counts.index)
        assert own.to_numpy() == pytest.approx(counts.to_numpy(), abs=0.03)


def test_an_atom_may_be_given(mixed):
    """With quantile scaling a value of several rows has a probability."""
    vae, frame = mixed
    vae = clone(vae).set_params(standardize="quantile").fit(frame)
    value = frame["size"].mode()[0]
    found = vae.sample(20_000, random_state=0, given={"size": value})
    free = vae.sample(300_000, random_state=1)
    expected = free[free["size"] == value]
    assert len(expected) > 3000
    assert (found["size"] == value).all()
    assert found["heavy"].mean() == pytest.approx(expected["heavy"].mean(), abs=0.04)


def test_a_seed_repeats_the_rows_and_the_global_stream_is_untouched(mixed):
    vae, _ = mixed
    before = np.random.get_state()[1].copy()
    one, same, other = (
        vae.sample(50, random_state=seed, given={"size": 11.0}) for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)
    assert (np.random.get_state()[1] == before).all()


def test_without_noise_the_means_given_cells(linear, mixed):
    covariance = LOADING.T @ LOADING + 0.16 * np.eye(4)
    given = {"random_state": 0, "given": {0: 1.5}}
    means = linear.sample(20_000, noise=False, **given)
    rows = linear.sample(20_000, **given)
    assert (means[:, 0] == 1.5).all()
    expected = 1.5 * covariance[0] / covariance[0, 0]
    assert means.mean(axis=0) == pytest.approx(expected, abs=0.1)
    left = np.diag(covariance)[1:] - covariance[0, 1:] ** 2 / covariance[0, 0]
    assert rows[:, 1:].var(axis=0) == pytest.approx(left, rel=0.1)
    assert means[:, 1:].var(axis=0) == pytest.approx(left - 0.16, rel=0.1, abs=0.02)
    vae, frame = mixed
    means = vae.sample(500, random_state=0, given={"grade": "top"}, noise=False)
    assert means.dtypes.equals(frame.dtypes)
    assert (means["grade"] == "top").all()


def test_without_noise_levels_are_the_most_probable(mixed):
    vae, frame = mixed
    means = vae.sample(2000, random_state=0, noise=False)
    assert means.dtypes.equals(frame.dtypes)
    assert set(means["grade"]) <= set(frame["grade"])
    # The flag follows from the size but for noise, which is left out.
    rows = vae.sample(2000, random_state=0)
    agree = [((t["size"] > 10.0) == t["heavy"]).mean() for t in (means, rows)]
    assert agree[0] > agree[1] + 0.05


def test_all_cells_may_be_given(mixed):
    vae, frame = mixed
    cells = frame.iloc[0].to_dict()
    rows = vae.sample(3, random_state=0, given=cells)
    pd.testing.assert_frame_equal(rows, frame.iloc[[0, 0, 0]].reset_index(drop=True))


def test_a_learned_prior_is_the_one_that_is_conditioned():
    random = np.random.default_rng(0)
    side = random.choice([-3.0, 3.0], size=1500)
    X = np.column_stack([side, side]) + 0.5 * random.standard_normal((1500, 2))
    vae = BalancedVAE(1, hidden_layer_sizes=(8,), prior="mixture", random_state=0)
    vae.fit(X)
    rows = vae.sample(2000, random_state=0, given={0: 3.0})
    assert rows[:, 1].mean() == pytest.approx(3.0, abs=0.4)
    assert (rows[:, 1] > 0.0).mean() > 0.97


def test_cells_that_hardly_go_together_are_warned_of(linear):
    vae = linear
    match = r"only \d+\.\d in effect .* give fewer of them, or others"
    with pytest.warns(EffectiveSampleSizeWarning, match=match) as found:
        vae.sample(1000, random_state=0, given={0: 60.0, 1: -60.0, 2: 60.0})
    # It points to the user's line.
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae.sample(1000, random_state=0, given={0: 1.0})


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"grade": "best"}, "column 'grade' does not have the category 'best'. Choose"),
        ({"Size": 1.0}, "'Size' is no column of the table of fit. Its columns are"),
        ({0: 1.0}, "0 is no column of the table of fit"),
        ({}, "given is empty: name at least one column"),
        ({"size": None}, r"column 'size' is missing \(None\). Leave the column out"),
        ({"size": "big"}, "'size' holds the value 'big' of type str, but held numbers"),
        ({"size": np.inf}, "column 'size' holds inf"),
        ({"heavy": 7}, "column 'heavy' does not have the value 7 in the table of fit"),
    ],
)
def test_errors_about_given_cells(mixed, given, match):
    with pytest.raises(ValueError, match=match):
        mixed[0].sample(2, given=given)


def test_errors_about_numbered_columns(linear):
    with pytest.raises(ValueError, match=r"4 is no column .* Use the numbers 0 to 3"):
        linear.sample(2, given={4: 1.0})
    with pytest.raises(TypeError, match=r"given must map columns .* got list"):
        linear.sample(2, given=[1.0])
