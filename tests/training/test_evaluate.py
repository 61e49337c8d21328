import numpy as np
import pytest
import torch

from skvae.balance import Constant, LearnedVariance
from skvae.likelihoods import LIKELIHOODS, Gaussian
from skvae.training import (
    Rows,
    _evaluate,
    calibrate,
    evaluate,
    quadrature,
    variance_in_force,
)

N_FEATURES = 5


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
    parts = _evaluate.chunks(n_rows, cells)
    rows = [row for part in parts for row in range(n_rows)[part]]
    assert rows == list(range(n_rows))
    size = max(len(range(n_rows)[part]) for part in parts)
    assert size == 1 or size * cells <= 4_000_000


def noise_of(n_components, n_rows=1, n_draws=None):
    if n_rows == 1:
        return torch.tensor(quadrature(n_components))[:, None]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(
        (n_draws, n_rows, n_components), generator=generator, dtype=torch.float64
    )


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
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


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_evaluation_is_the_weighted_mean(likelihood, make_problem):
    problem = make_problem(likelihood)
    module, (x, weight) = problem.module, problem.rows
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
    spread = (weight[:, None] * (mean - center).square()).sum(dim=1)
    torch.testing.assert_close(found.spread, spread)
    assert (found.error is None) == (not module.likelihood.has_variance)
    assert not found.rate.requires_grad


def test_quadrature_gives_the_distortion_of_a_linear_model(make_problem):
    problem = make_problem(hidden=())
    module, (x, weight) = problem.module, problem.rows
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
    x, weight = problem.rows
    padded = Rows(torch.cat([x, 100.0 * x]), torch.cat([weight, 0.0 * weight]))
    one, other = (
        evaluate(problem.module, weights, rows, noise_of(2))
        for rows in (problem.rows, padded)
    )
    torch.testing.assert_close(one.error, other.error)
    torch.testing.assert_close(one.rate, other.rate)


ERROR = torch.tensor(
    [[0.5, 1.0, 2.0, 0.1, 0.4], [3.0, 0.2, 0.3, 0.4, 0.1]], dtype=torch.float64
)
HELD_OUT = ERROR * torch.tensor([1.1, 1.5, 0.9, 2.0, 1.0]).double()
N_ROWS = 40
FLOOR = torch.full((N_FEATURES,), 1e-6, dtype=torch.float64)

scopes = pytest.mark.parametrize("scope", ["shared", "feature"])


def pooled(error, scope):
    return error if scope == "feature" else error.mean(dim=1, keepdim=True)


@scopes
def test_calibrated_without_held_out_rows_is_maximum_likelihood(scope):
    variance = calibrate(scope, FLOOR, ERROR, None, N_ROWS, 0)
    assert torch.equal(variance, pooled(ERROR, scope))
    log_variance = variance.log().requires_grad_()
    Gaussian().distortion_from_error(ERROR, log_variance.exp()).sum().backward()
    assert log_variance.grad.abs().max() < 1e-14


@pytest.mark.parametrize("n_held_out", [1, 9, 10**12])
def test_calibrated_level_comes_from_held_out_rows(n_held_out):
    variance = calibrate("shared", FLOOR, ERROR, HELD_OUT, N_ROWS, n_held_out)
    shape = pooled(ERROR, "shared")
    best = pooled(HELD_OUT, "shared") / shape
    expected = (n_held_out * best + 1.0) / (n_held_out + 1.0)
    torch.testing.assert_close(variance / shape, expected, rtol=1e-13, atol=0.0)


def test_calibrated_level_explains_many_held_out_rows_best():
    shape = calibrate("shared", FLOOR, ERROR, HELD_OUT, N_ROWS, 10**12)
    log_level = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    variance = shape * log_level.exp()
    Gaussian().distortion_from_error(HELD_OUT, variance).sum().backward()
    assert log_level.grad.abs().max() < 1e-10


def test_calibrated_shape_comes_from_training_rows():
    """One level for all features, but none below its error on all rows."""
    few = 4
    variance = calibrate("feature", FLOOR, ERROR, HELD_OUT, N_ROWS, few)
    # The held-out error is 0.9 to 2 times the training error; the median is 1.1.
    level = (few * 1.1 + 1.0) / (few + 1.0)
    seen = (N_ROWS * ERROR + few * HELD_OUT) / (N_ROWS + few)
    assert (seen > level * ERROR).sum() == 2
    torch.testing.assert_close(variance, torch.maximum(level * ERROR, seen))


def test_calibration_survives_a_column_known_from_a_held_out_row_alone():
    """It was constant in training: neither known exactly, nor a sign of overfitting."""
    error, held_out = ERROR.clone(), HELD_OUT.clone()
    error[:, 0], held_out[:, 0] = 0.0, 10.0
    found = calibrate("feature", FLOOR, error, held_out, N_ROWS, 4)
    usual = calibrate("feature", FLOOR, ERROR, HELD_OUT, N_ROWS, 4)
    torch.testing.assert_close(
        found[:, 0], torch.full((2,), 40.0 / 44.0).double(), rtol=1e-5, atol=0.0
    )
    assert (found[:, 1:] < 1.5 * usual[:, 1:]).all()


@scopes
@pytest.mark.parametrize("n_held_out", [1, 100])
def test_calibration_keeps_a_variance_that_holds_on_new_rows(scope, n_held_out):
    variance = calibrate(scope, FLOOR, ERROR, ERROR, N_ROWS, n_held_out)
    torch.testing.assert_close(variance, pooled(ERROR, scope), rtol=1e-14, atol=0.0)


@scopes
@pytest.mark.parametrize("with_held_out", [False, True])
def test_calibrated_variance_stays_above_the_floor(scope, with_held_out):
    floor = torch.linspace(0.2, 0.6, N_FEATURES, dtype=torch.float64)
    held_out = 0.0 * ERROR if with_held_out else None
    variance = calibrate(scope, floor, 0.0 * ERROR, held_out, N_ROWS, 4)
    expected = floor.mean()[None] if scope == "shared" else floor
    torch.testing.assert_close(variance, expected.expand(2, -1))


@scopes
def test_calibration_is_equivariant_to_units(scope):
    unit = torch.tensor([4.0, 0.25, 1.0, 16.0, 1.0], dtype=torch.float64)
    if scope == "shared":
        unit = torch.full_like(unit, 4.0)
    variance = calibrate(scope, FLOOR, ERROR, HELD_OUT, N_ROWS, 4)
    scaled = calibrate(scope, FLOOR * unit, ERROR * unit, HELD_OUT * unit, N_ROWS, 4)
    torch.testing.assert_close(scaled, variance * pooled(unit[None], scope))


@scopes
def test_replicas_are_calibrated_apart(scope):
    together = calibrate(scope, FLOOR, ERROR, HELD_OUT, N_ROWS, 4)
    for r in range(2):
        alone = calibrate(
            scope, FLOOR, ERROR[r : r + 1], HELD_OUT[r : r + 1], N_ROWS, 4
        )
        assert torch.equal(alone, together[r : r + 1])


def test_variance_that_the_user_fixed_stays_in_force(make_problem):
    problem = make_problem()
    state = problem.start(Constant(), [1.0, 2.0])
    problem.module.likelihood.variance = 0.7
    fixed = variance_in_force(
        problem.module, Constant(), state, ERROR, HELD_OUT, N_ROWS, 4
    )
    assert torch.equal(fixed, state.balance.variance)


def test_free_variance_in_force_is_calibrated(make_problem):
    problem = make_problem()
    for policy in (Constant(), LearnedVariance("feature")):
        state = problem.start(policy, [1.0, 2.0])
        found = variance_in_force(
            problem.module, policy, state, ERROR, HELD_OUT, N_ROWS, 4
        )
        expected = calibrate(policy.scope, state.floor, ERROR, HELD_OUT, N_ROWS, 4)
        assert torch.equal(found, expected)
