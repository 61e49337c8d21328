import pickle

import pytest
import torch

from skvae.balance import (
    POLICIES,
    LearnedVariance,
    OptimalVariance,
    Sizes,
    VariancePolicy,
)
from skvae.divergences import DIVERGENCES, KL, Draws, ImportanceWeighted
from skvae.likelihoods import LIKELIHOODS, Gaussian
from skvae.model._module import Module
from skvae.networks import MLP
from skvae.training import Batch, Differentiator

N_REPLICAS, N_ROWS, N_FEATURES, N_COMPONENTS = 2, 12, 4, 2

# The others learn from a table first, which these models do not have.
every_likelihood = pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
linear_or_not = pytest.mark.parametrize("hidden", [(), (6,)], ids=["linear", "mlp"])


def policies():
    for name, cls in POLICIES.items():
        # The sizes here have no linear model to take a target from.
        settings = {"target": 1.5} if "target" in cls().get_params() else {}
        yield pytest.param(cls(**settings), id=name)
        if "scope" in cls().get_params():
            yield pytest.param(cls(scope="feature"), id=f"{name}-feature")


every_policy = pytest.mark.parametrize("policy", list(policies()))


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def make(likelihood="gaussian", hidden=(6,), divergence=None, posterior="diagonal"):
    network = MLP(hidden, "tanh", posterior=posterior)
    divergence = KL() if divergence is None else divergence
    return Module(
        network, LIKELIHOODS[likelihood](), divergence, N_FEATURES, N_COMPONENTS
    )


def weights_of(module, n_replicas=N_REPLICAS):
    """Weights in the middle of a training, of replicas that differ."""
    start = module.init(torch.Generator().manual_seed(0))
    return {
        name: weight + 0.3 * draw(n_replicas, *weight.shape, seed=i)
        for i, (name, weight) in enumerate(start.items())
    }


def rows_of(module, n_rows=N_ROWS):
    x = draw(n_rows, N_FEATURES, seed=50)
    return x if module.likelihood.is_continuous else (x > 0.0).double()


def weight_of(n_rows=N_ROWS):
    weight = torch.arange(1, n_rows + 1, dtype=torch.float64)
    return weight / weight.sum()


def noise_of(n_draws=1, n_rows=N_ROWS):
    return draw(n_draws, n_rows, N_COMPONENTS, seed=60)


def variance_of(n_replicas=N_REPLICAS):
    return torch.linspace(0.5, 2.0, n_replicas, dtype=torch.float64)[:, None]


def terms_of(module, weights, x, weight, noise, variance=None):
    sample = module.sample(weights, x, weight, noise)
    variance = variance_of() if variance is None else variance
    return module.terms(sample, module.error(sample), variance, weight)


def step_of(module, policy, weights, x, weight, noise, scale=None):
    """Objective, gradient and terms of a first training step.

    `scale` is the unit of each column, if it is not that of the standardized rows.
    """
    ones = torch.ones(N_FEATURES, dtype=torch.float64)
    scale = ones if scale is None else scale
    n_replicas = len(next(iter(weights.values())))
    sizes = Sizes(n_replicas, N_FEATURES, N_COMPONENTS, ones[:1], scale**2)
    beta = torch.linspace(0.5, 3.0, n_replicas, dtype=torch.float64)
    trained = (policy.variance_policy or VariancePolicy()).init_parameters(sizes)
    weights = {**weights, **trained}
    gradients = {name: torch.full_like(w, torch.nan) for name, w in weights.items()}
    # The beta asked for is in force, whatever the schedule.
    state = policy.init_state(beta, sizes)._replace(beta=beta)
    step = Differentiator(module, policy, 1e-6 * scale**2, list(trained))(
        state, weights, gradients, Batch(x, weight, noise)
    )
    return step.objective, gradients, step.terms


def assert_close(values, expected, rtol=1e-12, atol=1e-13):
    """Compare tensors, or dictionaries of them, and name what differs."""
    if isinstance(values, torch.Tensor):
        values, expected = {"values": values}, {"values": expected}
    assert set(values) == set(expected)
    for name, value in values.items():
        torch.testing.assert_close(
            value,
            expected[name],
            rtol=rtol,
            atol=atol,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@every_likelihood
@linear_or_not
def test_weights_are_those_of_encoder_and_decoder(likelihood, hidden):
    module = make(likelihood, hidden)
    weights = module.init(torch.Generator().manual_seed(0))
    assert list(weights) == list(module.shapes)
    for name, weight in weights.items():
        assert weight.shape == module.shapes[name], name
        assert weight.dtype == torch.float64, name
    n_outputs = module.likelihood.n_parameters(N_FEATURES)
    assert module.shapes[f"decoder.{len(hidden)}.bias"] == (n_outputs,)


@every_likelihood
def test_can_be_pickled(likelihood):
    module = make(likelihood)
    again = pickle.loads(pickle.dumps(module))
    arguments = weights_of(module), rows_of(module), weight_of(), noise_of()
    for one, other in zip(
        terms_of(module, *arguments), terms_of(again, *arguments), strict=True
    ):
        assert torch.equal(one, other)


@every_likelihood
@linear_or_not
@pytest.mark.parametrize("n_draws", [1, 4])
def test_shapes(likelihood, hidden, n_draws):
    module = make(likelihood, hidden)
    sample = module.sample(
        weights_of(module), rows_of(module), weight_of(), noise_of(n_draws)
    )
    for part in sample.posterior:
        assert part.shape == (N_REPLICAS, N_ROWS, N_COMPONENTS)
    assert sample.z.shape == (N_REPLICAS, n_draws, N_ROWS, N_COMPONENTS)
    assert sample.x.shape == (n_draws * N_ROWS, N_FEATURES)
    assert sample.weight.shape == (n_draws * N_ROWS, 1)
    for parameter in sample.parameters.values():
        assert parameter.shape == (N_REPLICAS, n_draws * N_ROWS, N_FEATURES)
    error = module.error(sample)
    terms = module.terms(sample, error, variance_of(), weight_of())
    if module.dispersion is not None:
        assert error.shape == (N_REPLICAS, N_FEATURES)
    else:
        assert error is None
    assert terms.distortion.shape == (N_REPLICAS,)
    assert terms.divergence.shape == (N_REPLICAS,)
    assert terms.kl.shape == (N_REPLICAS, N_ROWS, N_COMPONENTS)
    assert terms.weight.shape == (N_ROWS,)


def test_draws_of_a_row_are_blocks_of_rows():
    module = make()
    x, weight, noise = rows_of(module), weight_of(), noise_of(3)
    sample = module.sample(weights_of(module), x, weight, noise)
    for d, (z, x_drawn, w) in enumerate(
        zip(
            sample.z.unbind(dim=1),
            sample.x.split(N_ROWS),
            sample.weight.split(N_ROWS),
            strict=True,
        )
    ):
        mean, log_variance = sample.posterior
        assert_close(z, mean + (0.5 * log_variance).exp() * noise[d])
        assert torch.equal(x_drawn, x)
        assert_close(w, weight[:, None] / 3)


@every_likelihood
def test_terms_are_means_over_draws(likelihood):
    module = make(likelihood)
    weights, x, weight, noise = weights_of(module), rows_of(module), weight_of(), None
    noise = noise_of(4)
    together = terms_of(module, weights, x, weight, noise)
    alone = [terms_of(module, weights, x, weight, one[None]) for one in noise]
    mean = torch.stack([terms.distortion for terms in alone]).mean(dim=0)
    assert_close(together.distortion, mean)
    # The rate does not depend on them at all.
    for terms in alone:
        assert torch.equal(terms.kl, together.kl)
        assert torch.equal(terms.divergence, together.divergence)


def test_noise_may_be_the_same_for_all_rows():
    module = make()
    arguments = weights_of(module), rows_of(module), weight_of()
    noise = noise_of(3, n_rows=1)
    one = terms_of(module, *arguments, noise)
    other = terms_of(module, *arguments, noise.expand(-1, N_ROWS, -1))
    assert_close(one.distortion, other.distortion)


@every_likelihood
@linear_or_not
def test_distortion_and_rate_are_sums_over_columns_and_means_over_rows(
    likelihood, hidden
):
    module = make(likelihood, hidden)
    x, weight, noise = rows_of(module), weight_of(), noise_of()
    weights = weights_of(module)
    terms = terms_of(module, weights, x, weight, noise)
    posterior = module.encode(weights, x)
    log_prob = module.likelihood.log_prob(
        x, module.decode(weights, posterior.sample(noise)), variance_of()
    )
    assert log_prob.shape == (N_REPLICAS, N_ROWS, N_FEATURES)
    assert_close(terms.distortion, -(log_prob.sum(dim=2) * weight).sum(dim=1))
    rate = (posterior.kl().sum(dim=2) * weight).sum(dim=1)
    assert_close(terms.rate, rate)
    assert_close(terms.divergence, rate)


def test_posterior_of_rows_far_away_is_finite():
    module = make(hidden=(6,))
    weights = weights_of(module)
    weights["encoder.1.weight"] *= 1e8
    mean, log_variance = module.encode(weights, 1e8 * rows_of(module))
    assert torch.isfinite(mean).all()
    assert log_variance.abs().max() == 20.0


@every_likelihood
def test_replicas_share_nothing(likelihood):
    module = make(likelihood)
    weights = {name: w.requires_grad_() for name, w in weights_of(module).items()}
    terms = terms_of(module, weights, rows_of(module), weight_of(), noise_of(2))
    (terms.distortion + terms.divergence)[0].backward()
    for name, weight in weights.items():
        assert (weight.grad[0] != 0.0).any(), name
        assert (weight.grad[1] == 0.0).all(), name


@pytest.mark.parametrize("policy", policies())
@linear_or_not
def test_repeated_batch_is_the_same(policy, hidden):
    module = make(hidden=hidden)
    weights, x, weight, noise = (
        weights_of(module),
        rows_of(module),
        weight_of(),
        noise_of(2),
    )
    objective, gradient, _ = step_of(module, policy, weights, x, weight, noise)
    twice, gradient_twice, _ = step_of(
        module,
        policy,
        weights,
        x.repeat(2, 1),
        weight.repeat(2) / 2,
        noise.repeat(1, 2, 1),
    )
    assert_close(twice, objective)
    assert_close(gradient_twice, gradient)


# The error of a batch is no mean over rows once a logarithm is taken of it, nor is
# its rate once it is held against a target or a floor: what these minimise bends with
# the batch size.
BENT = {"OptimalVariance", "RunningAverage", "Capacity", "FreeBits"}


@pytest.mark.parametrize(
    "policy", [p for p in policies() if type(p.values[0]).__name__ not in BENT]
)
@pytest.mark.parametrize("batch_size", [1, 3, 6])
def test_mean_over_batches_is_that_of_the_table(policy, batch_size):
    module = make()
    weights, x, weight, noise = (
        weights_of(module),
        rows_of(module),
        weight_of(),
        noise_of(2),
    )
    objective, gradient, _ = step_of(module, policy, weights, x, weight, noise)
    n_batches = N_ROWS // batch_size
    total, total_gradient = 0.0, dict.fromkeys(gradient, 0.0)
    for start in range(0, N_ROWS, batch_size):
        rows = slice(start, start + batch_size)
        part, part_gradient, _ = step_of(
            module,
            policy,
            weights,
            x[rows],
            weight[rows] * n_batches,
            noise[:, rows],
        )
        total = total + part / n_batches
        for name, value in part_gradient.items():
            total_gradient[name] = total_gradient[name] + value / n_batches
    assert_close(total, objective)
    assert_close(total_gradient, gradient)


@pytest.mark.parametrize("scope", ["shared", "feature"])
@pytest.mark.parametrize("policy", [LearnedVariance, OptimalVariance])
def test_units_of_the_columns_shift_the_objective_alone(policy, scope):
    # The mean scales, the path of the KL is the same, and the loss
    # shifts by log c for each scaled column.
    unit = torch.tensor([8.0, 0.25, 1.0, 2.0], dtype=torch.float64)
    if scope == "shared":
        unit = torch.full_like(unit, 8.0)
    module = make(hidden=())
    weights, x = weights_of(module), rows_of(module)
    scaled = dict(weights)
    scaled["encoder.0.weight"] = weights["encoder.0.weight"] / unit[:, None]
    scaled["decoder.0.weight"] = weights["decoder.0.weight"] * unit
    scaled["decoder.0.bias"] = weights["decoder.0.bias"] * unit
    policy = policy(scope)
    objective, gradient, terms = step_of(
        module, policy, weights, x, weight_of(), noise_of()
    )
    other, other_gradient, other_terms = step_of(
        module, policy, scaled, x * unit, weight_of(), noise_of(), scale=unit
    )
    assert_close(other, objective + unit.log().sum())
    assert_close(other_terms.kl, terms.kl)
    kept = [
        name for name in gradient if name.startswith("encoder") and "weight" not in name
    ]
    assert len(kept) == 2
    assert_close(
        {name: other_gradient[name] for name in kept},
        {name: gradient[name] for name in kept},
    )


@pytest.mark.parametrize("total", [1.0, 3.0])
def test_policy_is_given_the_mean_error_of_the_batch(total):
    seen = []

    class Watching(OptimalVariance):
        def move_variance(self, state, error, parameters, floor):
            seen.append(error)
            return super().move_variance(state, error, parameters, floor)

    module = make()
    weights, x, noise = weights_of(module), rows_of(module), noise_of()
    # The weights of a batch sum to 1 only in the mean over batches.
    step_of(module, Watching(), weights, x, total * weight_of(), noise)
    (error,) = seen
    assert not error.requires_grad
    expected = module.error(module.sample(weights, x, weight_of(), noise))
    assert_close(error, expected)


@pytest.mark.parametrize("hidden", [(), (3,), (50, 3)])
def test_cells_per_row_bound_the_widest_layer(hidden):
    widest = max(*hidden, N_FEATURES, 2 * N_COMPONENTS)
    assert make(hidden=hidden).cells_per_row == 2 * widest


def test_policy_is_not_asked_for_a_variance_that_there_is_none_of():
    class Refusing(OptimalVariance):
        def move_variance(self, state, error, parameters, floor):
            pytest.fail("the Bernoulli likelihood has no variance")

    module = make("bernoulli")
    _, gradient, _ = step_of(
        module, Refusing(), weights_of(module), rows_of(module), weight_of(), noise_of()
    )
    for name, value in gradient.items():
        assert (value != 0.0).any(), name


@every_likelihood
def test_nothing_waits_for_a_number(likelihood):
    module = make(likelihood)
    weights = {name: w.to("meta") for name, w in weights_of(module).items()}
    terms = terms_of(
        module,
        weights,
        *(part.to("meta") for part in (rows_of(module), weight_of(), noise_of(2))),
        variance_of().to("meta"),
    )
    assert terms.distortion.shape == (N_REPLICAS,)


def test_fixed_variance_of_each_feature_is_used():
    variance = [0.5, 1.0, 2.0, 4.0]
    network = MLP((6,), "tanh")
    module = Module(
        network, Gaussian(variance=variance), KL(), N_FEATURES, N_COMPONENTS
    )
    in_force = torch.tensor(variance, dtype=torch.float64).repeat(N_REPLICAS, 1)
    x, weight, noise = rows_of(module), weight_of(), noise_of()
    sample = module.sample(weights_of(module), x, weight, noise)
    terms = module.terms(sample, module.error(sample), in_force, weight)
    normal = torch.distributions.Normal(
        sample.parameters["mean"], in_force.sqrt()[:, None], validate_args=False
    )
    assert_close(terms.distortion, -(normal.log_prob(x).sum(dim=2) @ weight))


@pytest.mark.parametrize("name", DIVERGENCES)
@every_likelihood
@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_divergence_is_given_the_draws_of_the_distortion(name, likelihood, posterior):
    seen = []

    class Watching(DIVERGENCES[name]):
        def __call__(self, draws):
            seen.append(draws)
            return super().__call__(draws)

    divergence = Watching()
    module = make(likelihood, divergence=divergence, posterior=posterior)
    weights, x, weight = weights_of(module), rows_of(module), weight_of()
    noise = noise_of(2 * divergence.n_draws)
    terms = terms_of(module, weights, x, weight, noise)
    (draws,) = seen
    sample = module.sample(weights, x, weight, noise)
    assert isinstance(draws, Draws)
    assert type(draws.posterior).__name__ == (
        "FullPosterior" if posterior == "full" else "Posterior"
    )
    assert torch.equal(draws.z, sample.z)
    assert draws.noise is noise
    assert draws.n_rows_of_table == N_ROWS
    assert terms.divergence.shape == (N_REPLICAS,)
    # The rate stays what it is.
    kl = terms_of(make(likelihood, posterior=posterior), weights, x, weight, noise)
    assert torch.equal(terms.rate, kl.rate)
    assert torch.equal(terms.distortion, kl.distortion)
    if divergence.needs_log_likelihood:
        assert_close(-draws.mean(draws.log_likelihood), terms.distortion)
    else:
        assert draws.log_likelihood is None


@every_likelihood
@pytest.mark.parametrize("posterior", ["diagonal", "full"])
@linear_or_not
def test_objective_of_importance_weighting_is_the_bound(likelihood, posterior, hidden):
    """Against the densities of torch: no constant is missing, and no sign wrong."""
    n_draws = 3
    module = make(likelihood, hidden, ImportanceWeighted(n_draws), posterior)
    weights, x, weight = weights_of(module), rows_of(module), weight_of()
    noise = noise_of(n_draws)
    terms = terms_of(module, weights, x, weight, noise)
    q = module.encode(weights, x)
    factor = (0.5 * q.log_variance).exp().diag_embed()
    if posterior == "full":
        factor = q.factor
    normal = torch.distributions.MultivariateNormal(q.mean, scale_tril=factor)
    prior = torch.distributions.Normal(torch.zeros(()).double(), 1.0)
    log_weights = []
    for one in noise:
        z = q.mean + (factor @ one[..., None])[..., 0]
        parameters = module.decode(weights, z)
        log_x = module.likelihood.log_prob(x, parameters, variance_of()).sum(dim=-1)
        log_weights.append(log_x + prior.log_prob(z).sum(dim=-1) - normal.log_prob(z))
    bound = torch.stack(log_weights).exp().mean(dim=0).log() @ weight
    assert_close(terms.distortion + terms.divergence, -bound, rtol=1e-10)


@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_bound_has_a_gradient_to_the_learned_variance(scope):
    """The distortion and the rest of the bound see the same variance."""
    module = make(divergence=ImportanceWeighted(3))
    policy, weights = LearnedVariance(scope), weights_of(module, 1)
    ones = torch.ones(N_FEATURES, dtype=torch.float64)
    sizes = Sizes(1, N_FEATURES, N_COMPONENTS, ones[:1], ones)
    (trained,) = policy.init_parameters(sizes).items()
    name, leaf = trained[0], trained[1].clone().requires_grad_()
    state = policy.init_state(ones[:1], sizes)
    noise, x, weight = noise_of(3), rows_of(module), weight_of()
    gradients = {key: torch.empty_like(w) for key, w in {**weights, name: leaf}.items()}
    step = Differentiator(module, policy, 1e-6 * ones, [name])(
        state, {**weights, name: leaf}, gradients, Batch(x, weight, noise)
    )
    objective, gradient = step.objective.sum(), gradients[name]
    moved = policy.move_variance(state, ones[None], {name: leaf}, 1e-6 * ones)
    sample = module.sample(weights, x, weight, noise)
    log_weight = module.log_likelihood(sample, moved.variance)
    posterior = sample.posterior
    log_weight = log_weight - 0.5 * sample.z.square().sum(dim=-1)
    log_weight = log_weight + 0.5 * noise.square().sum(dim=-1)
    log_weight = log_weight + 0.5 * posterior.log_variance.sum(dim=-1)[:, None]
    bound = (log_weight.exp().mean(dim=1).log() @ weight).sum()
    (expected,) = torch.autograd.grad(-bound, leaf)
    assert_close(objective, -bound)
    assert_close(gradient, expected)
    assert (gradient != 0.0).all()


@linear_or_not
def test_full_posterior_reaches_every_weight(hidden):
    module = make(hidden=hidden, posterior="full")
    weights = {name: w.requires_grad_() for name, w in weights_of(module).items()}
    terms = terms_of(module, weights, rows_of(module), weight_of(), noise_of(2))
    (terms.distortion + terms.divergence)[0].backward()
    for name, weight in weights.items():
        assert (weight.grad[0] != 0.0).any(), name
        assert (weight.grad[1] == 0.0).all(), name


@linear_or_not
def test_full_posterior_waits_for_no_number(hidden):
    module = make(hidden=hidden, posterior="full")
    weights = {name: w.to("meta") for name, w in weights_of(module).items()}
    terms = terms_of(
        module,
        weights,
        *(part.to("meta") for part in (rows_of(module), weight_of(), noise_of(2))),
        variance_of().to("meta"),
    )
    assert terms.distortion.shape == terms.divergence.shape == (N_REPLICAS,)


def test_full_posterior_is_exact_where_latents_are_turned():
    """Probabilistic PCA with its latents turned, which a diagonal one cannot follow."""
    x = draw(N_ROWS, N_FEATURES, seed=50)
    x = x - x.mean(dim=0)
    eigenvalues, vectors = torch.linalg.eigh(x.T @ x / N_ROWS)
    variance = eigenvalues[:2].mean()
    angle = torch.tensor(0.6, dtype=torch.float64)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    loadings = vectors[:, 2:] * (eigenvalues[2:] - variance).sqrt() @ turn
    covariance = torch.linalg.inv(
        torch.eye(2, dtype=torch.float64) + loadings.T @ loadings / variance
    )
    factor = torch.linalg.cholesky(covariance)
    weights = {
        "encoder.0.weight": loadings @ covariance / variance,
        "encoder.0.bias": torch.zeros(2),
        "encoder.log_variance": 2.0 * factor.diagonal().log(),
        "encoder.below_diagonal": factor[1:, 0] / factor[1, 1],
        "decoder.0.weight": loadings.T,
        "decoder.0.bias": torch.zeros(4),
    }
    weights = {name: weight.double()[None] for name, weight in weights.items()}
    module = make(hidden=(), posterior="full", divergence=ImportanceWeighted(3))
    assert set(weights) == set(module.shapes)
    seen = torch.distributions.MultivariateNormal(
        torch.zeros(4).double(),
        loadings @ loadings.T + variance * torch.eye(4, dtype=torch.float64),
    )
    log_likelihood = seen.log_prob(x)
    # Every importance weight is the likelihood of its row.
    sample = module.sample(weights, x, weight_of(), noise_of(3))
    draws_log_weight = module.log_likelihood(sample, variance[None, None])
    q = sample.posterior
    prior = torch.distributions.Normal(torch.zeros(()).double(), 1.0)
    draws_log_weight = (
        draws_log_weight
        + prior.log_prob(sample.z).sum(dim=-1)
        - q.log_prob(sample.noise)
    )
    assert_close(draws_log_weight[0], log_likelihood.expand(3, -1), rtol=1e-10)
    # And so the elbo itself, with the exact distortion of a linear decoder.
    nodes = 2.0**0.5 * torch.eye(2, dtype=torch.float64)
    noise = torch.cat([nodes, -nodes])[:, None]
    module = make(hidden=(), posterior="full")
    terms = terms_of(module, weights, x, weight_of(), noise, variance[None, None])
    elbo = -(terms.distortion + terms.rate)
    assert_close(elbo, (log_likelihood @ weight_of())[None], rtol=1e-10)
