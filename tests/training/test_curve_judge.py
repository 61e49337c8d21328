"""Training of a model with gates: what training promises holds for it too."""

import pickle

import pytest
import torch

from skvae._module import Module
from skvae.balance import MultiRate
from skvae.balance._base import tensors_of
from skvae.divergences import KL
from skvae.networks import MLP
from skvae.training import Batch, Calibration, Task, etas, evaluate, views
from skvae.training._curve_judge import CurveJudge
from skvae.training._plan import steps_of
from skvae.training._stepper import Stepper

POLICY = MultiRate()
BETAS = [0.1, 1.0, 4.0]

every_likelihood = pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])


def start(problem, n_replicas=3):
    """State whose replicas differ: each sees other betas in the same rows."""
    state = problem.start(POLICY, BETAS[:n_replicas])
    phase = 0.3 * torch.arange(n_replicas, dtype=problem.dtype)
    state.balance = state.balance._replace(phase=phase)
    return state


@every_likelihood
@pytest.mark.parametrize("hidden", [(), (6,)])
@pytest.mark.parametrize("judge", [False, True])
def test_replicas_together_equal_each_alone(
    likelihood, hidden, judge, make_gated, make_plan
):
    problem, plan = make_gated(likelihood, hidden), make_plan(n_draws=2)
    state = start(problem)
    together = problem.train(POLICY, state, plan, judge=judge)
    assert len(together.values[:, 0].unique()) == len(BETAS)
    for r in range(len(BETAS)):
        alone = problem.train(POLICY, state.take(r), plan, judge=judge)
        torch.testing.assert_close(
            alone.values[0], together.values[r], rtol=1e-9, atol=1e-9
        )
        for name, entries in alone.history.items():
            assert entries[:, 0] == pytest.approx(together.history[name][:, r]), name


@every_likelihood
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_stopped_and_pickled_it_goes_on_the_same(
    likelihood, dtype, make_gated, make_plan
):
    problem = make_gated(likelihood, dtype=dtype)
    whole = problem.train(
        POLICY, start(problem), make_plan(n_epochs=6, n_planned_epochs=6)
    )
    half = make_plan(n_epochs=3, n_planned_epochs=6)
    first = problem.train(POLICY, start(problem), half)
    policy, arrays = pickle.loads(pickle.dumps((POLICY, first.state.to_numpy())))
    second = problem.train(policy, arrays.to_torch(torch.device("cpu"), dtype), half)
    assert torch.equal(second.values, whole.values)
    for one, other in zip(
        tensors_of(second.state.balance), tensors_of(whole.state.balance), strict=True
    ):
        assert torch.equal(one, other)


@every_likelihood
def test_no_step_waits_for_a_number(likelihood, make_gated, make_plan, monkeypatch):
    problem = make_gated(likelihood)
    state, plan = start(problem), make_plan(n_draws=2)

    def refuse(self, *args, **kwargs):
        pytest.fail("a number was read from the device")

    with monkeypatch.context() as patch:
        for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
            patch.setattr(torch.Tensor, name, refuse)
        outcome = problem.train(POLICY, state, plan)
    assert torch.isfinite(outcome.values).all()


@every_likelihood
@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_gradient_is_that_of_the_objective(
    likelihood, posterior, make_gated, make_plan
):
    """Against differences of the objective, row by row at its own beta."""
    problem = make_gated(likelihood)
    module = problem.module = Module(
        MLP((6,), posterior=posterior).gated(POLICY.slope),
        problem.module.likelihood,
        KL(),
        problem.module.n_features,
        problem.module.n_components,
    )
    state = start(problem, 1)
    stepper = Stepper(module, POLICY, state, problem.rows, make_plan(n_draws=2))
    generator = torch.Generator().manual_seed(0)
    values = state.values
    values += 0.1 * torch.randn(values.shape, generator=generator, dtype=values.dtype)
    drawn = steps_of(40, stepper.plan, 2, generator, problem.rows.x)
    index, noise = next(iter(drawn))

    def objective(values):
        """By the definition: each row by the plain model at its beta."""
        eta = POLICY.eta(state.balance, len(index))[0]
        total = 0.0
        for i, (row, place) in enumerate(zip(index, eta, strict=True)):
            at = module.at(views(values, state.shapes), place[None])
            x = problem.rows.x[row][None]
            weight = stepper.weight[row][None]
            sample = module.plain.sample(at, x, weight, noise[:, i : i + 1])
            variance = torch.ones((1, 1), dtype=values.dtype)
            log_likelihood = module.plain.log_likelihood(sample, variance).mean()
            rate = sample.posterior.kl().sum()
            total = total + weight[0] * (POLICY.beta_of(place) * rate - log_likelihood)
        return total

    stepper.flat.values.copy_(values)
    step = stepper.differentiate(
        state.balance,
        stepper.flat.weights,
        stepper.flat.gradients,
        _batch(stepper, index, noise),
    )
    # The Gaussian's constant counts once, whatever the weights of the batch sum to.
    constant = 0.0
    if likelihood == "gaussian":
        share = 1.0 - stepper.weight[index].sum()
        constant = 0.5 * module.n_features * share * torch.tensor(2 * torch.pi).log()
    torch.testing.assert_close(
        step.objective[0], objective(values) + constant, rtol=1e-6, atol=1e-6
    )
    for seed in range(6):
        way = torch.randn(
            values.shape, generator=generator.manual_seed(seed), dtype=values.dtype
        )
        up, down = objective(values + 1e-6 * way), objective(values - 1e-6 * way)
        found = (stepper.flat.gradient * way).sum()
        torch.testing.assert_close(found, (up - down) / 2e-6, rtol=1e-4, atol=1e-5)


def _batch(stepper, index, noise):
    return Batch(stepper.rows.x[index], stepper.weight[index], noise)


@every_likelihood
def test_judge_takes_the_mean_over_betas(likelihood, make_gated, make_plan):
    problem, plan = make_gated(likelihood), make_plan()
    state = start(problem)
    has_variance = problem.module.likelihood.has_variance
    calibration = None
    if has_variance:
        calibration = Calibration.of(
            "auto", state.floor[0], state.prior, problem.rows, problem.held_out
        )
    generator = torch.Generator().manual_seed(0)
    task = Task(state, problem.rows, problem.held_out, calibration)
    judge = CurveJudge(problem.module, POLICY, task, plan, generator)
    stepper = Stepper(problem.module, POLICY, state, problem.rows, plan)
    judge.start(0, stepper.flat, stepper.balance, problem.rows)
    elbos = []
    for eta in etas(CurveJudge.n_models):
        at = problem.module.at(state.weights, eta[None])
        plain = problem.module.plain
        judged = evaluate(plain, at, problem.held_out, judge.noise)
        variance = state.balance.variance
        if calibration is not None:
            seen = evaluate(plain, at, problem.rows, judge.seen_noise)
            variance = calibration(seen.error, judged.error)
        elbos.append(-(judged.rate + judged.distortion(plain, variance)))
    torch.testing.assert_close(judge.elbo, torch.stack(elbos).mean(dim=0))
    assert torch.equal(judge.best, stepper.flat.values)


def test_weight_decay_leaves_the_gates_alone(make_gated, make_plan):
    problem = make_gated()
    plan = make_plan(weight_decay=0.5, learning_rate=0.5)
    state = start(problem, 1)
    stepper = Stepper(problem.module, POLICY, state, problem.rows, plan)
    stepper.flat.step(0.5, 0.5)
    before, after = state.weights, stepper.flat.weights
    for name, weight in after.items():
        factor = 1.0 if name.endswith("gate") else 0.75
        torch.testing.assert_close(weight, factor * before[name], msg=name)
