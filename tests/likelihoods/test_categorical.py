import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skvae.likelihoods import Bernoulli, Categorical, Ordinal

NO_VARIANCE = torch.empty(1, 0)


def test_equal_logits_cost_the_logarithm_of_the_number_of_levels():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    likelihood = Categorical().fit(X)
    logits = torch.full((1, 3, 5), 7.0, dtype=torch.float64)
    cells = likelihood.log_prob(torch.from_numpy(X), {"logits": logits}, NO_VARIANCE)
    expected = -np.log([2.0, 3.0])
    np.testing.assert_allclose(cells[0], np.tile(expected, (3, 1)), rtol=1e-12)


def test_two_levels_are_bernoulli():
    logits = torch.randn((1, 20, 2), dtype=torch.float64) * 10.0
    x = (torch.arange(20.0) % 2).double()[:, None]
    likelihood = Categorical(n_levels=2).fit(x.numpy())
    torch.testing.assert_close(
        likelihood.log_prob(x, {"logits": logits}, NO_VARIANCE),
        Bernoulli().log_prob(
            x, {"logits": logits[..., 1:] - logits[..., :1]}, NO_VARIANCE
        ),
        rtol=1e-12,
        atol=1e-13,
    )


def test_start_is_the_entropy_of_each_column():
    X = np.array([[0.0, 3.0], [1.0, 4.0], [1.0, 4.0], [0.0, 4.0]])
    likelihood = Categorical().fit(X)
    share = np.exp(likelihood.start(2))
    np.testing.assert_allclose(share, [0.5, 0.5, 0.25, 0.75])


def test_level_that_no_row_holds_counts_half_a_row():
    likelihood = Categorical(n_levels=3).fit(np.array([[0.0], [2.0], [2.0]]))
    np.testing.assert_allclose(np.exp(likelihood.start(1)), [2 / 7, 1 / 7, 4 / 7])


def test_inputs_are_indicators():
    X = np.array([[5.0, 0.1], [7.0, 0.3], [5.0, 0.2]])
    likelihood = Categorical().fit(X)
    x = torch.from_numpy(likelihood.to_model(X))
    observed = torch.tensor([[True, True], [True, False], [True, True]])
    assert likelihood.inputs(x, observed).tolist() == [
        [1.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 1.0, 0.0],
    ]


def test_reconstruction_holds_levels():
    X = np.array([[5.0, -1.0], [7.0, 0.3], [5.0, 8.0]])
    likelihood = Categorical().fit(X)
    logits = torch.tensor([[[0.0, 1.0, 9.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0, 3.0]]])
    found = likelihood.reconstruction({"logits": logits}, NO_VARIANCE)
    np.testing.assert_allclose(found, [[[7.0, -1.0], [5.0, 8.0]]])


def test_share_of_samples():
    logits = torch.log(torch.tensor([0.2, 0.8, 0.5, 0.1, 0.4])).double()
    X = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    draws = (
        Categorical()
        .fit(X)
        .sample({"logits": logits.expand(1, 20_000, 5)}, NO_VARIANCE, seed=0)
    )
    for column, level, share in [(0, 1, 0.8), (1, 0, 0.5), (1, 1, 0.1), (1, 2, 0.4)]:
        found = float((draws[0, :, column] == level).double().mean())
        assert found == pytest.approx(
            share, abs=5.0 * (share * (1 - share) / 2e4) ** 0.5
        )


def operations(count, cls, n_features):
    """Numbers of operations of everything that is done to a batch."""
    random = np.random.RandomState(0)
    n_levels = random.randint(2, 9, n_features)
    n_levels[0] = 9
    X = random.randint(0, n_levels, (16, n_features)).astype(float)
    likelihood = cls(n_levels=n_levels).fit(X)
    x = torch.from_numpy(X)
    parameters = likelihood.unpack(
        torch.randn((1, 16, likelihood.n_parameters(n_features)), dtype=torch.float64)
    )
    for key, value in likelihood.feature_parameters().items():
        parameters[key] = torch.from_numpy(value)[None, None]
    tasks = {
        "log_prob": lambda: likelihood.log_prob(x, parameters, NO_VARIANCE),
        "mode": lambda: likelihood.distribution(parameters, NO_VARIANCE).mode,
        "sample": lambda: likelihood.sample(parameters, NO_VARIANCE, seed=0),
        "inputs": lambda: likelihood.inputs(x),
    }
    return {name: count(task) for name, task in tasks.items()}


@pytest.mark.parametrize("cls", [Categorical, Ordinal])
def test_many_columns_take_as_many_operations_as_few(cls, count):
    assert operations(count, cls, 500) == operations(count, cls, 2)


def test_many_levels():
    random = np.random.RandomState(0)
    X = np.stack([random.permutation(5000), random.randint(0, 2, 5000)], 1).astype(
        float
    )
    likelihood = Categorical().fit(X)
    assert likelihood.n_parameters(2) == 5002
    logits = torch.from_numpy(likelihood.start(2)).expand(1, 5000, -1)
    nats = -likelihood.log_prob(torch.from_numpy(X), {"logits": logits}, NO_VARIANCE)
    np.testing.assert_allclose(nats[0, :, 0], np.log(5000.0), rtol=1e-12)


@pytest.mark.parametrize(
    "n_levels", [[2, 100, 3, 4, 70, 64, 5], [200], [64, 65], [63, 2], [90, 2], [2, 90]]
)
def test_wide_and_narrow_columns_are_each_as_by_itself(n_levels):
    """Columns of many levels are calls of their own, in whatever place."""
    random = np.random.RandomState(0)
    X = random.randint(0, n_levels, (16, len(n_levels))).astype(float)
    likelihood = Categorical(n_levels=n_levels).fit(X)
    x = torch.from_numpy(X)
    logits = (80.0 * torch.randn((2, 16, sum(n_levels)), dtype=torch.float64)).round()
    logits.requires_grad_()
    found = likelihood.distribution({"logits": logits}, NO_VARIANCE)
    parts = [
        torch.distributions.Categorical(logits=part, validate_args=False)
        for part in logits.split(n_levels, dim=-1)
    ]
    expected = torch.stack([p.log_prob(x[:, d]) for d, p in enumerate(parts)], dim=-1)
    torch.testing.assert_close(found.log_prob(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(found.log_prob(x).sum(), logits)[0],
        torch.autograd.grad(expected.sum(), logits)[0],
        rtol=1e-12,
        atol=1e-12,
    )
    torch.testing.assert_close(
        found.probabilities, torch.cat([part.probs for part in parts], dim=-1)
    )
    # Rounded logits have equal ones, of which the first counts.
    mode = np.stack([p.logits.detach().numpy().argmax(-1) for p in parts], axis=-1)
    np.testing.assert_array_equal(found.mode, mode)
    drawn = likelihood.sample({"logits": logits.detach()}, NO_VARIANCE, seed=0)
    assert drawn.shape == (2, 16, len(n_levels))
    assert ((drawn >= 0) & (drawn < torch.tensor(n_levels))).all()


@pytest.mark.parametrize("cls", [Categorical, Ordinal])
def test_new_level_is_refused(cls):
    likelihood = cls().fit(np.array([[0.0, 2.0], [1.0, 4.0]]))
    message = (
        f"The {cls.__name__} likelihood has the levels 2, 4 of column 'size', which "
        r"now holds 3. Fit on rows that hold all levels, or mark the value as missing"
    )
    with pytest.raises(ValueError, match=message):
        likelihood.admit(np.array([[1.0, np.nan], [0.0, 3.0]]), ["sex", "size"])
    with pytest.raises(ValueError, match=r"levels 0, 1, 2, 3, 4, \.\.\. of column 0"):
        cls().fit(np.arange(9.0)[:, None]).admit(np.array([[9.0]]))


@pytest.mark.parametrize("cls", [Categorical, Ordinal])
def test_code_beyond_the_number_of_levels_is_refused(cls):
    with pytest.raises(ValueError, match="has the levels 0, 1 of column 0, which now"):
        cls(n_levels=2).fit(np.array([[2.0]]))


@pytest.mark.parametrize("n_levels", [[2, 3], 0, [2, 0, 2]])
def test_number_of_levels_must_fit_the_table(n_levels):
    message = (
        r"n_levels of Categorical must be a number from 1 or one for each of the 3"
    )
    with pytest.raises(ValueError, match=message):
        Categorical(n_levels=n_levels).fit(np.zeros((2, 3)))


def test_width_is_not_known_before_the_levels():
    with pytest.raises(NotFittedError, match="This Categorical instance is not fitted"):
        Categorical().n_parameters(3)


def test_expectation_is_the_most_probable_level_over_draws():
    likelihood = Categorical().fit(np.array([[0.0, 5.0], [1.0, 6.0], [0.0, 7.0]]))
    # Two draws of one row; the first column's favourites differ.
    share = torch.tensor([[[0.6, 0.4, 0.1, 0.8, 0.1], [0.1, 0.9, 0.3, 0.3, 0.4]]])
    parameters = {"logits": share.double().log() + 80.0}
    for weight, expected in [(0.5, [1.0, 6.0]), (0.95, [0.0, 6.0])]:
        weights = torch.tensor([[weight], [1.0 - weight]], dtype=torch.float64)
        found = likelihood.expectation(parameters, NO_VARIANCE, weights)
        np.testing.assert_array_equal(found, [expected])
