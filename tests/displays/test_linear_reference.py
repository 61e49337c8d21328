"""Closed-form rate and distortion of linear models."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA

from skvae.displays._linear_reference import LinearReference, linear_models

X = load_wine().data


def reference(X=X, **settings):
    return LinearReference.from_rows(
        X, **{"n_components": 2, "max_rate": 10.0, **settings}
    )


def test_without_latents_columns_are_independent_normals():
    for settings in ({}, {"standardize": False}):
        (rate, distortion), _ = reference(**settings)
        assert rate[0] == pytest.approx(0.0, abs=1e-12)
        expected = 0.5 * np.log(2.0 * np.pi * np.e * X.var(axis=0)).sum()
        assert distortion[0] == pytest.approx(expected)


def test_beyond_the_last_eigenvalue_the_elbo_is_the_entropy():
    rows = np.random.default_rng(0).normal(size=(500, 3))
    (rate, distortion), _ = reference(rows, max_rate=6.0, per_feature=False)
    entropy = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * np.cov(rows.T, ddof=0))[1]
    assert rate[-1] == pytest.approx(6.0)
    assert rate[-1] + distortion[-1] == pytest.approx(entropy)


@pytest.mark.parametrize("per_feature", [True, False])
def test_curve_falls_and_is_convex(per_feature):
    (rate, distortion), _ = reference(per_feature=per_feature)
    slope = np.diff(distortion) / np.diff(rate)
    assert (np.diff(rate) > 0.0).all()
    assert (slope < 0.0).all()
    if not per_feature:
        assert (np.diff(slope) > -1e-6).all()


def test_a_variance_for_each_column_is_better():
    apart, together = reference(), reference(per_feature=False)
    assert (apart.bound[1] <= together.bound[1] + 1e-9).all()
    assert apart.pca[1] < together.pca[1]


def test_pca_is_that_of_scikit_learn():
    rate, distortion = reference(per_feature=False, standardize=False).pca
    # It divides by n - 1, which shrunken rows make up for.
    pca = PCA(2).fit(np.sqrt((len(X) - 1) / len(X)) * (X - X.mean(axis=0)))
    assert -(rate + distortion) == pytest.approx(pca.score(X - X.mean(axis=0)))


def test_trained_linear_models_lie_on_the_curve(models, frame):
    largest = models[0]
    rate, distortion = largest.rate_distortion(frame)
    (rates, nats), _ = reference(
        frame, max_rate=rate.mean() + 1.0, per_feature=np.ndim(largest.variance_) == 1
    )
    for vae in models:
        rate, distortion = (part.mean() for part in vae.rate_distortion(frame))
        assert distortion == pytest.approx(np.interp(rate, rates, nats), abs=0.1)


def test_auto_is_that_of_the_estimator():
    assert reference(n_components="auto").pca == reference(n_components=6).pca


def test_curve_reaches_beyond_the_largest_rate_and_pca():
    assert reference(max_rate=0.0).bound[0].max() == pytest.approx(reference().pca[0])
    (rate, distortion), pca = reference(n_components=13, max_rate=0.0)
    # As many latents as columns leave PCA no noise.
    assert pca is None
    assert_allclose(rate, 0.0, atol=1e-12)
    assert_allclose(distortion, distortion[0])


def test_constant_columns_say_nothing():
    wide = np.column_stack([X, np.full(len(X), 3.0)])
    for settings in ({}, {"standardize": False}):
        (rate, distortion), _ = reference(wide, **settings)
        (narrow_rate, narrow), _ = reference(**settings)
        assert_allclose(rate, narrow_rate, atol=1e-8)
        assert_allclose(distortion, narrow, atol=1e-6)


def test_more_columns_than_rows():
    rows = np.random.default_rng(0).normal(size=(20, 50))
    (rate, distortion), pca = reference(rows, max_rate=30.0)
    assert np.isfinite(rate).all()
    assert np.isfinite(distortion).all()
    assert np.isfinite(pca).all()


def test_equal_rows_are_an_error():
    with pytest.raises(ValueError, match="all rows of X are equal"):
        reference(np.ones((5, 3)))


def test_no_rows_no_reference():
    assert linear_models(np.ones(3), None, n_components=2) == {}
    found = linear_models(np.array([[1.0, 3.0], [np.nan, 9.0]]), X, n_components=1)
    assert found["bound"][0].max() == pytest.approx(max(2.0, found["pca"][0]))
