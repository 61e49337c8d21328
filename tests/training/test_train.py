import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from skvae import learning_rates
from skvae.balance import (
    Constant,
    Cosine,
    Cyclical,
    LearnedVariance,
    Linear,
    RunningAverage,
    Sigmoid,
)
from skvae.balance._base import tensors_of
from skvae.data._rows import Rows
from skvae.learning_rates import LEARNING_RATES
from skvae.likelihoods import Gaussian
from skvae.model._evaluate import evaluate
from skvae.model._weights import views
from skvae.training import Interrupted
from skvae.training._optimizer import Adam
from skvae.training._plan import batches_of, noise_of

BETAS = [0.1, 1.0, 4.0]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_steps"),
    [(40, 8, 5), (40, 8, 20), (7, 3, 3), (7, 3, 5), (7, 7, 20), (3, 8, 4), (1, 1, 3)],
)
def test_each_epoch_visits_each_row_as_often(n_rows, batch_size, n_steps, make_plan):
    plan = make_plan(batch_size=batch_size, steps_per_epoch=n_steps)
    batches = batches_of(n_rows, plan, generator())
    assert [len(batch) for batch in batches] == [batch_size] * n_steps
    drawn = torch.cat(batches)
    n_visits = torch.bincount(drawn, minlength=n_rows)
    whole, left = divmod(n_steps * batch_size, n_rows)
    assert len(n_visits) == n_rows
    assert sorted(n_visits.tolist()) == [whole] * (n_rows - left) + [whole + 1] * left
    # One pass after another, each in an order of its own.
    passes = drawn[: whole * n_rows].view(whole, n_rows)
    assert torch.equal(
        passes.sort(dim=1).values, torch.arange(n_rows).expand(whole, -1)
    )


def test_no_row_is_favoured_where_passes_do_not_fill_an_epoch(make_plan):
    plan, random, n_epochs = (
        make_plan(batch_size=3, steps_per_epoch=5),
        generator(),
        2000,
    )
    visits = torch.zeros(7)
    for _ in range(n_epochs):
        visits += torch.bincount(torch.cat(batches_of(7, plan, random)), minlength=7)
    # A row has 2 visits an epoch, or 3 with probability 1/7.
    error = 5.0 * math.sqrt(1 / 7 * 6 / 7 / n_epochs)
    np.testing.assert_allclose(visits / n_epochs, 15 / 7, atol=error)


def test_batches_follow_the_generator(make_plan):
    plan = make_plan()
    first, again, other = (
        torch.cat(batches_of(40, plan, generator(seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("n_draws", [2, 8])
def test_noise_comes_in_opposite_pairs(n_draws, make_plan):
    noise = noise_of(make_plan(n_draws=n_draws), 300, 2, generator())
    assert noise.shape == (n_draws, 300, 2)
    assert noise.dtype == torch.float32
    half = n_draws // 2
    assert torch.equal(noise[:half], -noise[half:])
    # Rows and pairs have noise of their own, of variance 1.
    assert len(noise[:half].unique()) == noise[:half].numel()
    error = 5.0 * math.sqrt(2.0 / noise[:half].numel())
    assert float(noise.square().mean()) == pytest.approx(1.0, abs=error)


def test_single_draw_has_no_opposite(make_plan):
    noise = noise_of(make_plan(n_draws=1), 300, 2, generator())
    assert noise.shape == (1, 300, 2)
    error = 5.0 / math.sqrt(noise.numel())
    assert float(noise.mean()) == pytest.approx(0.0, abs=error)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize(
    ("batch_size", "n_steps"), [(8, 5), (8, 10), (1, 40), (40, 2), (20, 6)]
)
def test_minibatches_are_unbiased(
    likelihood, batch_size, n_steps, make_problem, make_plan
):
    # Nothing moves at learning rate zero, and a decoder that ignores its latents has
    # no noise: full passes over the rows then give exactly the table's terms.
    problem = make_problem(likelihood)
    state = problem.start(Constant(), [0.5, 2.0])
    for weight in ("decoder.0.weight", "decoder.1.weight"):
        state.weights[weight].zero_()
    state.weights["decoder.1.bias"].copy_(torch.linspace(-1.0, 1.0, 10).view(2, 5))
    plan = make_plan(
        n_epochs=1,
        batch_size=batch_size,
        steps_per_epoch=n_steps,
        learning_rate=0.0,
        weight_decay=0.0,
    )
    outcome = problem.train(Constant(), state, plan)
    assert torch.equal(outcome.values, state.values)

    noise = torch.zeros(1, 1, 2, dtype=torch.float64)
    expected = evaluate(problem.module, state.weights, problem.rows, noise)
    history = outcome.history
    np.testing.assert_allclose(history["rate"][0], expected.rate, rtol=1e-12)
    distortion = expected.distortion(problem.module, state.balance.variance)
    np.testing.assert_allclose(history["distortion"][0], distortion, rtol=1e-12)
    objective = distortion + torch.tensor([0.5, 2.0]) * expected.rate
    np.testing.assert_allclose(history["objective"][0], objective, rtol=1e-12)


@pytest.mark.parametrize("name", LEARNING_RATES)
def test_learning_rate_is_a_share_of_the_planned_steps(name, make_problem, make_plan):
    problem, schedule = make_problem(), LEARNING_RATES[name]()
    plan = make_plan(schedule=schedule, n_epochs=3, n_planned_epochs=6)
    first = problem.train(Constant(), [1.0], plan)
    second = problem.train(Constant(), first.state, plan)
    rates = np.concatenate(
        [outcome.history["learning_rate"][:, 0] for outcome in (first, second)]
    )
    # The history has that of an epoch's last step; the first step is at progress 0.
    expected = [0.01 * schedule((10 * e + 9) / 60) for e in range(6)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_weight_decay_leaves_the_trained_variance(make_problem, make_plan):
    # Pulled to 1, the variance would depend on the unit of the columns.
    problem, policy = make_problem(), LearnedVariance()
    state = problem.start(policy, [1.0])
    state.weights["log_variance"].fill_(-3.0)
    plan = make_plan(
        learning_rate=1e-9, weight_decay=1e7, schedule=learning_rates.Constant()
    )
    outcome = problem.train(policy, state, plan)
    weights = views(outcome.values, state.shapes)
    assert float(weights["log_variance"]) == pytest.approx(-3.0, abs=1e-6)
    for name in problem.module.shapes:
        torch.testing.assert_close(
            weights[name], 0.99**50 * state.weights[name], rtol=1e-4, atol=1e-6
        )


def test_warm_up_is_a_share_of_the_planned_steps(make_problem, make_plan):
    problem = make_problem()
    plan = make_plan(n_epochs=3, n_planned_epochs=6)
    policy = Linear(warmup=0.5)
    first = problem.train(policy, [2.0], plan)
    second = problem.train(policy, first.state, plan)
    betas = [*first.history["beta"][:, 0], *second.history["beta"][:, 0]]
    np.testing.assert_allclose(betas, [2 / 3, 4 / 3, 2.0, 2.0, 2.0, 2.0], rtol=1e-12)


def test_more_steps_than_planned_stay_at_the_end(make_problem, make_plan):
    # As `partial_fit` may ask for.
    problem = make_problem()
    plan = make_plan(n_epochs=3, n_planned_epochs=2)
    history = problem.train(Linear(warmup=1.0), [2.0], plan).history
    np.testing.assert_allclose(history["beta"][:, 0], [1.0, 2.0, 2.0])
    assert history["learning_rate"][2, 0] == pytest.approx(0.01 / 25e4)


def test_precision_follows_the_same_stream(make_problem, make_plan):
    single, double = (
        make_problem(dtype=dtype).train(LearnedVariance(), BETAS, make_plan())
        for dtype in (torch.float32, torch.float64)
    )
    assert single.values.dtype == torch.float32
    torch.testing.assert_close(
        single.values.double(), double.values, rtol=1e-4, atol=1e-4
    )


def test_exploding_replica_leaves_the_others(make_problem, make_plan):
    problem, plan = make_problem(), make_plan()
    alone = problem.train(Constant(), [1.0], plan)
    for size in (1e12, 1e300, math.inf):
        together = problem.train(Constant(), [1.0, size], plan)
        torch.testing.assert_close(
            together.values[0], alone.values[0], rtol=1e-9, atol=1e-9
        )


def test_global_state_is_untouched(make_problem, make_plan):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    settings = torch.get_num_threads(), torch.get_default_dtype()
    problem = make_problem()
    first = problem.train(Constant(), BETAS, make_plan(), validate=True)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == settings
    assert torch.is_grad_enabled()
    torch.rand(1)
    again = problem.train(Constant(), BETAS, make_plan(), validate=True)
    torch.set_rng_state(torch_state)
    assert torch.equal(again.values, first.values)


def test_table_smaller_than_a_batch(make_problem, make_plan):
    problem = make_problem(n_rows=3)
    outcome = problem.train(Constant(), [1.0], make_plan(batch_size=8))
    assert torch.isfinite(outcome.values).all()
    # The weights of a batch sum to 1 in the mean over batches all the same.
    still = make_plan(
        batch_size=6, steps_per_epoch=2, learning_rate=0.0, weight_decay=0.0
    )
    state = problem.start(Constant(), [1.0])
    rate = problem.train(Constant(), state, still).history["rate"][0]
    noise = torch.zeros(1, 1, 2, dtype=torch.float64)
    expected = evaluate(problem.module, state.weights, problem.rows, noise)
    np.testing.assert_allclose(rate, expected.rate, rtol=1e-12)


# Epochs validated on held-out rows.


@pytest.fixture
def long_plan(make_plan):
    return make_plan(
        n_epochs=20, n_planned_epochs=20, steps_per_epoch=5, learning_rate=0.1
    )


def epoch_of(outcome, problem):
    """Epoch of each replica's weights: no other has their rate on held-out rows."""
    weights = views(outcome.values, outcome.state.shapes)
    noise = torch.zeros(1, 1, problem.module.n_components, dtype=problem.dtype)
    rate = evaluate(problem.module, weights, problem.held_out, noise).rate
    same = np.isclose(outcome.history["validation_rate"], rate, rtol=1e-9)
    assert (same.sum(axis=0) == 1).all()
    return same.argmax(axis=0)


def test_weights_kept_are_those_of_the_best_epoch(make_problem, long_plan):
    problem = make_problem()
    outcome = problem.train(Constant(), BETAS, long_plan, validate=True)
    best = outcome.history["validation_elbo"].argmax(axis=0)
    np.testing.assert_array_equal(epoch_of(outcome, problem), best)
    # The test says nothing if they are the last ones.
    assert (best < 19).any()
    # What is kept is what training goes on from, without the moments of others.
    assert torch.equal(outcome.values, outcome.state.values)
    assert outcome.state.mean is None
    assert outcome.state.square is None


def test_held_out_rows_do_not_train(make_problem, long_plan):
    problem = make_problem()
    history = problem.train(Constant(), BETAS, long_plan, validate=True).history
    problem.held_out = Rows(problem.held_out.x.flip(1), problem.held_out.weight)
    other = problem.train(Constant(), BETAS, long_plan, validate=True).history
    for name, entries in history.items():
        is_same = np.array_equal(entries, other[name])
        assert is_same != name.startswith("validation"), name


def test_every_epoch_is_validated_with_the_same_noise(make_problem, long_plan):
    problem = make_problem(Gaussian(variance=1.0))
    still = long_plan._replace(learning_rate=0.0, weight_decay=0.0)
    # Full batches, or the calibration would follow the batches.
    still = still._replace(batch_size=40, steps_per_epoch=1)
    outcome = problem.train(Constant(), BETAS, still, validate=True)
    elbo = outcome.history["validation_elbo"]
    np.testing.assert_array_equal(elbo, np.broadcast_to(elbo[0], elbo.shape))


@pytest.mark.parametrize("patience", [1, 4])
def test_patience(patience, make_problem, long_plan):
    problem = make_problem()
    # Nothing is ever better by so much, but the start is better than none.
    plan = long_plan._replace(patience=patience, tolerance=1e9)
    outcome = problem.train(Constant(), BETAS, plan, validate=True)
    assert outcome.n_epochs.tolist() == [patience] * 3
    assert len(outcome.history["elbo"]) == patience
    assert outcome.state.n_epochs == patience


@pytest.mark.parametrize(
    ("policy", "n_epochs"),
    [
        # Of 20 epochs the 10th is the first one that ends at the full weight.
        (Linear(warmup=0.5), 12),
        (Linear(warmup=1.0), 20),
        (Sigmoid(warmup=0.5), 12),
        (Cosine(warmup=0.25), 7),
        # The last plateau starts within the 9th, and within the 18th.
        (Cyclical(warmup=0.5), 11),
        (Cyclical(), 20),
        (Linear(policy=Cosine(warmup=0.5, policy=LearnedVariance())), 12),
    ],
    ids=repr,
)
def test_patience_is_armed_when_the_schedule_has_ended(
    policy, n_epochs, make_problem, long_plan
):
    plan = long_plan._replace(patience=2, tolerance=1e9)
    outcome = make_problem().train(policy, BETAS, plan, validate=True)
    assert outcome.n_epochs.tolist() == [n_epochs] * 3


@pytest.mark.parametrize(
    "policy",
    [
        Linear(warmup=0.75),
        Sigmoid(warmup=0.75),
        Cosine(warmup=0.75),
        Cyclical(n_cycles=2),
        Cyclical(n_cycles=2, policy=RunningAverage()),
    ],
    ids=repr,
)
def test_annealed_epochs_are_not_the_best(policy, make_problem, long_plan):
    # Rows enough not to be overfitted, or what explains most is what explains nothing.
    problem = make_problem(n_rows=400)
    outcome = problem.train(policy, [8.0], long_plan, validate=True)
    elbo = outcome.history["validation_elbo"][:, 0]
    # Below its final weight the model explains more, but is not the one asked for.
    assert elbo.argmax() < 14
    assert outcome.beta.tolist() == [8.0]
    assert epoch_of(outcome, problem) == [14 + elbo[14:].argmax()]


def test_callback_stops_training(make_problem, long_plan):
    problem, seen = make_problem(), []

    def on_epoch(epoch, record, run):
        best, so_far = run.best()
        seen.append((epoch, set(record), best, so_far.values))
        assert best == int(record["elbo"].argmax())
        return epoch == 2

    outcome = problem.train(Constant(), BETAS, long_plan, on_epoch=on_epoch)
    assert [epoch for epoch, *_ in seen] == [0, 1, 2]
    assert all(names == set(outcome.history) for _, names, *_ in seen)
    *_, best, values = seen[-1]
    assert torch.equal(values, outcome.values[best : best + 1])
    # What was handed out does not go on training.
    assert not torch.equal(seen[0][-1], seen[1][-1])
    assert outcome.n_epochs.tolist() == [3] * 3


@pytest.mark.parametrize("validate", [False, True])
def test_result_of_an_epoch_is_not_changed_by_later_ones(
    validate, make_problem, long_plan
):
    problem, seen = make_problem(), []
    policy = RunningAverage("feature")

    def on_epoch(epoch, record, run):
        seen.append((run.best()[1], copy.deepcopy(run.best()[1])))
        return False

    problem.train(policy, BETAS, long_plan, validate=validate, on_epoch=on_epoch)
    for found, expected in seen:
        for one, other in zip(parts_of(found), parts_of(expected), strict=True):
            assert torch.equal(one, other)
        for name, entries in expected.history.items():
            np.testing.assert_array_equal(found.history[name], entries)


def parts_of(outcome):
    state = outcome.state
    moments = [part for part in (state.mean, state.square) if part is not None]
    parts = [outcome.values, outcome.beta, outcome.variance, outcome.elbo]
    return [*parts, state.values, state.generator, *moments, *tensors_of(state.balance)]


def test_result_of_an_epoch_goes_on_as_the_training_does(make_problem, long_plan):
    problem, seen = make_problem(), []
    policy = RunningAverage("feature")
    whole = problem.train(
        policy, [1.0], long_plan, on_epoch=lambda *given: seen.append(given[2].best())
    )
    _, first = seen[9]
    rest = long_plan._replace(n_epochs=long_plan.n_epochs - 10)
    resumed = problem.train(policy, first.state, rest)
    assert torch.equal(resumed.values, whole.values)


@pytest.mark.parametrize("validate", [False, True])
def test_interruption_holds_the_result_of_the_whole_epochs(
    validate, make_problem, long_plan, monkeypatch
):
    problem, step, n_steps = make_problem(), Adam.step, [0]
    plan = long_plan._replace(n_epochs=4)
    expected = problem.train(Constant(), BETAS, plan, validate=validate)

    def step_or_interrupt(self, *args):
        n_steps[0] += 1
        if n_steps[0] > 4 * plan.steps_per_epoch + 1:
            raise KeyboardInterrupt
        step(self, *args)

    monkeypatch.setattr(Adam, "step", step_or_interrupt)
    plan = long_plan
    with pytest.raises(Interrupted) as interrupted:
        problem.train(Constant(), BETAS, plan, validate=validate)
    outcome = interrupted.value.outcome
    for one, other in zip(parts_of(outcome), parts_of(expected), strict=True):
        assert torch.equal(one, other)
    assert outcome.n_epochs.tolist() == [4] * 3


def test_stopped_within_the_schedule_the_latest_weights_are_kept(
    make_problem, long_plan
):
    problem, kept = make_problem(), []

    def on_epoch(epoch, record, run):
        kept.append(run.best())
        return epoch == 2

    outcome = problem.train(
        Linear(warmup=0.5), BETAS, long_plan, validate=True, on_epoch=on_epoch
    )
    assert epoch_of(outcome, problem).tolist() == [2] * 3
    best, so_far = kept[-1]
    assert torch.equal(so_far.values, outcome.values[best : best + 1])


@pytest.mark.parametrize("validate", [False, True])
def test_divergence_is_not_hidden(validate, make_problem, make_plan):
    problem = make_problem()
    problem.rows.x[3, 1] = math.inf
    problem.held_out.x[3, 1] = math.inf
    outcome = problem.train(Constant(), [1.0], make_plan(), validate=validate)
    assert not torch.isfinite(outcome.values).all()


# The start is a candidate for the weights to keep.


@pytest.fixture
def trained(make_problem, long_plan):
    """A problem, and a state that is as good as training gets."""
    problem = make_problem()
    outcome = problem.train(Constant(), BETAS, long_plan, validate=True)
    return problem, replace(outcome.state, n_epochs=0)


def test_start_is_kept_where_training_only_harms(trained, make_plan):
    problem, state = trained
    plan = make_plan(
        n_epochs=4,
        n_planned_epochs=40,
        schedule=learning_rates.Constant(),
        learning_rate=1.0,
    )
    outcome = problem.train(Constant(), state, plan, validate=True)
    elbo = outcome.history["validation_elbo"]
    assert torch.equal(outcome.values, state.values)
    assert (outcome.elbo.numpy() > elbo.max(axis=0) + 0.1).all()
    assert outcome.beta.tolist() == BETAS
    assert torch.equal(outcome.variance, state.balance.variance)
    assert outcome.n_epochs.tolist() == [4] * 3
    # Without held-out rows nobody knows.
    blind = problem.train(Constant(), state, plan)
    assert not torch.equal(blind.values, state.values)


def test_each_replica_keeps_its_own_best(trained, make_plan):
    problem, state = trained
    # One of them has everything to learn.
    state.values[1] = problem.start(Constant(), [1.0], seed=5).values[0]
    plan = make_plan(n_epochs=4, n_planned_epochs=40, learning_rate=0.02)
    outcome = problem.train(Constant(), state, plan, validate=True)
    assert not torch.equal(outcome.values[1], state.values[1])
    best = outcome.history["validation_elbo"].max(axis=0)
    assert outcome.elbo[1] == pytest.approx(best[1])
    assert (outcome.elbo.numpy() >= best).all()


def test_start_within_a_schedule_is_not_kept(trained, make_plan):
    # It is the model of another beta.
    problem, _ = trained
    plan = make_plan(
        n_epochs=4,
        n_planned_epochs=4,
        schedule=learning_rates.Constant(),
        learning_rate=1.0,
    )
    state = problem.start(Linear(warmup=0.5), BETAS)
    outcome = problem.train(Linear(warmup=0.5), state, plan, validate=True)
    assert not (outcome.values == state.values).all(dim=1).any()
    assert outcome.beta.tolist() == BETAS


def test_patience_is_counted_from_the_start(trained, make_plan):
    problem, state = trained
    plan = make_plan(
        n_epochs=9,
        n_planned_epochs=90,
        schedule=learning_rates.Constant(),
        learning_rate=1.0,
    )
    plan = plan._replace(patience=3)
    outcome = problem.train(Constant(), state, plan, validate=True)
    assert outcome.n_epochs.tolist() == [3] * 3
    assert torch.equal(outcome.values, state.values)


def test_divergence_is_not_hidden_by_a_good_start(trained, make_plan):
    problem, state = trained
    plan = make_plan(learning_rate=1e200, schedule=learning_rates.Constant())
    outcome = problem.train(Constant(), state, plan, validate=True)
    assert torch.isfinite(state.values).all()
    assert not torch.isfinite(outcome.values).all(dim=1).any()


def test_one_of_several_outcomes(make_problem, long_plan):
    problem = make_problem()
    plan = long_plan._replace(patience=3, tolerance=1e-2)
    outcome = problem.train(RunningAverage(), BETAS, plan, validate=True)
    assert len(set(outcome.n_epochs.tolist())) > 1
    for r in range(3):
        one = outcome.take(r)
        for name in ("values", "beta", "variance", "elbo"):
            assert torch.equal(getattr(one, name), getattr(outcome, name)[r : r + 1])
        assert one.n_epochs.tolist() == [outcome.n_epochs[r]]
        for name, entries in one.history.items():
            assert entries.shape == (outcome.n_epochs[r], 1), name
            np.testing.assert_array_equal(
                entries[:, 0], outcome.history[name][: len(entries), r]
            )
        assert torch.equal(one.state.values, one.values)
        assert len(one.state.prior) == 1
        assert torch.equal(one.state.floor, outcome.state.floor)
