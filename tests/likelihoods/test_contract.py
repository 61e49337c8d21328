"""What every likelihood promises; a new one is tested by being in LIKELIHOODS.

What it is compared with cannot be guessed, so it also needs an entry in REFERENCES.
"""

import copy
import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from sklearn.base import clone

from skvae import likelihoods
from skvae.ground._tensors import weighted_total
from skvae.likelihoods import LIKELIHOODS

N_REPLICAS, N_ROWS, N_FEATURES = 2, 6, 3
N_LEVELS = (2, 5, 3)
NO_VARIANCE = torch.empty(1, 0)


def is_dispersed(likelihood):
    return likelihood.column_dispersion(N_FEATURES) is not None


class Reference(NamedTuple):
    """What a likelihood is compared with, and what its values are."""

    distribution: object
    """Frozen distribution from the parameters, as arrays, and the variance."""
    support: tuple
    """Values to try if they are discrete, or the two ends of an interval."""
    is_discrete: bool


class Table:
    """Distribution over the codes from 0, from a table of their probabilities."""

    def __init__(self, probability):
        self.probability = np.asarray(probability)
        self.code = np.arange(self.probability.shape[-1])

    def logpmf(self, x):
        x = np.broadcast_to(x, self.probability.shape[:-1]).astype(int)
        p = np.take_along_axis(self.probability, x[..., None], -1)[..., 0]
        return np.log(p)

    def mean(self):
        return self.probability @ self.code

    def stats(self, moments):
        assert moments == "mvk"
        mean = self.mean()
        away = self.code - mean[..., None]
        variance = (self.probability * away**2).sum(-1)
        fourth = (self.probability * away**4).sum(-1)
        return mean, variance, fourth / variance**2 - 3.0


class TruncatedExponential:
    """Continuous Bernoulli: exponential in x on [0, 1], or in 1 - x."""

    def __init__(self, logits):
        self.is_mirrored = logits > 0.0
        size = np.abs(logits)
        self.distribution = stats.truncexpon(size, scale=1.0 / size)

    def logpdf(self, x):
        return self.distribution.logpdf(np.where(self.is_mirrored, 1.0 - x, x))

    def mean(self):
        mean = self.distribution.mean()
        return np.where(self.is_mirrored, 1.0 - mean, mean)

    def stats(self, moments):
        _, variance, kurtosis = self.distribution.stats(moments)
        return self.mean(), variance, kurtosis


def categorical(p, variance):
    """One column after the other, which the likelihood itself never does."""
    blocks = np.split(p["logits"], np.cumsum(N_LEVELS)[:-1], axis=-1)
    probability = np.zeros((*p["logits"].shape[:-1], N_FEATURES, max(N_LEVELS)))
    for d, block in enumerate(blocks):
        probability[..., d, : N_LEVELS[d]] = special.softmax(block, axis=-1)
    return Table(probability)


def ordinal(p, variance):
    location = p["location"]
    probability = np.zeros((*location.shape, max(N_LEVELS)))
    for d, n in enumerate(N_LEVELS):
        raw = p["thresholds"][..., d, : n - 1]
        raw = np.concatenate([raw[..., :1], np.logaddexp(0.0, raw[..., 1:])], -1)
        cumulative = special.expit(np.cumsum(raw, -1) - location[..., d, None])
        probability[..., d, :n] = np.diff(cumulative, prepend=0.0, append=1.0)
    return Table(probability)


def mean_count(p):
    """Exponential up to ten times the largest count of the table, then linear."""
    bound = np.log(10.0 * FEW_COUNTS[-1])
    beyond = np.maximum(p["log_mean"] - bound, 0.0)
    return np.exp(np.minimum(p["log_mean"], bound)) * (1.0 + beyond)


def negative_binomial(p, variance):
    h = np.exp(p["log_inverse_dispersion"])
    return stats.nbinom(h, h / (h + mean_count(p)))


def zero_inflated(p, variance):
    share = special.expit(p["zero_logits"])[..., None]
    counted = negative_binomial({k: v[..., None] for k, v in p.items()}, variance)
    probability = (1.0 - share) * counted.pmf(np.arange(3000))
    probability[..., 0] += share[..., 0]
    return Table(probability)


def beta(p, variance):
    mean, total = special.expit(p["logits"]), np.exp(p["log_concentration"])
    return stats.beta(mean * total, special.expit(-p["logits"]) * total)


def student_t(p, variance):
    scale = np.exp(p["log_scale"]) + 1e-3
    return stats.t(3.0 + np.logaddexp(0.0, p["tail"]), p["location"], scale)


REAL_LINE = (-np.inf, np.inf)
FEW_COUNTS = tuple(np.arange(30.0))
REFERENCES = {
    "gaussian": Reference(
        lambda p, variance: stats.norm(p["mean"], np.sqrt(variance)),
        REAL_LINE,
        is_discrete=False,
    ),
    "student_t": Reference(student_t, REAL_LINE, is_discrete=False),
    "laplace": Reference(
        lambda p, variance: stats.laplace(p["location"], variance),
        REAL_LINE,
        is_discrete=False,
    ),
    # As the model sees it: the logarithm.
    "log_normal": Reference(
        lambda p, variance: stats.norm(p["mean"], np.sqrt(variance)),
        REAL_LINE,
        is_discrete=False,
    ),
    "bernoulli": Reference(
        lambda p, variance: stats.bernoulli(special.expit(p["logits"])),
        (0.0, 1.0),
        is_discrete=True,
    ),
    "continuous_bernoulli": Reference(
        lambda p, variance: TruncatedExponential(p["logits"]),
        (0.0, 1.0),
        is_discrete=False,
    ),
    "beta": Reference(beta, (0.0, 1.0), is_discrete=False),
    "categorical": Reference(categorical, (0.0, 1.0), is_discrete=True),
    "ordinal": Reference(ordinal, (0.0, 1.0), is_discrete=True),
    "poisson": Reference(
        lambda p, variance: stats.poisson(mean_count(p)),
        FEW_COUNTS,
        is_discrete=True,
    ),
    "negative_binomial": Reference(negative_binomial, FEW_COUNTS, is_discrete=True),
    "zero_inflated_negative_binomial": Reference(
        zero_inflated, FEW_COUNTS, is_discrete=True
    ),
}
WITH_LEVELS = {"categorical", "ordinal"}

every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
# Where no variance is used, as `test_gradient_reaches_every_parameter` has it, there is
# no scope to tell apart.
every_scope = pytest.mark.parametrize(
    ("name", "scope"),
    [
        (name, scope)
        for name, cls in LIKELIHOODS.items()
        for scope in ("shared", "feature")
        if scope == "feature" or is_dispersed(cls())
    ],
)


def rows_of(name, n_rows=N_ROWS, dtype=torch.float64):
    """Rows of the support, as the model sees them."""
    random = np.random.RandomState(0)
    reference = REFERENCES[name]
    if name in WITH_LEVELS:
        x = random.randint(0, N_LEVELS, (n_rows, N_FEATURES))
    elif reference.is_discrete:
        x = random.choice(reference.support, (n_rows, N_FEATURES))
    else:
        low, high = np.clip(reference.support, -5.0, 5.0)
        x = random.uniform(low, high, (n_rows, N_FEATURES))
    return torch.tensor(x, dtype=dtype)


def fitted(name, **settings):
    """A likelihood that has seen a table; of levels all of them."""
    likelihood = LIKELIHOODS[name](**settings)
    x = rows_of(name, n_rows=200).numpy()
    return likelihood.fit(np.exp(x) if name == "log_normal" else x)


def output_of(likelihood, n_rows=N_ROWS, dtype=torch.float64, spread=2.0):
    """A decoder's output: any numbers."""
    generator = torch.Generator().manual_seed(0)
    shape = (N_REPLICAS, n_rows, likelihood.n_parameters(N_FEATURES))
    output = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (spread * output).to(dtype)


def feature_parameters_of(likelihood, dtype=torch.float64):
    """Parameters that are the same for all rows, of a size for each replica."""
    generator = torch.Generator().manual_seed(1)
    parameters = {}
    for name, start in likelihood.feature_parameters().items():
        shape = (N_REPLICAS, 1, *start.shape)
        value = torch.randn(shape, generator=generator, dtype=torch.float64)
        parameters[name] = value.to(dtype)
    return parameters


def parameters_of(likelihood, output):
    """All that `distribution` asks for."""
    return likelihood.unpack(output) | feature_parameters_of(likelihood, output.dtype)


def variance_of(scope="feature", dtype=torch.float64):
    """A decoder variance, of a size of its own for each replica."""
    width = N_FEATURES if scope == "feature" else 1
    variance = torch.arange(1, N_REPLICAS * width + 1, dtype=torch.float64)
    return (0.3 * variance).view(N_REPLICAS, width).to(dtype)


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
def test_copies_of_what_was_learned_are_the_same(name):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood))
    # Something is kept beside a tensor, and must not travel with the copy.
    expected = likelihood.log_prob(rows_of(name), parameters, variance_of())
    for again in pickle.loads(pickle.dumps(likelihood)), copy.deepcopy(likelihood):
        assert not vars(again).get("_tensors")
        log_prob = again.log_prob(rows_of(name), parameters, variance_of())
        assert torch.equal(log_prob, expected)
    assert not any(key.endswith("_") for key in vars(clone(likelihood)))


@every_likelihood
def test_unpack_splits_the_output(name):
    likelihood = fitted(name)
    output = output_of(likelihood)
    parameters = likelihood.unpack(output)
    assert tuple(parameters) == tuple(likelihood.parameter_names)
    assert torch.equal(torch.cat(list(parameters.values()), dim=-1), output)
    if name != "categorical":
        for parameter in parameters.values():
            assert parameter.shape == (N_REPLICAS, N_ROWS, N_FEATURES)
        assert likelihood.n_parameters(N_FEATURES) == N_FEATURES * len(parameters)


@every_likelihood
def test_shapes_of_the_start(name):
    likelihood = fitted(name)
    start = likelihood.start(N_FEATURES)
    assert start.shape == (likelihood.n_parameters(N_FEATURES),)
    assert start.dtype == np.float64
    assert np.isfinite(start).all()
    for parameter in likelihood.feature_parameters().values():
        assert parameter.shape[0] == N_FEATURES
        assert parameter.ndim in {1, 2}
        assert np.isfinite(parameter).all()


@every_likelihood
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_inputs_of_the_encoder(name, dtype):
    likelihood = fitted(name)
    x = rows_of(name, dtype=dtype)
    inputs = likelihood.inputs(x)
    assert inputs.shape == (N_ROWS, len(likelihood.input_columns(N_FEATURES)))
    assert inputs.dtype == dtype
    assert torch.equal(likelihood.inputs(x, torch.ones_like(x).bool()), inputs)
    missing = likelihood.inputs(x, torch.zeros_like(x).bool())
    assert (missing == 0.0).all()
    # One missing cell takes away what it gave, and nothing else.
    observed = torch.ones_like(x).bool()
    observed[2, 1] = False
    changed = likelihood.inputs(x, observed) != inputs
    assert changed.any()
    assert not changed[[0, 1, 3, 4, 5]].any()
    is_own = torch.from_numpy(likelihood.input_columns(N_FEATURES) == 1)
    assert not changed[2, ~is_own].any()


@every_scope
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shapes_and_dtypes(name, scope, dtype):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, dtype=dtype))
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


@every_scope
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str
)
def test_log_prob_agrees_with_scipy(name, scope, dtype, tolerance):
    likelihood = fitted(name)
    parameters = parameters_of(
        likelihood, output_of(likelihood, n_rows=200, dtype=dtype)
    )
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
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, spread=1.0))
    variance = variance_of()
    mean = likelihood.mean(parameters, variance)
    if name == "categorical":
        assert mean.isnan().all()
        return
    expected = scipy_distribution(name, parameters, variance).mean()
    np.testing.assert_allclose(mean, expected, rtol=1e-10)


@every_likelihood
def test_mode_is_most_probable(name):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, spread=1.0))
    if name == "beta":
        # A density that is infinite at both ends has no highest value.
        parameters["log_concentration"] += 5.0
    variance = variance_of()
    mode = likelihood.distribution(parameters, variance).mode
    highest = likelihood.log_prob(mode, parameters, variance)
    # Many values, and of levels those that the column has.
    n_levels = N_LEVELS if name in WITH_LEVELS else (500,) * N_FEATURES
    low, high = np.clip(REFERENCES[name].support, -5.0, 5.0)[[0, -1]]
    others = np.linspace(low, high, 101)
    if REFERENCES[name].is_discrete and name != "bernoulli":
        others = range(5)
    for other in others:
        x = torch.full_like(mode, other).minimum(torch.tensor(n_levels) - 1.0)
        assert (likelihood.log_prob(x, parameters, variance) <= highest + 1e-12).all()


def test_every_parameter_has_a_density_that_is_tried():
    for name in LIKELIHOODS:
        for key in fitted(name).feature_parameters():
            assert key in PARAMETERS_OF_DENSITIES


# At a concentration of its own a beta distribution has most of its mass where no
# floating-point number is.
PARAMETERS_OF_DENSITIES = {
    "log_scale": -0.4,
    "tail": 1.3,
    "log_concentration": 3.0,
    "log_inverse_dispersion": 0.3,
    "thresholds": -0.8,
}


@every_likelihood
@pytest.mark.parametrize("output", [-6.0, -0.4, 0.0, 1e-4, 2.5])
def test_density_integrates_to_one(name, output):
    likelihood = fitted(name)
    reference = REFERENCES[name]
    width = likelihood.n_parameters(N_FEATURES)
    outputs = output * torch.linspace(1.0, 0.5, width, dtype=torch.float64)
    parameters = likelihood.unpack(outputs[None, None])
    for key, start in likelihood.feature_parameters().items():
        value = PARAMETERS_OF_DENSITIES[key]
        parameters[key] = torch.full((1, 1, *start.shape), value, dtype=torch.float64)
    variance = torch.full((1, 1), 0.7, dtype=torch.float64)

    def density(value, column=0):
        x = torch.full((1, N_FEATURES), value, dtype=torch.float64)
        if name in WITH_LEVELS:
            x = x.minimum(torch.tensor(N_LEVELS) - 1.0)
        return float(likelihood.log_prob(x, parameters, variance).exp()[..., column])

    def density_of_logit(logit):
        share = special.expit(logit)
        return density(share) * share * special.expit(-logit)

    if name in WITH_LEVELS:
        total = [
            sum(density(float(k), d) for k in range(n)) for d, n in enumerate(N_LEVELS)
        ]
    elif name == "bernoulli":
        total = density(0.0) + density(1.0)
    elif reference.is_discrete:
        x = torch.arange(2001, dtype=torch.float64)[:, None].expand(-1, N_FEATURES)
        total = likelihood.log_prob(x, parameters, variance).exp().sum(dim=1)
    elif reference.support == (0.0, 1.0):
        total, _ = integrate.quad(density_of_logit, -700.0, 36.0, points=[0], limit=500)
    else:
        # Quadrature over an infinite interval may miss a narrow density, so it is
        # told where that is.
        low, high = output - np.array([1e3, -1e3])
        total, _ = integrate.quad(density, low, high, points=[output], limit=500)
    assert np.asarray(total) == pytest.approx(1.0, abs=1e-8)


@every_likelihood
@pytest.mark.parametrize("feature_parameter", [-80.0, 0.0, 80.0])
@pytest.mark.parametrize("output", [-80.0, 80.0])
def test_finite_at_extreme_parameters(name, output, feature_parameter):
    likelihood = fitted(name)
    width = likelihood.n_parameters(N_FEATURES)
    reference = REFERENCES[name]
    values = np.clip(reference.support, -9, 9)
    # Also where the decoder's numbers for a cell are at opposite ends.
    signs = torch.stack([torch.ones(width), (-1.0) ** torch.arange(width)])[None]
    for value in {0.0, 1.0, *values[[0, -1]]}:
        leaves = {"output": (output * signs).requires_grad_()}
        for key, start in likelihood.feature_parameters().items():
            full = torch.full((1, 1, *start.shape), feature_parameter)
            leaves[key] = full.requires_grad_()
        variance = torch.tensor([[1e-6]], requires_grad=True)
        x = torch.full((2, N_FEATURES), value, dtype=torch.float32)
        parameters = leaves | likelihood.unpack(leaves["output"])
        log_prob = likelihood.log_prob(x, parameters, variance)
        assert torch.isfinite(log_prob).all(), value
        log_prob.sum().backward()
        for key, leaf in leaves.items():
            assert torch.isfinite(leaf.grad).all(), (value, key)
        assert not is_dispersed(likelihood) or torch.isfinite(variance.grad).all()


@every_likelihood
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_zero_of_a_missing_cell_is_finite(name, dtype):
    likelihood = fitted(name)
    output = output_of(likelihood, dtype=dtype).requires_grad_()
    x = torch.zeros((N_ROWS, N_FEATURES), dtype=dtype)
    parameters = parameters_of(likelihood, output)
    log_prob = likelihood.log_prob(x, parameters, variance_of(dtype=dtype))
    assert torch.isfinite(log_prob).all()
    log_prob.sum().backward()
    assert torch.isfinite(output.grad).all()


@every_likelihood
def test_gradient_reaches_every_parameter(name):
    likelihood = fitted(name)
    # Enough rows for every level and for counts of zero.
    output = output_of(likelihood, n_rows=40).requires_grad_()
    variance = variance_of().requires_grad_()
    of_features = {
        key: value.requires_grad_()
        for key, value in feature_parameters_of(likelihood).items()
    }
    x = rows_of(name, n_rows=40)
    parameters = likelihood.unpack(output) | of_features
    likelihood.log_prob(x, parameters, variance).sum().backward()
    assert (output.grad != 0.0).all()
    for key, value in of_features.items():
        is_moved = value.grad != 0.0
        # Columns of fewer levels have fewer thresholds.
        assert is_moved.all() or key == "thresholds"
        if key == "thresholds":
            assert (is_moved.sum(dim=-1) == torch.tensor(N_LEVELS) - 1).all()
    if is_dispersed(likelihood):
        assert (variance.grad != 0.0).all()
    else:
        assert variance.grad is None


@every_likelihood
def test_gradient_agrees_with_finite_differences(name):
    likelihood = fitted(name)
    x, variance = rows_of(name), variance_of()
    of_features = feature_parameters_of(likelihood)

    def log_prob(output, variance, *values):
        parameters = dict(zip(of_features, values, strict=True))
        parameters |= likelihood.unpack(output)
        return likelihood.log_prob(x, parameters, variance)

    inputs = [output_of(likelihood, spread=1.0), variance, *of_features.values()]
    for value in inputs:
        value.requires_grad_(value is not variance or is_dispersed(likelihood))
    assert torch.autograd.gradcheck(log_prob, inputs)


@every_scope
def test_sample_moments(name, scope):
    likelihood = fitted(name)
    n_draws = 20_000
    output = output_of(likelihood, n_rows=1, spread=1.0)
    of_features = feature_parameters_of(likelihood)
    if "tail" in of_features:
        # So that there is a kurtosis, whose own error is not too large.
        of_features["tail"] += 12.0
    variance = variance_of(scope)
    draws = likelihood.sample(
        likelihood.unpack(output.repeat(1, n_draws, 1)) | of_features, variance, seed=0
    )
    reference = scipy_distribution(
        name, likelihood.unpack(output) | of_features, variance
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
def test_variance_of_a_distribution_is_that_of_scipy(name):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, spread=1.0))
    distribution = likelihood.distribution(parameters, variance_of())
    try:
        variance = distribution.variance
    except NotImplementedError:
        assert name in {"continuous_bernoulli", *WITH_LEVELS}
        return
    reference = scipy_distribution(name, parameters, variance_of())
    np.testing.assert_allclose(variance, reference.stats("mvk")[1], rtol=1e-9)


@every_likelihood
def test_sample_repeats_by_seed_and_leaves_the_global_state(name, monkeypatch):
    # Seeds of other devices are global too, even where there is no such device yet.
    monkeypatch.setattr(torch.cuda, "manual_seed_all", pytest.fail)
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, n_rows=40))
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
    """Distortion in the way that training computes it, with weights of cells."""
    dispersion = likelihood.column_dispersion(N_FEATURES)
    if dispersion is None:
        return -weighted_total(likelihood.log_prob(x, parameters, variance), weight)
    error = dispersion.mean_error(x, parameters, weight)
    return dispersion.distortion(error, variance, weight.sum(dim=0).expand(N_FEATURES))


@every_scope
def test_distortion_is_the_weighted_mean_of_the_log_prob(name, scope):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood))
    x, variance = rows_of(name), variance_of(scope)
    weight = torch.arange(1, N_ROWS + 1, dtype=torch.float64)
    weight /= weight.sum()
    rows = -likelihood.log_prob(x, parameters, variance).sum(dim=-1)
    torch.testing.assert_close(
        distortion(likelihood, x, parameters, weight[:, None], variance),
        (rows * weight).sum(dim=1),
        rtol=1e-12,
        atol=0.0,
    )


@every_likelihood
def test_distortion_of_a_repeated_row_is_that_of_a_weight(name):
    likelihood = fitted(name)
    output, x, variance = output_of(likelihood), rows_of(name), variance_of()
    times = torch.tensor([1, 3, 0, 2, 1, 1])
    weighted = distortion(
        likelihood,
        x,
        parameters_of(likelihood, output),
        (times / times.sum(dtype=x.dtype))[:, None],
        variance,
    )
    many = torch.repeat_interleave(times)
    repeated = distortion(
        likelihood,
        x[many],
        parameters_of(likelihood, output[:, many]),
        torch.full((len(many), 1), 1.0 / len(many), dtype=x.dtype),
        variance,
    )
    torch.testing.assert_close(weighted, repeated, rtol=1e-12, atol=0.0)


@every_likelihood
def test_row_of_weight_zero_has_no_gradient(name):
    likelihood = fitted(name)
    output = output_of(likelihood).requires_grad_()
    weight = torch.full((N_ROWS, 1), 1.0 / (N_ROWS - 1), dtype=torch.float64)
    weight[2] = 0.0
    distortion(
        likelihood,
        rows_of(name),
        parameters_of(likelihood, output),
        weight,
        variance_of(),
    ).sum().backward()
    assert (output.grad[:, 2] == 0.0).all()
    assert (output.grad[:, 3] != 0.0).all()


@every_likelihood
def test_replicas_together_equal_each_alone(name):
    likelihood = fitted(name)
    output, x, variance = output_of(likelihood), rows_of(name), variance_of()
    weight = torch.full((N_ROWS, 1), 1.0 / N_ROWS, dtype=torch.float64)
    parameters = parameters_of(likelihood, output)
    together = distortion(likelihood, x, parameters, weight, variance)
    for r in range(N_REPLICAS):
        alone = distortion(
            likelihood,
            x,
            {key: value[r : r + 1] for key, value in parameters.items()},
            weight,
            variance[r : r + 1],
        )
        torch.testing.assert_close(alone, together[r : r + 1], rtol=1e-12, atol=0.0)


@every_likelihood
def test_missing_cells_have_no_gradient_and_no_nats(name):
    likelihood = fitted(name)
    output = output_of(likelihood).requires_grad_()
    x, variance = rows_of(name), variance_of()
    rows = torch.arange(1, N_ROWS + 1, dtype=torch.float64)
    rows /= rows.sum()
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    observed[3] = False
    x[~observed] = 0.0
    parameters = parameters_of(likelihood, output)
    seen = distortion(likelihood, x, parameters, rows[:, None] * observed, variance)
    cells = -likelihood.log_prob(x, parameters, variance)
    expected = (cells * rows[:, None] * observed).sum(dim=(1, 2))
    torch.testing.assert_close(seen, expected, rtol=1e-12, atol=0.0)
    (gradient,) = torch.autograd.grad(seen.sum(), output)
    assert (gradient[:, 3] == 0.0).all()
    for value in likelihood.unpack(gradient).values():
        if name != "categorical":
            assert (value[:, ~observed] == 0.0).all()


@every_likelihood
def test_weights_of_cells_that_are_all_there_are_those_of_rows(name):
    likelihood = fitted(name)
    x, variance = rows_of(name), variance_of()
    parameters = parameters_of(likelihood, output_of(likelihood))
    rows = torch.arange(1, N_ROWS + 1, dtype=torch.float64)
    rows /= rows.sum()
    torch.testing.assert_close(
        distortion(likelihood, x, parameters, rows[:, None].expand_as(x), variance),
        distortion(likelihood, x, parameters, rows[:, None], variance),
        rtol=1e-12,
        atol=0.0,
    )


@every_likelihood
def test_columns_may_come_in_any_order(name):
    order = [2, 0, 1]
    X = rows_of(name, n_rows=200).numpy()
    X = np.exp(X) if name == "log_normal" else X
    likelihood = fitted(name)
    permuted = clone(likelihood).fit(X[:, order])
    null = null_parameters(likelihood), null_parameters(permuted)
    x, variance = rows_of(name), variance_of()[:1]
    # The last digits are those of sums in another order.
    torch.testing.assert_close(
        permuted.log_prob(x[:, order], null[1], variance[:, order]),
        likelihood.log_prob(x, null[0], variance)[..., order],
        rtol=1e-11,
        atol=1e-13,
    )


def null_parameters(likelihood, n_rows=N_ROWS):
    """Parameters of the start, the same for all rows."""
    start = torch.from_numpy(likelihood.start(N_FEATURES))
    parameters = likelihood.unpack(start.expand(1, n_rows, -1))
    for key, value in likelihood.feature_parameters().items():
        parameters[key] = torch.from_numpy(value)[None, None]
    return parameters


def nats_of_constants(likelihood, x, start, of_features):
    """Mean nats of a cell where the decoder gives the same for all rows."""
    parameters = likelihood.unpack(start.expand(1, len(x), -1)) | of_features
    weight = torch.full((len(x), 1), 1.0 / len(x), dtype=torch.float64)
    dispersion, variance = likelihood.column_dispersion(N_FEATURES), NO_VARIANCE
    if dispersion is not None:
        variance = dispersion.mean_error(x, parameters, weight)
    return distortion(likelihood, x, parameters, weight, variance).sum() / N_FEATURES


# Moments and quantiles are the maximum of the likelihood in other families.
NEARLY_BEST = {
    "student_t": 2e-3,
    "beta": 1e-3,
    "negative_binomial": 1e-3,
    "zero_inflated_negative_binomial": 1e-3,
}


@every_likelihood
def test_start_is_the_null_model(name):
    likelihood = fitted(name)
    # Columns of the family's own kind.
    x = likelihood.sample(
        null_parameters(likelihood, 400), torch.ones((1, 1)).double(), seed=0
    )[0]
    likelihood = clone(likelihood).fit(likelihood.to_user(x.numpy()))
    start = torch.from_numpy(likelihood.start(N_FEATURES)).requires_grad_()
    of_features = {
        key: torch.from_numpy(value)[None, None].requires_grad_()
        for key, value in likelihood.feature_parameters().items()
    }
    x = torch.from_numpy(likelihood.to_model(likelihood.to_user(x.numpy())))
    optimizer = torch.optim.LBFGS(
        [start, *of_features.values()], max_iter=200, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        nats = nats_of_constants(likelihood, x, start, of_features)
        nats.backward()
        return nats

    before = float(closure().detach())
    optimizer.step(closure)
    after = float(closure().detach())
    assert before - after < NEARLY_BEST.get(name, 1e-9)


@every_likelihood
def test_weight_of_a_row_is_its_repetition(name):
    X = rows_of(name, n_rows=30).numpy()
    X = np.exp(X) if name == "log_normal" else X
    times = np.random.RandomState(0).randint(0, 4, len(X))
    X[times == 0] = X[times > 0][0]
    weighted = LIKELIHOODS[name]().fit(X, weight=times.astype(float))
    repeated = LIKELIHOODS[name]().fit(np.repeat(X, times, axis=0))
    np.testing.assert_allclose(
        weighted.start(N_FEATURES), repeated.start(N_FEATURES), rtol=1e-10, atol=1e-12
    )
    for key, value in weighted.feature_parameters().items():
        expected = repeated.feature_parameters()[key]
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)


@every_likelihood
def test_missing_cells_count_in_no_statistic(name):
    X = rows_of(name, n_rows=40).numpy()
    X = np.exp(X) if name == "log_normal" else X
    X[::3, 1] = np.nan
    alone = X[~np.isnan(X[:, 1])]
    several, one = LIKELIHOODS[name]().fit(X), LIKELIHOODS[name]().fit(alone[:, [1, 1]])
    if name == "beta":
        # How far values are squeezed depends on the number of rows.
        weight = np.full(len(alone), 40 / len(alone))
        one = LIKELIHOODS[name]().fit(alone[:, [1, 1]], weight=weight)
    if name == "categorical":
        column = several.column_ == 1
        start, expected = several.start(3)[column], one.start(2)[one.column_ == 1]
    else:
        start, expected = several.start(3)[1::3], one.start(2)[1::2]
    np.testing.assert_allclose(start, expected, rtol=1e-10)
    for key, value in several.feature_parameters().items():
        expected = one.feature_parameters()[key][1]
        np.testing.assert_allclose(
            np.trim_zeros(np.atleast_1d(value[1])),
            np.trim_zeros(np.atleast_1d(expected)),
            rtol=1e-10,
        )


@every_likelihood
def test_column_that_is_missing_or_constant_is_finite(name):
    X = rows_of(name, n_rows=10).numpy()
    X = np.exp(X) if name == "log_normal" else X
    X[:, 1], X[:, 2] = np.nan, X[0, 2]
    likelihood = LIKELIHOODS[name]().fit(X)
    parameters = null_parameters(likelihood, 10)
    x = torch.from_numpy(np.nan_to_num(likelihood.to_model(X)))
    log_prob = likelihood.log_prob(x, parameters, torch.ones(1, 1).double())
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(likelihood.inputs(x)).all()


@every_likelihood
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_admits_what_it_samples(name, dtype):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, spread=1.0))
    x = likelihood.sample(parameters, variance_of(), seed=0)[0].numpy().astype(dtype)
    X = likelihood.to_user(x)
    X[1, 1] = np.nan
    admitted = likelihood.admit(X)
    assert admitted.dtype == dtype
    np.testing.assert_array_equal(admitted, X)


@every_likelihood
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_user_is_the_inverse_of_to_model(name, dtype):
    likelihood = fitted(name)
    x = rows_of(name, n_rows=50).numpy().astype(dtype)
    X = likelihood.to_user(x)
    assert X.dtype == dtype
    X[3, 1] = np.nan
    x = likelihood.to_model(X)
    assert x.dtype == dtype
    assert np.isnan(x[3, 1])
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(likelihood.to_user(x), X, rtol=rtol, atol=rtol)
    assert likelihood.log_jacobian(X).shape == X.shape
    # The logarithm of the slope, by central differences.
    if dtype == np.float64 and not REFERENCES[name].is_discrete:
        inside = np.clip(np.nan_to_num(X, nan=0.5), 0.01, 0.99)
        step = 1e-6
        slope = likelihood.to_model(inside + step) - likelihood.to_model(inside - step)
        expected = -np.log(slope / (2.0 * step))
        np.testing.assert_allclose(likelihood.log_jacobian(inside), expected, atol=1e-6)


@every_likelihood
def test_reconstruction_is_in_the_units_of_the_table(name):
    likelihood = fitted(name)
    parameters = parameters_of(likelihood, output_of(likelihood, spread=1.0))
    variance = variance_of()
    center, scale = np.array([1.0, 2.0, 3.0]), np.array([0.1, 1.0, 0.5])
    if not likelihood.is_continuous:
        center, scale = 0.0, 1.0
    X = likelihood.reconstruction(parameters, variance, center, scale)
    assert X.shape == (N_REPLICAS, N_ROWS, N_FEATURES)
    if name == "log_normal":
        # The mean of a log-normal distribution, as SciPy has it.
        spread = scale * variance.sqrt().numpy()[:, None, :]
        m = parameters["mean"].numpy()
        expected = stats.lognorm(spread, scale=np.exp(center + scale * m)).mean()
    elif name in WITH_LEVELS:
        expected = likelihood.distribution(parameters, variance).mode.numpy()
    else:
        mean = likelihood.mean(parameters, variance).numpy()
        expected = likelihood.to_user(mean * scale + center)
    np.testing.assert_allclose(X, expected, rtol=1e-12)
    assert X.shape == expected.shape
