"""What every divergence promises; a new one is tested by being in DIVERGENCES."""

import pickle

import pytest
import torch
from sklearn.base import clone

from skvae import divergences
from skvae.divergences import DIVERGENCES, Posterior

N_REPLICAS, N_ROWS, N_COMPONENTS, N_DRAWS = 3, 8, 2, 2

every_divergence = pytest.mark.parametrize("name", DIVERGENCES)


def posterior_of(dtype=torch.float64):
    """Posteriors that differ by replica, row and latent."""
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(
        (2, N_REPLICAS, N_ROWS, N_COMPONENTS), generator=generator, dtype=torch.float64
    )
    return Posterior(mean.to(dtype), (log_variance - 1.0).to(dtype))


def noise_of(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    shape = (N_DRAWS, N_ROWS, N_COMPONENTS)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def weight_of(dtype=torch.float64):
    weight = torch.arange(1, N_ROWS + 1, dtype=dtype)
    return weight / weight.sum()


def evaluate(divergence, posterior, weight, noise):
    """Divergence as `Module.terms` asks for it: draws of a row as blocks of rows."""
    z = posterior.sample(noise[:, None]).transpose(0, 1).flatten(1, 2)
    return divergence(posterior, z, posterior.kl(), weight)


@every_divergence
def test_name_and_class_agree(name):
    cls = DIVERGENCES[name]
    assert cls.__name__.lower() == name.replace("_", "")
    assert getattr(divergences, cls.__name__) is cls
    assert cls.__name__ in divergences.__all__


@every_divergence
def test_settings_have_constraints(name):
    divergence = DIVERGENCES[name]()
    assert set(divergence._parameter_constraints) == set(divergence.get_params())


@every_divergence
def test_copies_are_the_same(name):
    divergence = DIVERGENCES[name]()
    expected = evaluate(divergence, posterior_of(), weight_of(), noise_of())
    for again in (
        clone(divergence),
        pickle.loads(pickle.dumps(divergence)),
        eval(repr(divergence), vars(divergences).copy()),
    ):
        assert type(again) is type(divergence)
        assert again.get_params() == divergence.get_params()
        value = evaluate(again, posterior_of(), weight_of(), noise_of())
        assert torch.equal(value, expected)


@every_divergence
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_number_for_each_replica(name, dtype):
    value = evaluate(
        DIVERGENCES[name](), posterior_of(dtype), weight_of(dtype), noise_of(dtype)
    )
    assert value.shape == (N_REPLICAS,)
    assert value.dtype == dtype
    assert torch.isfinite(value).all()
    assert len(value.unique()) == N_REPLICAS


@every_divergence
def test_changes_none_of_its_inputs(name):
    posterior, weight = posterior_of(), weight_of()
    evaluate(DIVERGENCES[name](), posterior, weight, noise_of())
    assert all(map(torch.equal, posterior, posterior_of()))
    assert torch.equal(weight, weight_of())


@every_divergence
def test_order_of_rows_does_not_matter(name):
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(N_ROWS, generator=generator)
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    value = evaluate(divergence, posterior, weight_of(), noise_of())
    permuted = Posterior(*(part[:, order] for part in posterior))
    other = evaluate(divergence, permuted, weight_of()[order], noise_of()[:, order])
    torch.testing.assert_close(other, value, rtol=1e-13, atol=0.0)


@every_divergence
def test_order_of_latents_does_not_matter(name):
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    value = evaluate(divergence, posterior, weight_of(), noise_of())
    flipped = Posterior(*(part.flip(-1) for part in posterior))
    other = evaluate(divergence, flipped, weight_of(), noise_of().flip(-1))
    torch.testing.assert_close(other, value, rtol=1e-13, atol=0.0)


@every_divergence
def test_replicas_together_equal_each_alone(name):
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    together = evaluate(divergence, posterior, weight_of(), noise_of())
    for r in range(N_REPLICAS):
        one = Posterior(*(part[r : r + 1] for part in posterior))
        alone = evaluate(divergence, one, weight_of(), noise_of())
        torch.testing.assert_close(alone, together[r : r + 1], rtol=1e-14, atol=0.0)


@every_divergence
def test_gradient_reaches_mean_and_log_variance(name):
    posterior = Posterior(*(part.requires_grad_() for part in posterior_of()))
    evaluate(DIVERGENCES[name](), posterior, weight_of(), noise_of()).sum().backward()
    for part in posterior:
        assert torch.isfinite(part.grad).all()
        assert (part.grad != 0.0).all()


@every_divergence
def test_row_of_weight_zero_has_no_gradient(name):
    posterior = Posterior(*(part.requires_grad_() for part in posterior_of()))
    weight = weight_of()
    weight[3] = 0.0
    evaluate(DIVERGENCES[name](), posterior, weight, noise_of()).sum().backward()
    for part in posterior:
        assert (part.grad[:, 3] == 0.0).all()
        assert (part.grad[:, 4] != 0.0).all()


@every_divergence
def test_nothing_waits_for_a_number(name):
    posterior = Posterior(*(part.to("meta") for part in posterior_of()))
    value = evaluate(
        DIVERGENCES[name](), posterior, weight_of().to("meta"), noise_of().to("meta")
    )
    assert value.shape == (N_REPLICAS,)
