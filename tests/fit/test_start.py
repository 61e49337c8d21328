"""Where a training starts: at linear models in closed form, or at random."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.fit._prepare import prepare
from skvae.fit._start import Replica, start_of
from skvae.fit._table import CheckedTable
from skvae.likelihoods import Bernoulli, ByColumns, Gaussian, Poisson
from skvae.linear._model import LinearModel
from skvae.networks import MLP

N_FEATURES = 5


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, N_FEATURES))
    return 3.0 + X + 0.3 * rng.normal(size=X.shape)


def started(X, replicas, seed=0, **params):
    """Prepared table, module and start of some replicas."""
    settings = {"hidden_layer_sizes": (), "early_stopping": False}
    vae = BalancedVAE(2, **{**settings, "precision": "float64", **params})
    table = CheckedTable.of(vae, X, None)
    data = prepare(vae, table, [beta for beta, _ in replicas])
    module = data.spec.module()
    replicas = [Replica(*replica) for replica in replicas]
    return data, module, start_of(data, module, replicas, seed)


def test_sizes_are_those_of_the_table(X):
    data, _, (state, sizes) = started(X, [(1.0, "shared"), (0.5, "shared")])
    assert sizes.n_replicas == len(state.values) == 2
    assert sizes.n_features == N_FEATURES
    assert sizes.n_components == 2
    assert_allclose(sizes.data_variance, 1.0)
    assert sizes.log_jacobian == data.jacobian.train
    assert sizes.per_feature is None
    assert isinstance(sizes.linear_model(), LinearModel)


def test_replicas_of_two_scopes_are_told_apart(X):
    replicas = [(1.0, "shared"), (1.0, "feature")]
    _, _, (_, sizes) = started(X, replicas, early_stopping=True)
    assert_array_equal(sizes.per_feature, [0.0, 1.0])
    shared, own = sizes.noise_variance
    assert_allclose(shared, shared[0].expand(N_FEATURES))
    assert len(own.unique()) == N_FEATURES


def test_starts_at_the_linear_model_of_each_weight(X):
    betas = [0.1, 0.5, 1.0]
    data, _, (state, sizes) = started(
        X,
        [(beta, "shared") for beta in betas],
        balance="constant",
        likelihood=Gaussian(variance=1.0),
    )
    x, weight = data.rows.x.numpy(), data.rows.weight.numpy()
    model = LinearModel.from_rows(x, weight, 2)
    for r, beta in enumerate(betas):
        weights = state.weights
        z = (x - x.mean(axis=0)) @ weights["encoder.0.weight"][r].numpy()
        again = z @ weights["decoder.0.weight"][r].numpy()
        error = np.square(x - again).sum(axis=1).mean()
        variance = np.exp(weights["encoder.log_variance"][r].numpy())
        spread = np.square(weights["decoder.0.weight"][r].numpy()).sum(axis=1)
        assert error + variance @ spread == pytest.approx(model.squared_error(beta))
    assert sizes.variance.tolist() == [1.0]


def test_random_start_depends_on_the_seed_alone(X):
    network = MLP((4,), linear_path=False)
    replicas = [(1.0, "shared"), (3.0, "shared")]
    _, _, (one, sizes) = started(X, replicas, network=network)
    _, _, (same, _) = started(X, replicas, network=network)
    _, _, (other, _) = started(X, replicas, seed=1, network=network)
    assert torch.equal(one.values, same.values)
    assert torch.equal(one.values[0], one.values[1])
    assert not torch.equal(one.values, other.values)
    assert sizes.noise_variance is None
    # A set point is still that of the linear model.
    assert isinstance(sizes.linear_model(), LinearModel)


def test_random_start_has_the_means_of_the_columns(X):
    for likelihood in (Gaussian(), ByColumns([(Gaussian(), range(N_FEATURES))])):
        _, _, (state, _) = started(
            X,
            [(1.0, "shared")],
            likelihood=likelihood,
            standardize=False,
            network=MLP((4,), linear_path=False),
        )
        assert_allclose(state.weights["decoder.1.bias"][0], X.mean(axis=0), rtol=1e-14)


def test_floor_is_relative_to_the_columns(X):
    _, _, (state, _) = started(X, [(1.0, "shared")], likelihood=Gaussian(floor=0.01))
    assert_allclose(state.floor, 0.01)
    _, _, (state, _) = started(
        X, [(1.0, "shared")], likelihood=Gaussian(floor=0.01), standardize=False
    )
    assert_allclose(state.floor, 0.01 * X.var(axis=0))


def test_likelihood_without_a_variance_has_no_linear_model(X):
    rows = (np.median(X, axis=0) < X).astype(float)
    _, _, (state, sizes) = started(
        rows, [(1.0, "shared")], likelihood="poisson", balance="constant"
    )
    assert sizes.linear_model is None
    assert sizes.noise_variance is None
    # There is no variance, rather than one that nobody reads.
    assert state.floor.shape == sizes.data_variance.shape == (0,)
    assert state.balance.variance.shape == (1, 0)
    # The decoder starts at the mean of each column.
    bias = state.weights["decoder.0.bias"][0]
    assert_allclose(bias.exp(), rows.mean(axis=0))


def test_columns_with_a_dispersion():
    mixed = ByColumns([(Gaussian(), [2, 0]), (Poisson(), [1])])
    columns = mixed.column_dispersion(3).columns
    assert_array_equal(columns, [True, False, True])
    assert_array_equal(Gaussian().column_dispersion(2).columns, [True, True])
    assert Bernoulli().column_dispersion(2) is None
