"""Models and numbers in MLflow: the page on it says what is tested here."""

import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from skvae import BalancedVAE, OutlierVAE

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


def test_history_is_logged_as_metrics(mlflow):
    with mlflow.start_run() as run:
        vae = BalancedVAE(2, **SMALL).fit(X)
        for epoch in range(vae.n_iter_):
            row = {name: values[epoch] for name, values in vae.history_.items()}
            mlflow.log_metrics(row, step=epoch)
    client = mlflow.MlflowClient()
    for name, values in vae.history_.items():
        found = client.get_metric_history(run.info.run_id, name)
        assert [each.step for each in found] == [0, 1]
        assert_array_equal([each.value for each in found], values)


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
