"""What training promises for every divergence."""

import numpy as np
import pytest
import torch

from skvae.balance import LearnedVariance
from skvae.divergences import DIVERGENCES, KL

BETAS = [0.1, 0.5, 1.0]

every_divergence = pytest.mark.parametrize("name", DIVERGENCES)


@pytest.fixture
def make(make_problem, make_plan):
    """Build a problem with a divergence, and a plan that suits it."""

    def make(divergence, **changes):
        problem = make_problem()
        problem.module.divergence = divergence
        plan = make_plan(
            n_draws=2 * divergence.n_draws,
            is_paired=divergence.n_draws == 1,
            **changes,
        )
        return problem, plan

    return make


@every_divergence
def test_replicas_together_equal_each_alone(name, make):
    problem, plan = make(DIVERGENCES[name](), n_epochs=3, n_planned_epochs=3)
    policy = LearnedVariance()
    together = problem.train(policy, BETAS, plan, validate=True)
    for r, beta in enumerate(BETAS):
        alone = problem.train(policy, [beta], plan, validate=True)
        torch.testing.assert_close(
            alone.values[0], together.values[r], rtol=1e-8, atol=1e-8
        )
        for key, entries in alone.history.items():
            np.testing.assert_allclose(
                entries[:, 0], together.history[key][:, r], rtol=1e-8, atol=1e-8
            )
    assert len(together.values[:, 0].unique()) == len(BETAS)


@every_divergence
def test_no_step_waits_for_a_number(name, make, monkeypatch):
    problem, plan = make(DIVERGENCES[name]())
    policy = LearnedVariance()
    state = problem.start(policy, BETAS)

    def refuse(self, *args, **kwargs):
        pytest.fail("a number was read from the device")

    names = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__")
    with monkeypatch.context() as patch:
        for method in names:
            patch.setattr(torch.Tensor, method, refuse)
        outcome = problem.train(policy, state, plan)
    assert torch.isfinite(outcome.values).all()


@every_divergence
def test_objective_falls(name, make):
    problem, plan = make(
        DIVERGENCES[name](), n_epochs=10, n_planned_epochs=10, learning_rate=0.04
    )
    history = problem.train(LearnedVariance(), [0.5, 1.0], plan).history
    first, last = history["objective"][:3], history["objective"][-3:]
    assert (last.mean(axis=0) < first.mean(axis=0)).all()


@pytest.mark.parametrize("batch_size", [8, 40])
def test_divergence_is_told_of_the_table(make, batch_size):
    seen = []

    class Watching(KL):
        def __call__(self, draws):
            seen.append(draws)
            return super().__call__(draws)

    problem, plan = make(Watching(), batch_size=batch_size)
    problem.train(LearnedVariance(), [1.0], plan)
    assert len(seen) == 50
    for draws in seen:
        assert draws.n_rows_of_table == 40
        assert draws.weight.shape == (batch_size,)
        assert draws.z.shape == (1, 2, batch_size, 2)
        assert draws.log_likelihood is None
    if batch_size == 40:
        torch.testing.assert_close(seen[0].weight.sum(), torch.ones(()).double())
