"""Several likelihoods in one table: each group of columns as it is by itself."""

import copy
import pickle
import time

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.likelihoods import (
    Bernoulli,
    ByColumns,
    Categorical,
    Dispersed,
    Gaussian,
    Laplace,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    StudentT,
)
from skvae.likelihoods._groups import continuous, groups_of, member_at
from skvae.likelihoods._learn_rows import learn_rows

N_ROWS = 12
# Columns of a group lie apart, and not in order.
GROUPS = {
    Gaussian: [5, 0],
    Laplace: [1],
    LogNormal: [11, 6],
    NegativeBinomial: [2, 12],
    Categorical: [8, 3],
    Ordinal: [4],
    Bernoulli: [7],
    StudentT: [10, 9],
}
N_FEATURES = 13


def rows_of(groups=GROUPS, n_features=N_FEATURES, n_rows=N_ROWS):
    """Rows that every group can hold."""
    random = np.random.RandomState(0)
    X = random.normal(size=(n_rows, n_features))
    for family, columns in groups.items():
        shape = (n_rows, len(columns))
        if family is LogNormal:
            X[:, columns] = random.lognormal(size=shape)
        elif family is not Gaussian and family not in (Laplace, StudentT):
            high = 2 if family is Bernoulli else 4
            X[:, columns] = random.randint(0, high, size=shape)
            X[:high, columns] = np.arange(high)[:, None]
    return X


class Both:
    """A mixture, its members fitted by themselves, and parameters for both."""

    def __init__(self):
        self.X = rows_of()
        groups = [(family(), columns) for family, columns in GROUPS.items()]
        self.mixture = ByColumns(groups).fit(self.X)
        self.alone = {
            family: family().fit(self.X[:, columns])
            for family, columns in GROUPS.items()
        }
        self.x = torch.from_numpy(self.mixture.to_model(self.X))
        width = self.mixture.n_parameters(N_FEATURES)
        random = np.random.RandomState(1)
        self.output = torch.from_numpy(random.normal(size=(2, N_ROWS, width)))
        self.parameters = self.mixture.unpack(self.output)
        for name, value in self.mixture.feature_parameters().items():
            self.parameters[name] = torch.from_numpy(value)[None, None]
        self.dispersion = self.mixture.column_dispersion(N_FEATURES)
        self.dispersed = self.dispersion.columns
        n_dispersed = int(self.dispersed.sum())
        self.variance = torch.from_numpy(random.uniform(0.5, 2.0, (2, n_dispersed)))

    def share(self, family):
        """Columns, parameters and dispersions of one group."""
        columns = GROUPS[family]
        i = list(GROUPS).index(family)
        own = {
            name.split(".")[1]: value
            for name, value in self.parameters.items()
            if name.startswith(f"{i}.")
        }
        rank = np.cumsum(self.dispersed) - 1
        variance = self.variance
        if self.dispersed[columns].all():
            variance = variance[:, rank[columns]]
        return columns, own, variance


@pytest.fixture(scope="module")
def both():
    return Both()


@pytest.mark.parametrize("family", GROUPS)
def test_cells_are_those_of_each_family_alone(both, family):
    columns, own, variance = both.share(family)
    alone, x = both.alone[family], both.x[:, columns]
    for found, expected in (
        (
            both.mixture.log_prob(both.x, both.parameters, both.variance),
            alone.log_prob(x, own, variance),
        ),
        (
            both.mixture.mean(both.parameters, both.variance),
            alone.mean(own, variance),
        ),
    ):
        assert found.shape == (2, N_ROWS, N_FEATURES)
        # But for the rounding of kernels, which depends on the cells beside.
        torch.testing.assert_close(
            found[..., columns], expected, rtol=1e-12, atol=1e-12, equal_nan=True
        )


@pytest.mark.parametrize("family", GROUPS)
def test_tables_are_those_of_each_family_alone(both, family):
    columns, own, variance = both.share(family)
    alone, X = both.alone[family], both.X[:, columns]
    center, scale = np.arange(13.0) / 13.0, 1.0 + np.arange(13.0)
    units = center[columns], scale[columns]
    model = both.x.numpy()
    weight = torch.full((3, 4), 1 / 3, dtype=torch.float64)
    first = {name: value[:1] for name, value in both.parameters.items()}
    own_first = {name: value[:1] for name, value in own.items()}
    pairs = [
        (both.mixture.admit(both.X), alone.admit(X)),
        (model, alone.to_model(X)),
        (both.mixture.to_user(model), X),
        (both.mixture.log_jacobian(both.X), alone.log_jacobian(X)),
        (
            both.mixture.reconstruction(both.parameters, both.variance, center, scale),
            alone.reconstruction(own, variance, *units),
        ),
        (
            both.mixture.expectation(first, both.variance[:1], weight, center, scale),
            alone.expectation(own_first, variance[:1], weight, *units),
        ),
    ]
    for found, expected in pairs:
        assert_allclose(found[..., columns], expected, rtol=1e-12)
    assert_array_equal(continuous(both.mixture, 13)[columns], family.is_continuous)
    assert_array_equal(both.dispersed[columns], issubclass(family, Dispersed))
    assert all(isinstance(member_at(both.mixture, 13, d), family) for d in columns)


def listed(value):
    return value if isinstance(value, list) else [value]


def learned(likelihood):
    return {name: value for name, value in vars(likelihood).items() if name[-1] == "_"}


@pytest.mark.parametrize("family", GROUPS)
def test_rows_of_a_table_are_learned_as_a_table_of_them(both, family):
    rows, weight = np.array([7, 3, 11, 0, 4]), np.arange(1.0, 6.0)
    columns = np.array(GROUPS[family])
    expected, found, all_columns = (copy.deepcopy(both.alone[family]) for _ in range(3))
    expected.learn(both.X[rows][:, columns], weight)
    learn_rows(found, both.X, rows, weight, columns)
    learn_rows(all_columns, both.X[:, columns], rows, weight)
    of_a_mixture = copy.deepcopy(both.mixture)
    learn_rows(of_a_mixture, both.X, rows, weight)
    for other in (found, all_columns, member_at(of_a_mixture, 13, columns[0])):
        assert learned(other).keys() == learned(expected).keys()
        for name, value in learned(expected).items():
            for one, two in zip(
                *map(listed, (learned(other)[name], value)), strict=True
            ):
                if isinstance(two, np.ndarray):
                    assert_allclose(one, two, rtol=1e-12)
                else:
                    assert one == two


def test_family_that_learns_in_its_own_way_does_so_from_rows():
    class Own(Gaussian):
        def learn(self, X, weight):
            super().learn(X, weight)
            self.shape_ = X.shape

    own = Own()
    learn_rows(own, np.ones((6, 3)), np.array([4, 1]), None, np.array([0, 2]))
    assert own.shape_ == (2, 2)
    assert_array_equal(own.mean_, [1.0, 1.0])


def test_rows_that_no_group_changes_are_not_copied(both):
    X = both.X.copy()
    assert both.mixture.admit(X) is X
    reals = ByColumns([(Gaussian(), [1]), (StudentT(), [0])]).fit(X[:, :2])
    assert reals.to_model(X) is X
    both.mixture.to_model(X)
    assert_array_equal(X, both.X)
    split = ByColumns([(Gaussian(), [1]), (Bernoulli(threshold=0.5), [0])])
    admitted = split.admit(X[:, :2])
    assert_array_equal(admitted, np.stack([X[:, 0] > 0.5, X[:, 1]], axis=1))
    assert_array_equal(X, both.X)


def test_outputs_and_inputs_stand_side_by_side(both):
    center, scale = np.arange(13.0) / 13.0, 1.0 + np.arange(13.0)
    observed = torch.from_numpy(np.random.RandomState(2).uniform(size=(12, 13)) < 0.8)
    starts, inputs = [], []
    for family, columns in GROUPS.items():
        alone = both.alone[family]
        starts.append(alone.start(len(columns), center[columns], scale[columns]))
        inputs.append(alone.inputs(both.x[:, columns], observed[:, columns]))
    found = both.mixture.start(13, center, scale)
    assert_allclose(found, np.concatenate(starts), rtol=1e-12)
    assert found.shape == (both.mixture.n_parameters(13),)
    found = both.mixture.inputs(both.x, observed)
    expected = torch.cat(inputs, dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found.shape[-1] == len(both.mixture.input_columns(13))
    for column, seen in enumerate(observed.T):
        alone = both.mixture.inputs(both.x, observed | (torch.arange(13) != column))
        is_own = torch.from_numpy(both.mixture.input_columns(13) == column)
        assert is_own.any()
        assert (alone[~seen][:, is_own] == 0.0).all()


@pytest.mark.parametrize("shared", [False, True])
def test_distortion_of_mean_errors_is_that_of_the_cells(both, shared):
    variance = both.variance[:, :1] if shared else both.variance
    weight = torch.from_numpy(np.random.RandomState(3).dirichlet(np.ones(N_ROWS)))
    error = both.dispersion.mean_error(both.x, both.parameters, weight[:, None])
    assert error.shape == (2, int(both.dispersed.sum()))
    log_prob = both.mixture.log_prob(both.x, both.parameters, variance)
    torch.testing.assert_close(
        both.dispersion.distortion(error, variance),
        -(log_prob[..., both.dispersed].sum(dim=-1) @ weight),
    )
    # In the order of the columns, whatever that of the groups.
    squares = (both.x[:, 0] - both.share(Gaussian)[1]["mean"][..., 1]).square()
    torch.testing.assert_close(error[:, 0], squares @ weight)


@pytest.mark.parametrize(
    ("gaussian", "laplace"), [([3, 0], []), ([0, 3], []), ([0], [3]), ([3], [0])]
)
def test_errors_are_in_the_order_of_the_columns(gaussian, laplace):
    """However the columns are split among groups, in whichever order."""
    groups = [(Bernoulli(), [2, 1]), (Gaussian(), gaussian), (Laplace(), laplace)]
    x = torch.tensor([[0.5, 0.0, 1.0, 3.0]])
    mixture = ByColumns([group for group in groups if group[1]]).fit(x.numpy())
    dispersion = mixture.dispersion_
    assert_array_equal(dispersion.columns, [True, False, False, True])
    parameters = mixture.unpack(torch.zeros(1, 1, 4))
    error = dispersion.mean_error(x, parameters, torch.ones(1, 1))
    square = [0.25 if 0 in gaussian else 0.5, 9.0 if 3 in gaussian else 3.0]
    assert_allclose(error[0], square)
    variance = torch.tensor([[2.0, 0.7]])
    log_prob = mixture.log_prob(x, parameters, variance)[0, 0]
    assert_allclose(
        dispersion.distortion(error, variance)[0],
        -(log_prob[0] + log_prob[3]),
        rtol=1e-6,
    )


def test_mixture_in_a_group_is_taken_apart():
    X = rows_of()
    inner = ByColumns([(LogNormal(), [1, 0]), (Gaussian(), [2])])
    flat = ByColumns([(Bernoulli(), [0]), (LogNormal(), [2, 1]), (Gaussian(), [3])])
    columns = [7, 6, 11, 5]
    nested = ByColumns([(Bernoulli(), [0]), (inner, [1, 2, 3])])
    for likelihood in (nested, flat):
        likelihood.fit(X[:, columns])
    for one, other in zip(groups_of(nested, 4), groups_of(flat, 4), strict=True):
        assert type(one.likelihood) is type(other.likelihood)
        assert_array_equal(one.columns, other.columns)
    x = torch.from_numpy(flat.to_model(X[:, columns]))
    output = torch.linspace(-1.0, 1.0, 4, dtype=torch.float64).expand(1, N_ROWS, 4)
    variance = torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64)
    found, expected = (
        likelihood.log_prob(x, likelihood.unpack(output), variance)
        for likelihood in (nested, flat)
    )
    torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0)


def test_samples_are_of_each_family_and_repeat_by_seed(both):
    draw = both.mixture.sample
    first = draw(both.parameters, both.variance, seed=0)
    assert_array_equal(draw(both.parameters, both.variance, seed=0), first)
    assert (draw(both.parameters, both.variance, seed=1) != first).any()
    rows = both.mixture.to_user(first.numpy()).reshape(-1, 13)
    assert_array_equal(both.mixture.admit(rows), rows)
    # No two groups of the same family draw the same noise.
    twins = ByColumns([(Gaussian(), [0]), (Gaussian(), [1])]).fit(np.zeros((1, 2)))
    zeros = twins.unpack(torch.zeros(1, 50, 2))
    drawn = twins.sample(zeros, torch.ones(1, 2), seed=0)[0]
    assert (drawn[:, 0] != drawn[:, 1]).all()


def test_copy_by_pickle_is_the_same(both):
    again = pickle.loads(pickle.dumps(both.mixture))
    torch.testing.assert_close(
        again.log_prob(both.x, both.parameters, both.variance),
        both.mixture.log_prob(both.x, both.parameters, both.variance),
        rtol=0,
        atol=0,
    )


def test_refusal_names_the_column_of_the_table(both):
    rows = both.X.copy()
    rows[2, 6] = -1.0
    names = [f"column {d}" for d in "abcdefghijklm"]
    with pytest.raises(ValueError, match="needs values above 0, but column 'column g'"):
        both.mixture.admit(rows, names)


def operations(count, n_groups, n_each):
    """Operations on a batch of some groups of so many columns each."""
    families = [Gaussian, Categorical, NegativeBinomial, Ordinal, Bernoulli]
    order = np.random.RandomState(0).permutation(n_groups * n_each)
    groups = {
        family: sorted(columns)
        for family, columns in zip(
            families[:n_groups], order.reshape(n_groups, n_each), strict=True
        )
    }
    X = rows_of(groups, n_groups * n_each)
    mixture = ByColumns([(family(), columns) for family, columns in groups.items()])
    mixture.fit(X)
    x = torch.from_numpy(mixture.to_model(X))
    output = torch.zeros((1, N_ROWS, mixture.n_parameters(-1)), dtype=torch.float64)
    shared = {
        name: torch.from_numpy(value)[None, None]
        for name, value in mixture.feature_parameters().items()
    }
    variance = torch.ones((1, n_each), dtype=torch.float64)

    def work():
        parameters = {**mixture.unpack(output), **shared}
        mixture.inputs(x)
        mixture.log_prob(x, parameters, variance)
        mixture.sample(parameters, variance, seed=0)

    return count(work)


def test_what_counts_is_the_number_of_groups(count):
    assert operations(count, 5, 200) == operations(count, 5, 2)
    few, more, most = (operations(count, n_groups, 2) for n_groups in (2, 3, 5))
    assert few < more < most


@pytest.mark.filterwarnings(
    "ignore:Training ended after", "ignore::skvae.exceptions.PosteriorCollapseWarning"
)
def test_200_categorical_columns_cost_about_what_one_wide_one_costs(one_thread):
    """As many levels in all, and so as large a network."""
    random = np.random.RandomState(0)
    narrow = random.randint(0, 4, size=(200, 200)).astype(float)
    wide = np.arange(200.0)[:, None] // 4
    params = {"max_iter": 1, "tol": 1e3, "early_stopping": False, "random_state": 0}

    tables = [(Categorical(n_levels=4), narrow), (Categorical(n_levels=800), wide)]
    best = [np.inf, np.inf]
    for _ in range(3):
        # In turns, as a machine with other work to do is not always as fast.
        for i, (likelihood, X) in enumerate(tables):
            vae = BalancedVAE(2, likelihood=likelihood, **params)
            start = time.process_time()
            vae.fit(X)
            best[i] = min(best[i], time.process_time() - start)
    # About 1.2 on an idle machine. That there is no loop over columns is counted above.
    assert best[0] < 4.0 * best[1], best


class _Marked(Gaussian):
    """A family that writes into the cells that it is given."""

    def admit(self, X, names=None):
        X[X == -999.0] = np.nan
        return X


def test_a_family_may_write_into_its_columns():
    X = np.random.default_rng(0).normal(size=(9, 3))
    X[2, 1] = -999.0
    given = X.copy()
    likelihood = ByColumns([(_Marked(), np.array([0, 1])), (Laplace(), np.array([2]))])
    admitted = likelihood.admit(X)
    assert np.isnan(admitted[2, 1])
    assert np.isnan(admitted).sum() == 1
    # The user's table is as it was.
    assert_array_equal(X, given)
