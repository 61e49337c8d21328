"""What every likelihood promises; a new one is tested by being in LIKELIHOODS.

What it is compared with cannot be guessed, so it also needs an entry in REFERENCES.
"""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from sklearn.base import clone

from skvae import likelihoods
from skvae.likelihoods import LIKELIHOODS

N_REPLICAS, N_ROWS, N_FEATURES = 2, 6, 3


class Reference(NamedTuple):
    """What SciPy calls a likelihood, and what its values are."""

    distribution: object
    """Frozen distribution from the parameters, as arrays, and the variance."""
    support: tuple
    """All values if there are few, or the two ends of an interval."""
    is_discrete: bool


REFERENCES = {
    "gaussian": Reference(
        lambda p, variance: stats.norm(p["mean"], np.sqrt(variance)),
        (-np.inf, np.inf),
        is_discrete=False,
    ),
    "bernoulli": Reference(
        lambda p, variance: stats.bernoulli(special.expit(p["logits"])),
        (0.0, 1.0),
        is_discrete=True,
    ),
}

every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
scopes = pytest.mark.parametrize("scope", ["shared", "feature"])


def output_of(likelihood, n_rows=N_ROWS, dtype=torch.float64, spread=2.0):
    """A decoder's output: any numbers."""
    generator = torch.Generator().manual_seed(0)
    shape = (N_REPLICAS, n_rows, likelihood.n_parameters(N_FEATURES))
    output = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (spread * output).to(dtype)


def variance_of(scope="feature", dtype=torch.float64):
    """A decoder variance, of a size of its own for each replica."""
    width = N_FEATURES if scope == "feature" else 1
    variance = torch.arange(1, N_REPLICAS * width + 1, dtype=torch.float64)
    return (0.3 * variance).view(N_REPLICAS, width).to(dtype)


def rows_of(name, n_rows=N_ROWS, dtype=torch.float64):
    """Rows of the support."""
    random = np.random.RandomState(0)
    reference = REFERENCES[name]
    if reference.is_discrete:
        x = random.choice(reference.support, (n_rows, N_FEATURES))
    else:
        low, high = np.clip(reference.support, -5.0, 5.0)
        x = random.uniform(low, high, (n_rows, N_FEATURES))
    return torch.tensor(x, dtype=dtype)


def scipy_distribution(name, parameters, variance):
    arrays = {key: value.double().numpy() for key, value in parameters.items()}
    return REFERENCES[name].distribution(arrays, variance.double().numpy()[:, None, :])


def test_every_likelihood_has_a_reference():
    assert set(REFERENCES) == set(LIKELIHOODS)


@every_likelihood
def test_name_and_class_agree(name):
    cls = LIKELIHOODS[name]
    assert cls.__name__.lower() == name.replace("_", "")
    assert getattr(likelihoods, cls.__name__) is cls
    assert cls.__name__ in likelihoods.__all__


@every_likelihood
def test_settings_have_constraints(name):
    likelihood = LIKELIHOODS[name]()
    assert set(likelihood._parameter_constraints) == set(likelihood.get_params())


@every_likelihood
def test_copies_are_the_same(name):
    likelihood = LIKELIHOODS[name]()
    for again in (
        clone(likelihood),
        pickle.loads(pickle.dumps(likelihood)),
        eval(repr(likelihood), vars(likelihoods).copy()),
    ):
        assert type(again) is type(likelihood)
        assert again.get_params() == likelihood.get_params()


@every_likelihood
def test_unpack_gives_each_parameter_its_columns(name):
    likelihood = LIKELIHOODS[name]()
    output = output_of(likelihood)
    parameters = likelihood.unpack(output)
    assert tuple(parameters) == tuple(likelihood.parameter_names)
    for parameter in parameters.values():
        assert parameter.shape == (N_REPLICAS, N_ROWS, N_FEATURES)
    assert torch.equal(torch.cat(list(parameters.values()), dim=-1), output)
    assert likelihood.n_parameters(N_FEATURES) == N_FEATURES * len(parameters)


@every_likelihood
@scopes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shapes_and_dtypes(name, scope, dtype):
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood, dtype=dtype))
    variance = variance_of(scope, dtype)
    shape = (N_REPLICAS, N_ROWS, N_FEATURES)
    distribution = likelihood.distribution(parameters, variance)
    assert distribution.batch_shape == shape
    assert distribution.event_shape == ()
    for cells in (
        # Rows are the same for all replicas.
        likelihood.log_prob(rows_of(name, dtype=dtype), parameters, variance),
        likelihood.mean(parameters, variance),
        likelihood.sample(parameters, variance, seed=0),
    ):
        assert cells.shape == shape
        assert cells.dtype == dtype


@every_likelihood
@scopes
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str
)
def test_log_prob_agrees_with_scipy(name, scope, dtype, tolerance):
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood, n_rows=200, dtype=dtype))
    variance = variance_of(scope, dtype)
    x = rows_of(name, n_rows=200, dtype=dtype)
    log_prob = likelihood.log_prob(x, parameters, variance)
    expected = scipy_distribution(name, parameters, variance)
    value = x.double().numpy()
    if REFERENCES[name].is_discrete:
        expected = expected.logpmf(value)
    else:
        expected = expected.logpdf(value)
    np.testing.assert_allclose(log_prob, expected, rtol=tolerance, atol=tolerance)


@every_likelihood
def test_mean_agrees_with_scipy(name):
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood))
    variance = variance_of()
    expected = scipy_distribution(name, parameters, variance).mean()
    np.testing.assert_allclose(
        likelihood.mean(parameters, variance), expected, rtol=1e-12
    )


@every_likelihood
@pytest.mark.parametrize("output", [-6.0, -0.4, 0.0, 1e-4, 2.5])
def test_density_integrates_to_one(name, output):
    likelihood = LIKELIHOODS[name]()
    width = likelihood.n_parameters(1)
    parameters = likelihood.unpack(
        torch.full((1, 1, width), output, dtype=torch.float64)
    )
    variance = torch.full((1, 1), 0.7, dtype=torch.float64)

    def density(value):
        x = torch.tensor([[value]], dtype=torch.float64)
        return float(likelihood.log_prob(x, parameters, variance).exp())

    reference = REFERENCES[name]
    if reference.is_discrete:
        total = sum(density(value) for value in reference.support)
    else:
        # Quadrature over an infinite interval may miss a narrow density, so it is
        # told where that is.
        low, high = np.clip(reference.support, output - 20.0, output + 20.0)
        total, _ = integrate.quad(density, low, high, points=[output])
    assert total == pytest.approx(1.0, abs=1e-9)


@every_likelihood
@pytest.mark.parametrize("output", [-80.0, 80.0])
def test_finite_at_extreme_parameters(name, output):
    likelihood = LIKELIHOODS[name]()
    width = likelihood.n_parameters(1)
    reference = REFERENCES[name]
    values = [0.0, 1.0] if reference.is_discrete else np.clip(reference.support, -9, 9)
    for value in values:
        outputs = torch.full((1, 1, width), output, requires_grad=True)
        variance = torch.tensor([[1e-6]], requires_grad=True)
        x = torch.tensor([[value]], dtype=torch.float32)
        log_prob = likelihood.log_prob(x, likelihood.unpack(outputs), variance)
        assert torch.isfinite(log_prob).all(), value
        log_prob.sum().backward()
        assert torch.isfinite(outputs.grad).all(), value
        assert not likelihood.has_variance or torch.isfinite(variance.grad).all()


@every_likelihood
def test_gradient_reaches_every_parameter(name):
    likelihood = LIKELIHOODS[name]()
    output = output_of(likelihood).requires_grad_()
    variance = variance_of().requires_grad_()
    x = rows_of(name)
    likelihood.log_prob(x, likelihood.unpack(output), variance).sum().backward()
    assert (output.grad != 0.0).all()
    if likelihood.has_variance:
        assert (variance.grad != 0.0).all()
    else:
        assert variance.grad is None


@every_likelihood
def test_gradient_agrees_with_finite_differences(name):
    likelihood = LIKELIHOODS[name]()
    x, variance = rows_of(name), variance_of()

    def log_prob(output, variance):
        return likelihood.log_prob(x, likelihood.unpack(output), variance)

    inputs = [output_of(likelihood), variance]
    for value in inputs if likelihood.has_variance else inputs[:1]:
        value.requires_grad_()
    assert torch.autograd.gradcheck(log_prob, inputs)


@every_likelihood
@scopes
def test_sample_moments(name, scope):
    likelihood = LIKELIHOODS[name]()
    n_draws = 20_000
    parameters = {
        key: value.repeat(1, n_draws, 1)
        for key, value in likelihood.unpack(output_of(likelihood, n_rows=1)).items()
    }
    variance = variance_of(scope)
    draws = likelihood.sample(parameters, variance, seed=0)
    reference = scipy_distribution(
        name, {key: value[:, :1] for key, value in parameters.items()}, variance
    )
    mean, var, kurtosis = (m[:, 0] for m in reference.stats("mvk"))
    # Five standard errors, which one in a million draws exceeds.
    error = 5.0 * np.sqrt(var / n_draws)
    assert (np.abs(draws.mean(dim=1).numpy() - mean) < error).all()
    error = 5.0 * var * np.sqrt((kurtosis + 2.0) / n_draws)
    # A distribution of two equal halves has a sample variance without error, but
    # for that of the sample mean.
    error = np.maximum(error, 25.0 * var / n_draws)
    assert (np.abs(draws.var(dim=1).numpy() - var) < error).all()


@every_likelihood
def test_sample_repeats_by_seed_and_leaves_the_global_state(name, monkeypatch):
    # Seeds of other devices are global too, even where there is no such device yet.
    monkeypatch.setattr(torch.cuda, "manual_seed_all", pytest.fail)
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood, n_rows=40))
    variance = variance_of()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    first = likelihood.sample(parameters, variance, seed=3)
    torch.testing.assert_close(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)

    torch.rand(3)
    assert torch.equal(likelihood.sample(parameters, variance, seed=3), first)
    assert not torch.equal(likelihood.sample(parameters, variance, seed=4), first)
    torch.set_rng_state(torch_state)


def distortion(likelihood, x, parameters, weight, variance):
    """Distortion in the way that training computes it."""
    error = likelihood.expected_error(x, parameters, weight)
    assert (error is not None) == likelihood.has_variance
    if error is None:
        return likelihood.distortion(x, parameters, weight)
    return likelihood.distortion_from_error(error, variance)


@every_likelihood
@scopes
def test_distortion_is_the_weighted_mean_of_the_log_prob(name, scope):
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood))
    x, variance = rows_of(name), variance_of(scope)
    weight = torch.arange(1, N_ROWS + 1, dtype=torch.float64)
    weight /= weight.sum()
    rows = -likelihood.log_prob(x, parameters, variance).sum(dim=-1)
    torch.testing.assert_close(
        distortion(likelihood, x, parameters, weight, variance),
        (rows * weight).sum(dim=1),
        rtol=1e-13,
        atol=0.0,
    )


@every_likelihood
def test_distortion_of_a_repeated_row_is_that_of_a_weight(name):
    likelihood = LIKELIHOODS[name]()
    output, x, variance = output_of(likelihood), rows_of(name), variance_of()
    times = torch.tensor([1, 3, 0, 2, 1, 1])
    weighted = distortion(
        likelihood,
        x,
        likelihood.unpack(output),
        times / times.sum(dtype=x.dtype),
        variance,
    )
    many = torch.repeat_interleave(times)
    repeated = distortion(
        likelihood,
        x[many],
        likelihood.unpack(output[:, many]),
        torch.full((len(many),), 1.0 / len(many), dtype=x.dtype),
        variance,
    )
    torch.testing.assert_close(weighted, repeated, rtol=1e-13, atol=0.0)


@every_likelihood
def test_row_of_weight_zero_has_no_gradient(name):
    likelihood = LIKELIHOODS[name]()
    output = output_of(likelihood).requires_grad_()
    weight = torch.full((N_ROWS,), 1.0 / (N_ROWS - 1), dtype=torch.float64)
    weight[2] = 0.0
    distortion(
        likelihood, rows_of(name), likelihood.unpack(output), weight, variance_of()
    ).sum().backward()
    assert (output.grad[:, 2] == 0.0).all()
    assert (output.grad[:, 3] != 0.0).all()


@every_likelihood
def test_replicas_together_equal_each_alone(name):
    likelihood = LIKELIHOODS[name]()
    output, x, variance = output_of(likelihood), rows_of(name), variance_of()
    weight = torch.full((N_ROWS,), 1.0 / N_ROWS, dtype=torch.float64)
    together = distortion(likelihood, x, likelihood.unpack(output), weight, variance)
    for r in range(N_REPLICAS):
        alone = distortion(
            likelihood,
            x,
            likelihood.unpack(output[r : r + 1]),
            weight,
            variance[r : r + 1],
        )
        torch.testing.assert_close(alone, together[r : r + 1], rtol=1e-14, atol=0.0)


@every_likelihood
def test_columns_may_come_in_any_order(name):
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood))
    x, variance = rows_of(name), variance_of()
    order = [2, 0, 1]
    permuted = {key: value[..., order] for key, value in parameters.items()}
    assert torch.equal(
        likelihood.log_prob(x[:, order], permuted, variance[:, order]),
        likelihood.log_prob(x, parameters, variance)[..., order],
    )


@every_likelihood
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_admits_what_it_samples(name, dtype):
    likelihood = LIKELIHOODS[name]()
    parameters = likelihood.unpack(output_of(likelihood))
    X = likelihood.sample(parameters, variance_of(), seed=0)[0].numpy().astype(dtype)
    admitted = likelihood.admit(X)
    assert admitted.dtype == dtype
    np.testing.assert_array_equal(admitted, X)
