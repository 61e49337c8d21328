import pytest
import torch

from skvae.balance import POLICIES, Linear, Sizes, VariancePolicy
from skvae.divergences import DIVERGENCES, KL
from skvae.likelihoods import LIKELIHOODS
from skvae.model._module import Module
from skvae.model._weights import flatten
from skvae.networks import MLP
from skvae.training import Batch, Differentiator
from skvae.training._parameters import FlatParameters

N_REPLICAS, N_ROWS, N_FEATURES, N_COMPONENTS = 2, 12, 4, 2


def policy_of(name):
    settings = {"target": 1.5} if "target" in POLICIES[name]().get_params() else {}
    return POLICIES[name](**settings)


def table_of(likelihood):
    """Rows that a likelihood admits."""
    x = draw(N_ROWS, N_FEATURES, seed=50)
    if likelihood.is_continuous:
        return x.exp() if type(likelihood).__name__ == "LogNormal" else x
    kind = type(likelihood).__name__
    if kind in {"Beta", "ContinuousBernoulli"}:
        return x.sigmoid()
    if kind == "Bernoulli":
        return (x > 0.0).double()
    return (1.5 * x.abs()).floor().clamp(max=3.0)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Problem:
    """A model in the middle of its training, and a batch."""

    def __init__(self, policy, likelihood, divergence, posterior, hidden=(6, 5)):
        self.policy = policy
        likelihood = LIKELIHOODS[likelihood]()
        rows = table_of(likelihood).numpy()
        likelihood.fit(rows)
        x = torch.from_numpy(likelihood.to_model(rows))
        self.module = Module(
            MLP(hidden, posterior=posterior),
            likelihood,
            divergence,
            N_FEATURES,
            N_COMPONENTS,
        )
        ones = torch.ones(N_FEATURES, dtype=torch.float64)
        self.floor = 1e-6 * ones
        sizes = Sizes(N_REPLICAS, N_FEATURES, N_COMPONENTS, 0.7 * ones[:1], ones)
        beta = torch.linspace(0.5, 0.9, N_REPLICAS, dtype=torch.float64)
        self.state = policy.init_state(beta, sizes)
        start = self.module.init(torch.Generator().manual_seed(0))
        weights = {
            name: weight + 0.3 * draw(N_REPLICAS, *weight.shape, seed=i)
            for i, (name, weight) in enumerate(start.items())
        }
        shared = self.module.shared(0.0, 1.0)
        self.trained = {
            **(policy.variance_policy or VariancePolicy()).init_parameters(sizes),
            **{name: w.repeat(N_REPLICAS, *[1] * w.ndim) for name, w in shared.items()},
        }
        weights |= self.trained
        shapes = {name: tuple(w.shape[1:]) for name, w in weights.items()}
        self.flat = FlatParameters(shapes, flatten(weights))
        weight = torch.arange(1, N_ROWS + 1, dtype=torch.float64) / 80.0
        n_draws = 2 * divergence.n_draws
        noise = draw(n_draws, N_ROWS, N_COMPONENTS, seed=60)
        self.batch = Batch(x, weight, noise, 3 * N_ROWS)

    def step(self):
        """Objective, gradients and what the step saw, as training has them."""
        # Nothing of the last step may be left.
        self.flat.gradient.fill_(torch.nan)
        differentiate = Differentiator(
            self.module, self.policy, self.floor, list(self.trained)
        )
        return differentiate(
            self.state, self.flat.weights, self.flat.gradients, self.batch
        )

    def definition(self):
        """Objective and gradients by automatic differentiation throughout."""
        module, batch = self.module, self.batch
        leaves = {
            name: w.clone().requires_grad_() for name, w in self.flat.weights.items()
        }
        sample = module.sample(
            leaves, batch.x, batch.weight, batch.noise, batch.observed
        )
        error, state = module.error(sample), self.state
        if error is not None:
            observed = module.observed_fraction(sample)
            total = batch.weight.sum() if observed is None else observed
            policy = self.policy.variance_policy or VariancePolicy()
            state = policy.move_variance(
                state, error.detach() / total, leaves, self.floor
            )
        terms = module.terms(
            sample, error, state.variance, batch.weight, batch.n_rows_of_table
        )
        objective = self.policy.objective(terms, state)
        gradients = torch.autograd.grad(
            objective.sum(), list(leaves.values()), materialize_grads=True
        )
        return objective, terms, dict(zip(leaves, gradients, strict=True))


def combinations():
    """Policies and divergences with every likelihood, and by default with some.

    What a policy or a divergence is given does not tell one likelihood from another.
    """
    for i, policy in enumerate(POLICIES):
        for j, likelihood in enumerate(LIKELIHOODS):
            marks = () if (i + j) % 4 == 0 else pytest.mark.slow
            yield pytest.param(policy, likelihood, "kl", "diagonal", marks=marks)
    for i, name in enumerate(DIVERGENCES):
        for j, likelihood in enumerate(LIKELIHOODS):
            for k, posterior in enumerate(("diagonal", "full")):
                marks = () if (i + j) % 6 == 3 * k else pytest.mark.slow
                yield pytest.param("constant", likelihood, name, posterior, marks=marks)
    yield "learned_variance", "gaussian", "importance_weighted", "diagonal"


@pytest.mark.parametrize(
    ("policy", "likelihood", "divergence", "posterior"), list(combinations())
)
def test_gradient_is_that_of_the_objective(policy, likelihood, divergence, posterior):
    problem = Problem(
        policy_of(policy), likelihood, DIVERGENCES[divergence](), posterior
    )
    step = problem.step()
    objective, terms, gradients = problem.definition()
    torch.testing.assert_close(step.objective, objective.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(step.rate, terms.rate.detach(), rtol=1e-12, atol=0)
    for name, expected in gradients.items():
        torch.testing.assert_close(
            problem.flat.gradients[name],
            expected,
            rtol=1e-10,
            atol=1e-13,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@pytest.mark.parametrize("policy", ["constant", "running_average", "learned_variance"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_gradient_where_cells_are_missing(policy, likelihood):
    problem = Problem(policy_of(policy), likelihood, KL(), "diagonal")
    observed = draw(N_ROWS, N_FEATURES, seed=70) > -0.5
    problem.batch.observed = observed
    problem.batch.x = torch.where(observed, problem.batch.x, 0.0)
    step = problem.step()
    objective, _, gradients = problem.definition()
    torch.testing.assert_close(step.objective, objective.detach(), rtol=1e-12, atol=0)
    for name, expected in gradients.items():
        torch.testing.assert_close(
            problem.flat.gradients[name], expected, rtol=1e-10, atol=1e-13, msg=name
        )


@pytest.mark.parametrize("policy", ["constant", "running_average"])
def test_usual_step_records_no_graph(policy, monkeypatch):
    problem = Problem(policy_of(policy), "gaussian", KL(), "diagonal")

    def refuse(*args, **kwargs):
        pytest.fail("automatic differentiation has no part in this step")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    assert torch.isfinite(problem.step().objective).all()


def test_objective_of_ones_own_is_differentiated():
    class Squared(POLICIES["constant"]):
        def objective(self, terms, state):
            return terms.distortion + state.beta * terms.divergence**2

    for policy in (Squared(), Linear(policy=Squared())):
        problem = Problem(policy, "gaussian", KL(), "diagonal")
        problem.state = problem.state._replace(beta=problem.state.beta + 0.5)
        problem.step()
        _, _, gradients = problem.definition()
        for name, expected in gradients.items():
            torch.testing.assert_close(problem.flat.gradients[name], expected)


def test_log_variance_beyond_its_bound_has_no_gradient():
    problem = Problem(policy_of("constant"), "gaussian", KL(), "diagonal")
    for bias in (50.0, -50.0):
        problem.flat.weights["encoder.2.bias"][:, N_COMPONENTS:] = bias
        problem.step()
        gradient = problem.flat.gradients["encoder.2.bias"]
        assert (gradient[:, N_COMPONENTS:] == 0.0).all()
        assert (gradient[:, :N_COMPONENTS] != 0.0).all()
