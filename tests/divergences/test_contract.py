"""What every divergence promises; a new one is tested by being in DIVERGENCES."""

import pickle

import pytest
import torch
from sklearn.base import clone

from skvae import divergences
from skvae.divergences import DIVERGENCES, Draws, FullPosterior, Posterior

N_REPLICAS, N_ROWS, N_COMPONENTS, N_ROWS_OF_TABLE = 3, 8, 2, 20

every_divergence = pytest.mark.parametrize("name", DIVERGENCES)


def posterior_of(dtype=torch.float64):
    """Posteriors that differ by replica, row and latent."""
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(
        (2, N_REPLICAS, N_ROWS, N_COMPONENTS), generator=generator, dtype=torch.float64
    )
    return Posterior(mean.to(dtype), (log_variance - 1.0).to(dtype))


def full_posterior_of(dtype=torch.float64):
    """The same with latents that are correlated."""
    generator = torch.Generator().manual_seed(3)
    below = torch.randn((N_REPLICAS, N_ROWS, 1), generator=generator).to(dtype)
    return FullPosterior(*posterior_of(dtype), below)


def noise_of(divergence, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    shape = (2 * divergence.n_draws, N_ROWS, N_COMPONENTS)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def weight_of(dtype=torch.float64):
    weight = torch.arange(1, N_ROWS + 1, dtype=dtype)
    return weight / weight.sum()


def draws_of(divergence, posterior, weight, noise, n_rows=N_ROWS_OF_TABLE):
    """Draws as `Module.terms` hands them out."""
    z = posterior.sample(noise[:, None]).transpose(0, 1)
    log_likelihood = None
    if divergence.needs_log_likelihood:
        log_likelihood = -(z - 1.0).square().sum(dim=-1) - z[..., 0] * z[..., 1]
    kl = posterior.kl()
    return Draws(posterior, z, noise, kl, weight, n_rows, log_likelihood)


def evaluate(divergence, posterior, weight, noise=None, n_rows=N_ROWS_OF_TABLE):
    if noise is None:
        noise = noise_of(divergence, weight.dtype)
    return divergence(draws_of(divergence, posterior, weight, noise, n_rows))


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
    expected = evaluate(divergence, posterior_of(), weight_of())
    for again in (
        clone(divergence),
        pickle.loads(pickle.dumps(divergence)),
        eval(repr(divergence), vars(divergences).copy()),
    ):
        assert type(again) is type(divergence)
        assert again.get_params() == divergence.get_params()
        value = evaluate(again, posterior_of(), weight_of())
        assert torch.equal(value, expected)


@every_divergence
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_number_for_each_replica(name, dtype):
    value = evaluate(DIVERGENCES[name](), posterior_of(dtype), weight_of(dtype))
    assert value.shape == (N_REPLICAS,)
    assert value.dtype == dtype
    assert torch.isfinite(value).all()
    assert len(value.unique()) == N_REPLICAS


@every_divergence
def test_changes_none_of_its_inputs(name):
    posterior, weight = posterior_of(), weight_of()
    evaluate(DIVERGENCES[name](), posterior, weight)
    assert all(map(torch.equal, posterior, posterior_of()))
    assert torch.equal(weight, weight_of())


@every_divergence
def test_order_of_rows_does_not_matter(name):
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(N_ROWS, generator=generator)
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    noise = noise_of(divergence)
    value = evaluate(divergence, posterior, weight_of(), noise)
    permuted = Posterior(*(part[:, order] for part in posterior))
    other = evaluate(divergence, permuted, weight_of()[order], noise[:, order])
    torch.testing.assert_close(other, value, rtol=1e-12, atol=0.0)


@every_divergence
def test_order_of_latents_does_not_matter(name):
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    noise = noise_of(divergence)
    value = evaluate(divergence, posterior, weight_of(), noise)
    flipped = Posterior(*(part.flip(-1) for part in posterior))
    other = evaluate(divergence, flipped, weight_of(), noise.flip(-1))
    torch.testing.assert_close(other, value, rtol=1e-12, atol=0.0)


@every_divergence
def test_replicas_together_equal_each_alone(name):
    divergence, posterior = DIVERGENCES[name](), full_posterior_of()
    together = evaluate(divergence, posterior, weight_of())
    for r in range(N_REPLICAS):
        one = FullPosterior(*(part[r : r + 1] for part in posterior))
        alone = evaluate(divergence, one, weight_of())
        torch.testing.assert_close(alone, together[r : r + 1], rtol=1e-12, atol=0.0)


@every_divergence
def test_gradient_reaches_mean_and_log_variance(name):
    posterior = Posterior(*(part.requires_grad_() for part in posterior_of()))
    evaluate(DIVERGENCES[name](), posterior, weight_of()).sum().backward()
    for part in posterior:
        assert torch.isfinite(part.grad).all()
        assert (part.grad != 0.0).all()


@every_divergence
def test_row_of_weight_zero_has_no_gradient(name):
    posterior = Posterior(*(part.requires_grad_() for part in posterior_of()))
    weight = weight_of()
    weight[3] = 0.0
    evaluate(DIVERGENCES[name](), posterior, weight).sum().backward()
    for part in posterior:
        assert (part.grad[:, 3] == 0.0).all()
        assert (part.grad[:, 4] != 0.0).all()


@every_divergence
@pytest.mark.parametrize("posterior", [posterior_of(), full_posterior_of()])
def test_nothing_waits_for_a_number(name, posterior):
    divergence = DIVERGENCES[name]()
    posterior = type(posterior)(*(part.to("meta") for part in posterior))
    noise = noise_of(divergence).to("meta")
    value = evaluate(divergence, posterior, weight_of().to("meta"), noise)
    assert value.shape == (N_REPLICAS,)


@every_divergence
def test_full_posterior_without_correlations_is_the_diagonal_one(name):
    divergence, diagonal = DIVERGENCES[name](), posterior_of()
    full = FullPosterior(*diagonal, torch.zeros_like(diagonal.mean[..., :1]))
    torch.testing.assert_close(
        evaluate(divergence, full, weight_of()),
        evaluate(divergence, diagonal, weight_of()),
        rtol=1e-12,
        atol=0.0,
    )


@every_divergence
def test_correlations_have_a_gradient(name):
    posterior = FullPosterior(*(part.requires_grad_() for part in full_posterior_of()))
    evaluate(DIVERGENCES[name](), posterior, weight_of()).sum().backward()
    for part in posterior:
        assert torch.isfinite(part.grad).all()
        assert (part.grad != 0.0).all()


# Pairs of a row with itself are left out of the discrepancy, those of copies are not:
# copies have draws of their own in training, unless they are merged as they are there.
@pytest.mark.parametrize("name", [name for name in DIVERGENCES if name != "mmd"])
def test_row_of_weight_two_is_the_row_twice_in_the_whole_table(name):
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    noise = noise_of(divergence)
    weight = torch.ones(N_ROWS, dtype=torch.float64)
    weight[2] = 2.0
    weight /= weight.sum()
    twice = torch.tensor([0, 1, 2, 2, 3, 4, 5, 6, 7])
    copies = Posterior(*(part[:, twice] for part in posterior))
    equal = torch.full((9,), 1.0 / 9.0, dtype=torch.float64)
    torch.testing.assert_close(
        evaluate(divergence, copies, equal, noise[:, twice], 9),
        evaluate(divergence, posterior, weight, noise, N_ROWS),
        rtol=1e-12,
        atol=0.0,
    )


@every_divergence
def test_noise_may_be_the_same_for_all_rows(name):
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    noise = noise_of(divergence)[:, :1]
    torch.testing.assert_close(
        evaluate(divergence, posterior, weight_of(), noise),
        evaluate(divergence, posterior, weight_of(), noise.expand(-1, N_ROWS, -1)),
        rtol=1e-12,
        atol=0.0,
    )


@every_divergence
def test_groups_of_draws_are_averaged(name):
    divergence, posterior = DIVERGENCES[name](), posterior_of()
    noise = noise_of(divergence)
    together = evaluate(divergence, posterior, weight_of(), noise)
    groups = [
        evaluate(divergence, posterior, weight_of(), part)
        for part in noise.split(divergence.n_draws)
    ]
    assert len(groups) == 2
    torch.testing.assert_close(sum(groups) / 2.0, together, rtol=1e-12, atol=0.0)
