"""Models and numbers in MLflow: the page on it says what is tested here."""

import pickle
from types import SimpleNamespace

import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE, BalancedVAECV, OutlierVAE
from skvae.callbacks import MLflow

REASON = "needs the extra skvae[mlflow]; `make test-engines` installs it"
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}
X = load_wine().data


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """MLflow with a folder as its store."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    mlflow = pytest.importorskip("mlflow", reason=REASON)
    pytest.importorskip("mlflow.sklearn", reason=REASON)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"file:{tmp_path}")
    mlflow.set_experiment("tables")
    yield mlflow
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("format", ["skops", "cloudpickle"])
def test_model_is_logged_loaded_and_scored(format, mlflow):
    skops_io = pytest.importorskip("skops.io", reason=REASON)
    vae = BalancedVAE(2, **SMALL).fit(X)
    types = skops_io.get_untrusted_types(data=skops_io.dumps(vae))
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            vae,
            name="vae",
            serialization_format=format,
            skops_trusted_types=types,
            pip_requirements=["skvae"],
        )
    again = mlflow.sklearn.load_model(info.model_uri)
    assert_array_equal(again.score_samples(X), vae.score_samples(X))
    assert_array_equal(again.transform(X), vae.transform(X))


def numbers_of(mlflow, run_id, name):
    found = mlflow.MlflowClient().get_metric_history(run_id, name)
    return [each.step for each in found], [each.value for each in found]


@pytest.mark.parametrize("nested", [False, True])
def test_callback_logs_settings_history_and_measures(nested, mlflow):
    vae = BalancedVAE(2, **SMALL).set_callbacks(MLflow(nested=nested))
    with mlflow.start_run() as outer:
        make_pipeline(StandardScaler(), vae).fit(X)
    runs = mlflow.search_runs(output_format="list")
    assert len(runs) == 1 + nested
    is_own = [(run.info.run_id != outer.info.run_id) == nested for run in runs]
    run = runs[is_own.index(True)]
    assert run.info.status == "FINISHED"
    assert run.data.params["hidden_layer_sizes"] == "(4,)"
    assert run.data.metrics["elbo_"] == vae.elbo_
    for name, values in vae.history_.items():
        steps, found = numbers_of(mlflow, run.info.run_id, name)
        assert steps == [0, 1]
        assert_array_equal(found, values)


def test_callback_starts_and_ends_a_run_of_its_own(mlflow):
    vae = BalancedVAE(2, **SMALL).set_callbacks(MLflow()).fit(X)
    assert mlflow.active_run() is None
    (run,) = mlflow.search_runs(output_format="list")
    assert (run.info.run_name, run.info.status) == ("BalancedVAE", "FINISHED")
    assert run.data.metrics["rate_"] == vae.rate_
    again = pickle.loads(pickle.dumps(vae))
    assert repr(again._skl_callbacks) == "[MLflow(nested=False)]"


def test_fit_that_fails_leaves_no_run(mlflow):
    class Interrupted(MLflow):
        def on_fit_task_begin(self, estimator, context):
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        BalancedVAE(2, **SMALL).set_callbacks(Interrupted()).fit(X)
    assert mlflow.active_run() is None
    assert mlflow.search_runs(output_format="list") == []


@pytest.mark.parametrize(
    "estimator",
    [OutlierVAE(n_components=2, **SMALL), BalancedVAECV([0.5, 1.0], cv=2, **SMALL)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_callback_logs_what_an_estimator_is_after_fit(estimator, mlflow):
    estimator = clone(estimator).set_callbacks(MLflow()).fit(X)
    (run,) = mlflow.search_runs(output_format="list")
    assert run.info.run_name == type(estimator).__name__
    assert run.data.metrics["elbo_"] == estimator.elbo_
    _, found = numbers_of(mlflow, run.info.run_id, "elbo")
    assert_array_equal(found, estimator.history_["elbo"])


def test_callback_logs_each_fit_of_a_search(mlflow):
    vae = BalancedVAE(2, **SMALL).set_callbacks(MLflow(nested=True))
    with mlflow.start_run() as outer:
        GridSearchCV(vae, {"beta": [0.5, 1.0]}, cv=2).fit(X)
    runs = mlflow.search_runs(output_format="list")
    own = [run for run in runs if run.info.run_id != outer.info.run_id]
    # Two folds of two settings, and the fit to all rows.
    assert len(own) == 5
    assert {run.data.params["beta"] for run in own} == {"0.5", "1.0"}


def test_option_of_the_callback_is_checked():
    with pytest.raises(TypeError, match="nested must be True or False, got 'yes'"):
        MLflow("yes")


def test_transform_is_served(mlflow):
    vae = BalancedVAE(2, **SMALL).fit(X)

    class Codes(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return vae.transform(model_input)

    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="codes", python_model=Codes(), pip_requirements=["skvae"]
        )
    served = mlflow.pyfunc.load_model(info.model_uri)
    assert_array_equal(served.predict(X), vae.transform(X))


def test_predict_of_an_outlier_detector_is_served(mlflow):
    vae = OutlierVAE(n_components=2, **SMALL).fit(X)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            vae,
            name="vae",
            serialization_format="cloudpickle",
            pip_requirements=["skvae"],
        )
    served = mlflow.pyfunc.load_model(info.model_uri)
    assert_array_equal(served.predict(X), vae.predict(X))


def test_autologging_logs_a_search_and_no_model_alone(mlflow):
    mlflow.sklearn.autolog(log_models=False, log_post_training_metrics=False)
    with mlflow.start_run() as alone:
        BalancedVAE(2, **SMALL).fit(X)
    with mlflow.start_run() as searched:
        GridSearchCV(BalancedVAE(2, **SMALL), {"beta": [0.5, 1.0]}, cv=2).fit(X)
    assert mlflow.get_run(alone.info.run_id).data.params == {}
    data = mlflow.get_run(searched.info.run_id).data
    assert "best_cv_score" in data.metrics
    assert "best_beta" in data.params


def test_callback_adds_the_history_to_a_pipeline_that_is_autologged(mlflow):
    mlflow.sklearn.autolog(log_models=False, log_post_training_metrics=False)
    vae = BalancedVAE(2, **SMALL).set_callbacks(MLflow())
    make_pipeline(StandardScaler(), vae).fit(X)
    (run,) = mlflow.search_runs(output_format="list")
    assert {"balancedvae__beta", "beta"} <= run.data.params.keys()
    steps, found = numbers_of(mlflow, run.info.run_id, "elbo")
    assert steps == [0, 1]
    assert_array_equal(found, vae.history_["elbo"])


def test_a_second_fit_in_a_run_is_refused_before_it_trains(mlflow):
    vae = BalancedVAE(2, **SMALL).set_callbacks(MLflow())
    with mlflow.start_run():
        vae.fit(X)
        # The same settings again.
        vae.fit(X)
        before = vae.elbo_
        with pytest.raises(
            ValueError, match=r"holds beta=1.0 .* has beta=2.0: .*nested"
        ):
            vae.set_params(beta=2.0).fit(X)
    assert vae.elbo_ == before


def test_an_error_leaves_no_run_open(mlflow):
    vae = BalancedVAE(2, **SMALL).fit(X)
    del vae.rate_
    with pytest.raises(AttributeError, match="rate_"):
        MLflow().on_fit_task_end(vae, SimpleNamespace(task_name="fit"))
    assert mlflow.active_run() is None
