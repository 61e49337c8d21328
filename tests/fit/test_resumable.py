import copy
import pickle

import numpy as np
import pytest

from skvae import BalancedVAE
from skvae.fit._fit import Fit
from skvae.fit._progress import Report
from skvae.fit._resumable import Resumable
from skvae.fit._table import CheckedTable

X = np.random.RandomState(0).normal(size=(60, 3))


@pytest.fixture
def vae():
    return BalancedVAE(1, hidden_layer_sizes=(3,), max_iter=3, tol=1e3, random_state=0)


@pytest.fixture
def training(vae):
    return Resumable(vae, CheckedTable.of(vae, X, None))


def test_before_an_epoch_there_is_no_state(training):
    assert training.to_arrays() is None
    assert training.n_epochs == 0
    assert training.differences(training.identity) == []


def test_state_of_an_epoch_is_taken_up_with_its_seed(vae, training):
    report = Report(vae, X, training)
    fit = Fit.fresh(vae, training.table, [1.0], training.seed)
    report.begin(fit.trained, fit.prepared.jacobian)
    (expected,) = fit.train(lambda *given: report(*given) or given[0] == 1)
    assert training.n_epochs == 2
    vae.set_params(random_state=1)
    other = Resumable(vae, training.table)
    assert other.seed != training.seed
    other.resume(training.seed, training.to_arrays())
    assert other.n_epochs == 2
    # It had been ended.
    again = Fit.fresh(vae, other.table, [1.0], other.seed).going_on(other.arrays)
    (found,) = again.train(None)
    assert found["n_iter_"] == 2
    np.testing.assert_array_equal(found["_fitted"].values, expected["_fitted"].values)


def test_it_does_not_leave_its_process(training):
    assert pickle.loads(pickle.dumps({"training": training})) == {"training": None}
    assert copy.deepcopy([training]) == [None]
