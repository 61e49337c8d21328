import numpy as np
import pytest
import torch

from skvae.balance import Constant
from skvae.data._rows import Rows, chunks
from skvae.model import _evaluate
from skvae.model._evaluate import evaluate, quadrature, with_noise

# The others learn from a table first, which these models do not have.
every_likelihood = pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])


@pytest.mark.parametrize("n_components", [1, 2, 7, 40])
@pytest.mark.parametrize("n_nodes", [2, 32])
def test_quadrature_is_exact_to_degree_three(n_components, n_nodes):
    nodes = quadrature(n_components, n_nodes)
    assert nodes.shape == (max(n_nodes, 2 * n_components), n_components)
    half = len(nodes) // 2
    np.testing.assert_array_equal(nodes[:half], -nodes[half:])
    np.testing.assert_allclose(
        nodes.T @ nodes / len(nodes), np.eye(n_components), atol=1e-13
    )
    third = np.einsum("ni,nj,nk->ijk", nodes, nodes, nodes)
    np.testing.assert_allclose(third, 0.0, atol=1e-12)


def test_quadrature_is_always_the_same():
    before = np.random.get_state()
    first = quadrature(3)
    np.testing.assert_equal(np.random.get_state(), before)
    np.random.rand(1)
    np.testing.assert_array_equal(quadrature(3), first)
    np.random.set_state(before)


@pytest.mark.parametrize(("n_rows", "cells"), [(10, 1), (10, 1_500_000), (3, 10**9)])
def test_chunks_cover_all_rows_once(n_rows, cells):
    parts = chunks(n_rows, cells)
    rows = [row for part in parts for row in range(n_rows)[part]]
    assert rows == list(range(n_rows))
    size = max(len(range(n_rows)[part]) for part in parts)
    assert size == 1 or size * cells <= 1_000_000


def noise_of(n_components, n_rows=1, n_draws=None):
    if n_rows == 1:
        return torch.tensor(quadrature(n_components))[:, None]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(
        (n_draws, n_rows, n_components), generator=generator, dtype=torch.float64
    )


@every_likelihood
@pytest.mark.parametrize("is_same_noise", [True, False])
def test_chunked_equals_unchunked(likelihood, is_same_noise, make_problem, monkeypatch):
    problem = make_problem(likelihood)
    weights = problem.start(Constant(), [0.5, 1.0, 2.0]).weights
    n_rows = len(problem.rows.x)
    noise = noise_of(2, 1 if is_same_noise else n_rows, 4)
    whole = evaluate(problem.module, weights, problem.rows, noise)

    def few(n_rows, cells_per_row):
        return [slice(start, start + 7) for start in range(0, n_rows, 7)]

    monkeypatch.setattr(_evaluate, "chunks", few)
    chunked = evaluate(problem.module, weights, problem.rows, noise)
    for name, one, other in zip(whole._fields, whole, chunked, strict=True):
        if one is None:
            assert other is None
        else:
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14, msg=name)


@every_likelihood
def test_evaluation_is_the_weighted_mean(likelihood, make_problem):
    problem = make_problem(likelihood)
    module, (x, weight) = problem.module, problem.rows[:2]
    weights = problem.start(Constant(), [0.5, 1.0]).weights
    noise = noise_of(2, len(x), 4)
    found = evaluate(module, weights, problem.rows, noise)
    variance = torch.tensor([[0.5], [2.0]], dtype=torch.float64)

    posterior = module.encode(weights, x)
    rate = (posterior.kl().sum(dim=2) * weight).sum(dim=1)
    torch.testing.assert_close(found.rate, rate)
    distortion = 0.0
    for one in noise:
        parameters = module.decode(weights, posterior.sample(one))
        log_prob = module.likelihood.log_prob(x, parameters, variance)
        distortion = distortion - (log_prob.sum(dim=2) * weight).sum(dim=1) / len(noise)
    torch.testing.assert_close(found.distortion(module, variance), distortion)
    mean = posterior.mean
    center = (weight[:, None] * mean).sum(dim=1, keepdim=True)
    activity = (weight[:, None] * (mean - center).square()).sum(dim=1)
    torch.testing.assert_close(found.activity, activity)
    assert (found.error is None) == (module.dispersion is None)
    assert not found.rate.requires_grad


def test_quadrature_gives_the_distortion_of_a_linear_model(make_problem):
    problem = make_problem(hidden=())
    module, (x, weight) = problem.module, problem.rows[:2]
    weights = problem.start(Constant(), [1.0]).weights
    weights["encoder.log_variance"].copy_(torch.tensor([[-1.0, 0.3]]))
    found = evaluate(module, weights, problem.rows, noise_of(2))
    # E (x - W z - b)^2 = (x - W m - b)^2 + sum_j W_j^2 s_j^2.
    mean, log_variance = module.encode(weights, x)
    residual = x - module.decode(weights, mean)["mean"]
    kernel = weights["decoder.0.weight"]
    noise = (kernel.square() * log_variance[:, 0].exp()[..., None]).sum(dim=1)
    expected = weight @ residual.square() + noise
    torch.testing.assert_close(found.error, expected, rtol=1e-12, atol=0.0)


def test_rows_may_be_many_and_weigh_nothing(make_problem):
    problem = make_problem()
    weights = problem.start(Constant(), [1.0]).weights
    x, weight = problem.rows[:2]
    padded = Rows(torch.cat([x, 100.0 * x]), torch.cat([weight, 0.0 * weight]))
    one, other = (
        evaluate(problem.module, weights, rows, noise_of(2))
        for rows in (problem.rows, padded)
    )
    torch.testing.assert_close(one.error, other.error)
    torch.testing.assert_close(one.rate, other.rate)


@every_likelihood
def test_few_rows_have_the_nodes_of_the_quadrature(likelihood, make_problem):
    problem = make_problem(likelihood)
    rows, noise = with_noise(problem.module, problem.rows, 6)
    assert rows is problem.rows
    np.testing.assert_array_equal(noise[:, 0], quadrature(2, 6))


@every_likelihood
def test_many_rows_have_a_pair_of_draws_each(likelihood, make_problem, monkeypatch):
    problem = make_problem(likelihood)
    weights = problem.start(Constant(), [1.0]).weights
    n_rows = len(problem.rows.x)
    most = 2 * n_rows * problem.module.cells_per_row
    monkeypatch.setattr(_evaluate, "_MOST_CELLS", most + 1)
    rows, noise = with_noise(problem.module, problem.rows)
    assert noise.shape == (2, n_rows, 2)
    assert torch.equal(rows.x, problem.rows.x)
    assert torch.equal(noise, with_noise(problem.module, problem.rows)[1])
    assert torch.equal(noise[0], -noise[1])
    rate, error, *_ = evaluate(problem.module, weights, rows, noise)
    exact = evaluate(problem.module, weights, problem.rows, noise_of(2))
    torch.testing.assert_close(rate, exact.rate, rtol=1e-12, atol=1e-13)
    if error is not None:
        torch.testing.assert_close(error, exact.error, rtol=0.2, atol=0.0)


def test_of_too_many_rows_an_even_part_is_evaluated(make_problem, monkeypatch):
    problem = make_problem("gaussian")
    most = len(problem.rows.x) * problem.module.cells_per_row // 2
    monkeypatch.setattr(_evaluate, "_MOST_CELLS", most)
    rows, noise = with_noise(problem.module, problem.rows)
    assert torch.equal(rows.x, problem.rows.x[::5])
    assert noise.shape == (2, len(rows.x), 2)
    assert float(rows.weight.sum()) == pytest.approx(1.0)
