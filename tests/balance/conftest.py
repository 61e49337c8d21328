import pytest
import torch

from skvae.balance import Sizes, Terms, VariancePolicy
from skvae.divergences import KL
from skvae.likelihoods import Gaussian
from skvae.model._module import Module
from skvae.networks import MLP
from skvae.training import Batch, Differentiator

N_FEATURES, N_COMPONENTS, N_ROWS = 5, 3, 4


@pytest.fixture
def make_sizes():
    """Build the sizes of a small model whose columns have unequal variances."""

    def make(n_replicas=1, dtype=torch.float64, scale=1.0):
        return Sizes(
            n_replicas=n_replicas,
            n_features=N_FEATURES,
            n_components=N_COMPONENTS,
            variance=torch.ones(1, dtype=dtype),
            data_variance=scale * torch.linspace(0.5, 2.5, N_FEATURES, dtype=dtype),
        )

    return make


@pytest.fixture
def make_terms():
    """Build terms with a given distortion and rate of each replica."""

    def make(distortion, rate):
        distortion = torch.as_tensor(distortion, dtype=torch.float64)
        rate = torch.as_tensor(rate, dtype=torch.float64)
        weight = torch.full((N_ROWS,), 1.0 / N_ROWS, dtype=torch.float64)
        kl = (rate / N_COMPONENTS)[:, None, None].expand(-1, N_ROWS, N_COMPONENTS)
        return Terms(distortion, (kl.sum(dim=-1) @ weight), kl, weight)

    return make


@pytest.fixture
def feed(make_sizes):
    """Feed batches' mean errors to a policy; return its variances, one a batch."""

    def feed(policy, errors, floor=0.0):
        state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
        floor = torch.full((N_FEATURES,), floor, dtype=torch.float64)
        states = []
        for error in errors:
            error = torch.as_tensor(error, dtype=torch.float64).expand(1, N_FEATURES)
            state = policy.move_variance(state, error, {}, floor)
            states.append(state)
        return states

    return feed


@pytest.fixture
def beta_at(make_sizes, make_terms):
    """Beta of two replicas, asked to end at 1 and 4, at a share of the steps."""

    def beta_at(policy, progress):
        beta = torch.tensor([1.0, 4.0], dtype=torch.float64)
        state = policy.init_state(beta, make_sizes(2))
        if progress > 0.0:
            state = policy.update(state, make_terms([1.0] * 2, [1.0] * 2), progress)
        return state.beta.tolist()

    return beta_at


class TinyModel:
    """A small Gaussian autoencoder in the middle of its training, and a batch."""

    def __init__(self, n_rows=8, n_features=4, n_components=2):
        generator = torch.Generator().manual_seed(0)

        def draw(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.module = Module(
            MLP((6,), "tanh"), Gaussian(), KL(), n_features, n_components
        )
        self.values = {
            name: (weight + 0.3 * draw(*weight.shape))[None]
            for name, weight in self.module.init(generator).items()
        }
        self.x = draw(n_rows, n_features)
        self.weight = torch.full((n_rows,), 1.0 / n_rows, dtype=torch.float64)
        self.noise = draw(1, n_rows, n_components)

    def weights(self):
        """Leaves of a new graph."""
        return {
            name: value.clone().requires_grad_() for name, value in self.values.items()
        }

    def sample(self, weights):
        """The batch, encoded and decoded."""
        return self.module.sample(weights, self.x, self.weight, self.noise)

    def terms(self, weights, variance):
        """Terms at a decoder variance."""
        sample = self.sample(weights)
        error = self.module.error(sample)
        return self.module.terms(sample, error, variance, self.weight)

    def step(self, policy, beta, variance=1.0, floor=0.0):
        """Objective, its gradient and the state of a first training step."""
        ones = torch.ones(self.module.n_features, dtype=torch.float64)
        sizes = Sizes(
            n_replicas=1,
            n_features=self.module.n_features,
            n_components=self.module.n_components,
            variance=variance * ones[:1],
            data_variance=ones,
        )
        trained = (policy.variance_policy or VariancePolicy()).init_parameters(sizes)
        weights = {**self.values, **trained}
        gradients = {name: torch.empty_like(value) for name, value in weights.items()}
        state = policy.init_state(torch.tensor([beta], dtype=torch.float64), sizes)
        step = Differentiator(self.module, policy, floor * ones, list(trained))(
            state, weights, gradients, Batch(self.x, self.weight, self.noise)
        )
        return step.objective, gradients, step.state


def gradient(objective, weights):
    """Gradient of an objective to each of the weights."""
    values = torch.autograd.grad(objective.sum(), list(weights.values()))
    return dict(zip(weights, values, strict=True))


@pytest.fixture
def tiny_model():
    return TinyModel()


@pytest.fixture(name="gradient")
def _gradient():
    return gradient
