"""The numbers, and how a model is found in what contains it."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae.fitted import _measures as measures
from skvae.fitted._inference import Scored
from skvae.fitted._measures import Seen, seen_by

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


IN_NATS = {
    "elbo": lambda vae, X: vae.score_samples(X),
    "neg_rate": lambda vae, X: -vae.rate_distortion(X)[0],
    "neg_distortion": lambda vae, X: -vae.rate_distortion(X)[1],
    "log_likelihood": lambda vae, X: vae.log_likelihood(X),
}


@pytest.mark.parametrize("name", IN_NATS)
def test_mean_over_rows(fitted, X, name):
    nats = IN_NATS[name](fitted, X)
    measure = getattr(measures, name)
    found = measure(Seen(fitted, X))
    assert isinstance(found, float)
    assert found == pytest.approx(nats.mean(), rel=1e-12)
    weight = np.arange(len(X)) % 3
    found = measure(Seen(fitted, X), weight)
    assert found == pytest.approx(nats.repeat(weight).mean(), rel=1e-12)
    assert found != pytest.approx(nats.mean(), rel=1e-6)


def test_elbo_is_the_default_score(fitted, X):
    assert measures.elbo(Seen(fitted, X)) == fitted.score(X)
    rows = X.astype(np.float32)
    assert measures.elbo(Seen(fitted, rows)) == fitted.score(rows)


def test_draws_for_the_log_likelihood(fitted, X):
    expected = fitted.log_likelihood(X, 3).mean()
    found = measures.log_likelihood(Seen(fitted, X), n_importance_samples=3)
    assert found == pytest.approx(expected, rel=1e-12)


def encoded_as(mean):
    """Rows with given posterior means."""
    seen = Seen(None, None)
    seen.scored = Scored(rate=None, distortion=None, mean=mean)
    return seen


def test_active_units_vary_over_the_rows_that_count():
    # Variances of 0, of 0.0096 and 0.0106 to both sides of the threshold, and of 1.
    spread = np.array([0.0, 0.098, 0.103, 1.0])
    rows = 7.0 + np.outer([1.0, -1.0, 1.0, -1.0], spread)
    found = measures.active_units(encoded_as(rows))
    assert found == 2.0
    assert isinstance(found, float)
    outlier = np.vstack([rows, [100.0] * 4])
    assert measures.active_units(encoded_as(outlier)) == 4.0
    weight = [1.0, 1.0, 1.0, 1.0, 0.0]
    assert measures.active_units(encoded_as(outlier), weight) == 2.0


@may_collapse
def test_active_units_are_those_of_the_estimator(fitted, X):
    found = measures.active_units(Seen(fitted, X))
    assert found == fitted.active_units_.sum() == 2
    # A beta at which nothing is worth a latent.
    collapsed = clone(fitted).set_params(beta=100.0).fit(X)
    assert measures.active_units(Seen(collapsed, X)) == 0.0


@pytest.mark.parametrize("name", [*IN_NATS, "active_units"])
def test_weights_that_are_all_zero(fitted, X, name):
    with pytest.raises(ValueError, match=r"Sample weights .*zero"):
        getattr(measures, name)(Seen(fitted, X), np.zeros(len(X)))


def test_rows_are_encoded_when_needed_and_once(fitted, X, monkeypatch):
    from skvae.model._module import Module

    n_calls, encode = [0], Module.encode

    def counted(self, weights, x, observed=None):
        n_calls[0] += 1
        return encode(self, weights, x, observed)

    monkeypatch.setattr(Module, "encode", counted)
    seen = Seen(fitted, X)
    assert n_calls == [0]
    for name in ("elbo", "neg_rate", "neg_distortion", "active_units"):
        getattr(measures, name)(seen)
    assert n_calls == [1]


# --- Finding the model --------------------------------------------------------------


class Counter(TransformerMixin, BaseEstimator):
    """Counts its transforms, and doubles the rows."""

    n_calls = 0

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        type(self).n_calls += 1
        return 2.0 * X


def test_model_by_itself(fitted, X):
    seen = seen_by(fitted, X)
    assert seen.vae is fitted
    assert seen.X is X


def test_pipeline_transforms_once(vae, X, monkeypatch):
    pipeline = make_pipeline(StandardScaler(), Counter(), clone(vae)).fit(X)
    monkeypatch.setattr(Counter, "n_calls", 0)
    seen = seen_by(pipeline, X)
    measures.elbo(seen)
    measures.active_units(seen)
    measures.log_likelihood(seen)
    assert Counter.n_calls == 1
    assert seen.vae is pipeline[-1]
    assert_array_equal(seen.X, 2.0 * StandardScaler().fit_transform(X))
    # The score of scikit-learn's pipeline: no Jacobian there either.
    assert measures.elbo(seen) == pipeline.score(X)


CONTAINERS = {
    "one step": lambda vae: make_pipeline(vae),
    "pipeline": lambda vae: make_pipeline(PCA(3), vae),
    "pipelines": lambda vae: make_pipeline(
        StandardScaler(), make_pipeline(PCA(3), vae)
    ),
    "passthrough": lambda vae: Pipeline([("no", "passthrough"), ("vae", vae)]),
    "search": lambda vae: GridSearchCV(vae, {"beta": [1.0, 2.0]}, cv=2),
    "search over a pipeline": lambda vae: GridSearchCV(
        make_pipeline(PCA(3), vae), {"balancedvae__beta": [1.0, 2.0]}, cv=2
    ),
    "pipeline with a search": lambda vae: make_pipeline(
        PCA(3), GridSearchCV(vae, {"beta": [1.0, 2.0]}, cv=2)
    ),
}


@may_collapse
@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_score_as_scikit_learn_does(vae, X, name):
    container = CONTAINERS[name](clone(vae)).fit(X)
    expected = container.score(X)
    assert measures.elbo(seen_by(container, X)) == pytest.approx(expected, rel=1e-12)


def test_frozen_model(fitted, X):
    frozen = FrozenEstimator(fitted)
    assert measures.elbo(seen_by(frozen, X)) == fitted.score(X)
    pipeline = make_pipeline(frozen)
    assert measures.elbo(seen_by(pipeline, X)) == fitted.score(X)


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_that_is_not_fitted(vae, X, name):
    with pytest.raises((NotFittedError, TypeError), match=r"not fitted|takes a fitted"):
        measures.elbo(seen_by(CONTAINERS[name](clone(vae)), X))


def test_model_that_is_not_fitted(vae, X):
    with pytest.raises(NotFittedError):
        measures.elbo(seen_by(clone(vae), X))


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), PCA()),
        GridSearchCV(PCA(), {"n_components": [1]}),
    ],
)
def test_estimator_without_a_model(X, estimator):
    if isinstance(estimator, Pipeline):
        estimator.fit(X)
    message = (
        "A scorer of skvae takes a fitted BalancedVAE, a Pipeline that ends in one, or "
        f"a search over either that has a best_estimator_, got {estimator!r}."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        seen_by(estimator, X)
