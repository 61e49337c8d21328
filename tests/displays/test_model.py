"""From what the user fitted to the model in it and the rows as it sees them."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skvae import BalancedVAE
from skvae.displays._model import seen_by_model


def test_bare_estimator_sees_the_rows(vae, frame):
    seen = seen_by_model(vae, frame, "A test")
    assert seen.vae is vae
    assert seen.rows is frame
    assert_array_equal(seen.X, frame.to_numpy())
    assert_array_equal(seen.names, frame.columns)


def test_pipeline_transforms_and_names_the_rows(vae, frame):
    pipeline = make_pipeline(StandardScaler(), clone(vae)).fit(frame)
    seen = seen_by_model(pipeline, frame, "A test")
    assert seen.vae is pipeline[-1]
    assert_array_equal(seen.X, pipeline[0].transform(frame))
    assert_array_equal(seen.names, frame.columns)


def test_steps_without_names_leave_numbers(vae, frame):
    double = FunctionTransformer(lambda X: 2.0 * np.asarray(X))
    seen = seen_by_model(make_pipeline(double, clone(vae)).fit(frame), frame, "A test")
    assert seen.names[:2].tolist() == ["x0", "x1"]
    alone = make_pipeline(clone(vae)).fit(frame.to_numpy())
    seen = seen_by_model(alone, frame.to_numpy(), "A test")
    assert seen.names[-1] == "x12"


def test_search_over_a_pipeline_names_the_rows(vae, frame):
    pipeline = make_pipeline(StandardScaler(), clone(vae))
    grid = {"balancedvae__beta": [1.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(frame)
    seen = seen_by_model(search, frame, "A test")
    assert seen.vae is search.best_estimator_[-1]
    assert_array_equal(seen.names, frame.columns)


@pytest.mark.parametrize("estimator", [PCA(), make_pipeline(StandardScaler(), PCA())])
def test_other_estimators_are_refused(estimator, frame):
    with pytest.raises(TypeError, match=r"A test takes a fitted BalancedVAE, a Pi"):
        seen_by_model(estimator.fit(frame), frame, "A test")


def test_model_must_be_fitted(frame):
    with pytest.raises(NotFittedError):
        seen_by_model(BalancedVAE(), frame, "A test")
