"""What every prior promises; a new one is tested by being in PRIORS."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.stats import kstest
from sklearn.base import clone

from skvae import BalancedVAE, priors
from skvae.divergences import FullPosterior, Posterior
from skvae.model._evaluate import quadrature
from skvae.priors import PRIORS

every_prior = pytest.mark.parametrize("name", PRIORS)
N_REPLICAS, N_ROWS = 3, 6


@pytest.fixture
def learned(make_latents, clusters):
    """A prior that has learned from three clusters."""
    return lambda name: PRIORS[name]().learn(make_latents(clusters))


def posterior_of(kind=Posterior, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shape = 3, N_REPLICAS, N_ROWS, 2
    parts = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    mean, log_variance = parts[0], parts[1] - 1.0
    if kind is Posterior:
        return Posterior(mean, log_variance)
    return FullPosterior(mean, log_variance, parts[2][..., :1])


def rate_of(prior, posterior, dtype=torch.float64, n_nodes=32):
    noise = torch.tensor(quadrature(2, n_nodes), dtype=dtype)[:, None]
    z = posterior.sample(noise[:, None]).transpose(0, 1)
    return prior.rate(posterior, z, noise)


@every_prior
def test_name_and_class_agree(name):
    cls = PRIORS[name]
    assert cls.__name__.lower() == name
    assert getattr(priors, cls.__name__) is cls
    assert cls.__name__ in priors.__all__


@every_prior
def test_settings_have_constraints(name):
    prior = PRIORS[name]()
    assert set(prior._parameter_constraints) == set(prior.get_params())


@every_prior
def test_copies_learn_the_same(name, make_latents, clusters):
    latents = make_latents(clusters)
    prior = PRIORS[name]().learn(latents)
    learned = {key: each for key, each in vars(prior).items() if key[-1] == "_"}
    for again in (clone(prior), eval(repr(prior), vars(priors).copy())):
        assert not any(key[-1] == "_" for key in vars(again))
        again.learn(latents)
        for key, each in learned.items():
            assert_array_equal(getattr(again, key), each)


@every_prior
def test_learned_is_numbers_and_arrays_alone(name, learned):
    prior = learned(name)
    for key, each in vars(prior).items():
        assert key[-1] != "_" or isinstance(each, (int, float, np.ndarray)), key
    z = torch.tensor([[0.5, -1.0], [3.0, 0.0]], dtype=torch.float64)
    for again in (pickle.loads(pickle.dumps(prior)), copy.deepcopy(prior)):
        assert torch.equal(again.log_prob(z), prior.log_prob(z))


@every_prior
def test_learning_returns_the_prior_and_can_be_repeated(
    name, make_latents, clusters, standard
):
    prior = PRIORS[name]()
    assert prior.learn(make_latents(standard)) is prior
    prior.learn(make_latents(clusters))
    fresh = PRIORS[name]().learn(make_latents(clusters))
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prior.log_prob(z), fresh.log_prob(z))


@every_prior
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_density_for_each_vector(name, learned, dtype):
    prior = learned(name)
    z = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = prior.log_prob(z)
    assert found.shape == (4, 3, 5)
    assert found.dtype == dtype
    torch.testing.assert_close(found[2, 1], prior.log_prob(z[2, 1]))


@every_prior
def test_density_integrates_to_one(name, learned):
    axis = torch.arange(-8.0, 8.0, 0.02, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    total = learned(name).log_prob(z).exp().sum() * 0.02**2
    assert float(total) == pytest.approx(1.0, abs=1e-6)


@every_prior
def test_samples_have_the_density(name, learned):
    prior = learned(name)
    z = prior.sample(4000, np.random.RandomState(0))
    assert z.shape == (4000, 2)
    assert z.dtype == np.float64
    # The distribution of the first latent, from the density on a grid.
    axis = torch.arange(-8.0, 8.0, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = prior.log_prob(grid).exp().reshape(len(axis), -1)
    for latent in (0, 1):
        cdf = density.sum(dim=1 - latent).cumsum(dim=0).numpy() * 0.05**2

        def below(values, cdf=cdf):
            return np.interp(values, axis.numpy() + 0.025, cdf)

        assert kstest(z[:, latent], below).pvalue > 0.001


@every_prior
def test_same_seed_gives_the_same_samples(name, learned):
    prior = learned(name)
    one, other = (prior.sample(9, np.random.RandomState(3)) for _ in range(2))
    assert_array_equal(one, other)
    assert not np.array_equal(one, prior.sample(9, np.random.RandomState(4)))


@every_prior
@pytest.mark.parametrize("kind", [Posterior, FullPosterior])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rate_is_one_number_for_each_row(name, learned, kind, dtype):
    prior, posterior = learned(name), posterior_of(kind, dtype)
    rate = rate_of(prior, posterior, dtype)
    assert rate.shape == (N_REPLICAS, N_ROWS)
    assert rate.dtype == dtype
    assert (rate >= 0.0).all()
    for r in range(N_REPLICAS):
        one = kind(*(part[r : r + 1, 2:3] for part in posterior))
        torch.testing.assert_close(rate_of(prior, one, dtype)[0, 0], rate[r, 2])


@every_prior
@pytest.mark.parametrize("kind", [Posterior, FullPosterior])
def test_rate_is_near_monte_carlo(name, learned, kind):
    prior, posterior = learned(name), posterior_of(kind)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(20_000, 1, 2, generator=generator, dtype=torch.float64)
    z = posterior.sample(noise[:, None]).transpose(0, 1)
    nats = posterior.log_prob(noise) - prior.log_prob(z)
    expected = nats.mean(dim=1)
    # These posteriors are wider than the clusters, which is hard for few nodes.
    assert float((rate_of(prior, posterior) - expected).abs().max()) < 0.4
    many = rate_of(prior, posterior, n_nodes=8192)
    assert float((many - expected).abs().max()) < 0.05


@every_prior
def test_estimator_takes_name_and_instance(name):
    X = np.random.RandomState(0).standard_normal((60, 3))
    settings = {"hidden_layer_sizes": (3,), "max_iter": 2, "tol": 1e3}
    by_name = BalancedVAE(1, prior=name, random_state=0, **settings).fit(X)
    prior = PRIORS[name]()
    other = BalancedVAE(1, prior=prior, random_state=0, **settings).fit(X)
    assert type(by_name.prior_) is type(prior)
    assert other.prior_ is not prior
    assert not any(key[-1] == "_" for key in vars(prior))
    assert_array_equal(by_name.score_samples(X), other.score_samples(X))
