"""Searches and paths of betas on processes that joblib does not start itself."""

import os
import signal
import time

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, cross_validate

from skvae import BalancedVAE, BalancedVAECV, beta_path

X = load_wine().data
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": 1e3}
SMALL |= {"n_components": 2, "random_state": 0, "device": "cpu"}
BETAS = [0.3, 3.0]
# Ray is started once on a machine.
pytestmark = pytest.mark.xdist_group("clusters")
REASON = "needs the package {}; `make test-engines` installs it"


@pytest.fixture(scope="module")
def dask_client():
    """Client of a cluster of two processes."""
    distributed = pytest.importorskip("distributed", reason=REASON.format("dask"))
    import dask

    # By default it is two seconds.
    interval = "distributed.scheduler.active-memory-manager.interval"
    with (
        dask.config.set({interval: "50ms"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ray_cluster():
    """A Ray of two processes."""
    ray = pytest.importorskip("ray", reason=REASON.format("ray"))
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    yield
    ray.shutdown()


@pytest.fixture(params=["dask", "ray"])
def backend(request):
    """Name of the backend, with its processes running."""
    request.getfixturevalue(
        {"dask": "dask_client", "ray": "ray_cluster"}[request.param]
    )
    return request.param


def searched():
    grid = {"beta": BETAS, "balance": ["constant", "running_average"]}
    search = GridSearchCV(BalancedVAE(**SMALL), grid, cv=2).fit(X)
    return [search.cv_results_["mean_test_score"], search.transform(X)]


def validated():
    found = cross_validate(
        BalancedVAE(**SMALL), X, cv=3, return_train_score=True, return_estimator=True
    )
    codes = [vae.transform(X) for vae in found["estimator"]]
    return [found["test_score"], found["train_score"], *codes]


def chosen():
    search = BalancedVAECV(BETAS, cv=2, **SMALL).fit(X)
    return [search.cv_results_["split1_test_elbo"], search.transform(X), search.beta_]


def traced():
    path = beta_path(X, betas=BETAS, cv=2, **SMALL)
    models = path.models.ravel().tolist()
    return [path.elbo, path.rate, *(vae.score_samples(X) for vae in models)]


JOBS = [searched, validated, chosen, traced]


@pytest.mark.parametrize("job", JOBS)
def test_results_are_those_of_one_process(job, backend, one_thread):
    expected = job()
    with joblib.parallel_config(backend, n_jobs=2):
        found = job()
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("job", JOBS)
def test_table_is_sent_to_dask_once(job, dask_client, monkeypatch):
    sent = []
    scatter = type(dask_client).scatter

    def counted(self, data, *args, **kwargs):
        if isinstance(data, np.ndarray) and data.shape == X.shape:
            sent.append(data)
        return scatter(self, data, *args, **kwargs)

    monkeypatch.setattr(type(dask_client), "scatter", counted)
    with joblib.parallel_config("dask"):
        job()
    assert len(sent) == 1


def test_dask_repeats_what_a_killed_worker_did(dask_client, tmp_path, one_thread):
    def elbo(vae, X, y=None):
        # The first worker to come here is killed, as where its machine fails.
        if os.getpid() != main and not killed.exists():
            killed.write_text(str(os.getpid()))
            # The scheduler has time to drop copies.
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return vae.score(X)

    main, killed = os.getpid(), tmp_path / "killed"
    search = GridSearchCV(BalancedVAE(**SMALL), {"beta": BETAS}, scoring=elbo, cv=2)
    expected = search.fit(X).cv_results_["mean_test_score"]
    workers = set(dask_client.run(os.getpid).values())
    # Without either, the only copy of X may be lost with the worker.
    dask_client.amm.stop()
    with joblib.parallel_config("dask", scatter=[X]):
        found = search.fit(X).cv_results_["mean_test_score"]
    dask_client.amm.start()
    assert_array_equal(found, expected)
    assert int(killed.read_text()) in workers
