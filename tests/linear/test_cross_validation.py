"""Factor analysis out of fold, where few rows are held out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import FactorAnalysis
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE
from skvae.linear._cross_validation import unseen_error


def found(x, held_out, n_components=2, is_free=None):
    n_features = x.shape[1]
    is_free = np.ones(n_features, dtype=bool) if is_free is None else is_free
    parts = ((part, np.full(len(part), 1.0 / len(part))) for part in (x, held_out))
    return unseen_error(*parts, n_components, np.full(n_features, 1e-6), is_free)


def factors(n_rows, noise, seed):
    """One factor and noise of a given variance in each column."""
    random = np.random.RandomState(seed)
    factor = random.standard_normal((n_rows, 1))
    return factor + np.sqrt(noise) * random.standard_normal((n_rows, len(noise)))


def test_error_is_what_new_rows_have():
    noise = np.array([0.05, 0.3, 1.0, 2.0, 0.5])
    x, held_out = factors(270, noise, 0), factors(30, noise, 1)
    new = factors(20_000, noise, 2)
    unseen = found(x, held_out, n_components=1)
    analysis = FactorAnalysis(1).fit(np.concatenate([x, held_out]))
    precision = 1.0 + (analysis.components_**2 / analysis.noise_variance_).sum()
    white = (new - analysis.mean_) / analysis.noise_variance_
    z = white @ analysis.components_.T / precision
    error = np.square(new - analysis.mean_ - z @ analysis.components_).mean(axis=0)
    error += analysis.components_[0] ** 2 / precision
    assert_allclose(unseen, error, rtol=0.2)


def test_noise_that_a_few_rows_disprove_is_not_taken_for_none():
    """A column follows from another one in all but a few rows, none held out."""
    random = np.random.RandomState(0)
    x = random.standard_normal((150, 4))
    x[:, 1] = x[:, 0] + 1e-3 * random.standard_normal(150)
    x[::20, 1] += 3.0 * random.standard_normal(8)
    is_held_out = np.arange(150) % 10 == 5
    error = found(x[~is_held_out], x[is_held_out])
    exact = np.square(x[is_held_out, 1] - x[is_held_out, 0]).mean()
    assert exact < 1e-4
    # The mean square of the rows that differ, spread over all.
    assert error[1] > 0.05


def test_indicators_of_levels_keep_their_noise():
    x = factors(200, np.full(4, 0.5), 0)
    error = found(x[:180], x[180:], 1, np.array([True, True, True, False]))
    assert np.isfinite(error).all()
    assert found(x[:180], x[180:], 1, np.zeros(4, dtype=bool)) is None


@pytest.mark.parametrize(("n_held_out", "n_features"), [(100, 4), (20, 51)])
def test_enough_held_out_rows_and_wide_tables_need_none(n_held_out, n_features):
    x = np.random.RandomState(0).standard_normal((300, n_features))
    assert found(x[n_held_out:], x[:n_held_out]) is None


def test_a_small_table_with_heavy_tails_is_not_below_factor_analysis(shared_data):
    """Variances that a dozen held-out rows attested cost 50 nats a row here."""
    X = np.load(shared_data / "anomaly" / "pageblocks.npz")["X"].astype(np.float64)
    gains = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(X))
        train, test = X[order[:150]], X[order[3200:]]
        scaler = StandardScaler().fit(train)
        train, test = (scaler.transform(part) for part in (train, test))
        low, high = train.min(axis=0), train.max(axis=0)
        width = high - low
        is_near = ((test > low - width) & (test < high + width)).all(axis=1)
        vae = BalancedVAE(3, random_state=seed).fit(train)
        own = vae.log_likelihood(test[is_near][:1000], 50)
        analysis = FactorAnalysis(3, max_iter=5000).fit(train)
        gains.append(own.mean() - analysis.score(test[is_near][:1000]))
    assert np.mean(gains) > 0.0, gains
