import itertools

import numpy as np
import pytest
import torch

from skvae import BalancedVAE
from skvae.balance import RunningAverage


def variances(states):
    return [float(state.variance[0, 0]) for state in states]


def averages(states):
    return [float(state.average[0, 0]) for state in states]


VARIANTS = ["ema_min", "ema", "ratchet"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scope", ["auto", "shared", "feature"])
def test_recurrence_from_one(scope, variant, feed):
    # The first batch is where the average starts.
    states = feed(RunningAverage(scope, variant=variant), [1.0, 0.5, 0.4, 0.6, 0.3])
    # All averages are below those before, so that the variants are the same.
    expected = [1.0, 0.995, 0.98905, 0.9851595, 0.978307905]
    assert averages(states) == pytest.approx(expected, rel=1e-14)
    assert variances(states) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("variant", "average", "variance"),
    [
        ("ema_min", [0.3, 0.317, 0.31684], [0.3, 0.3, 0.3]),
        ("ema", [0.3, 0.317, 0.31684], [0.3, 0.317, 0.31684]),
        ("ratchet", [0.3, 0.3, 0.3], [0.3, 0.3, 0.3]),
    ],
)
def test_variants_differ_when_the_error_rises(variant, average, variance, feed):
    # The minimum is of the variance and not of the average, but with the ratchet.
    states = feed(RunningAverage(variant=variant), [0.3, 2.0, 0.301])
    assert averages(states) == pytest.approx(average, rel=1e-12)
    assert variances(states) == pytest.approx(variance, rel=1e-12)


def test_ends_at_the_mean_error_and_not_at_its_infimum(feed):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3000, generator=generator, dtype=torch.float64)
    errors = 0.2 + 0.04 * noise
    # An untrained model errs more; what the first batch says is the most there can be.
    errors[0] = 1.0
    state = feed(RunningAverage(), errors)[-1]
    # Standard deviation of the average: 0.04 sqrt(0.01 / 1.99) = 0.0028. It is
    # within four of these, and its minimum over 3000 steps within four more.
    assert averages([state])[0] == pytest.approx(0.2, abs=0.0114)
    assert variances([state])[0] == pytest.approx(0.2, abs=0.0228)
    assert errors.min() < 0.1
    # The average itself is as noisy, and not below the mean; the ratchet is far below.
    free = feed(RunningAverage(variant="ema"), errors)
    assert variances(free[-1:]) == averages([state])
    ratchet = feed(RunningAverage(variant="ratchet"), errors)
    assert variances(ratchet[-1:])[0] < 0.15


def test_starts_at_the_first_batch_whatever_its_size(feed):
    # Started at 1, or at the variance of the data, it could not get to 400.
    states = feed(RunningAverage(), [400.0, 400.0])
    assert variances(states) == pytest.approx([400.0, 400.0], rel=1e-14)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variance_never_rises_but_with_ema(variant, feed):
    generator = torch.Generator().manual_seed(0)
    errors = torch.rand(200, generator=generator, dtype=torch.float64)
    series = variances(feed(RunningAverage(variant=variant, decay=0.5), errors))
    never_rises = all(a >= b for a, b in itertools.pairwise(series))
    assert never_rises == (variant != "ema")
    assert len(set(series)) > 3


def test_decay_zero_keeps_the_lowest_batch(feed):
    states = feed(RunningAverage(decay=0.0), [0.5, 0.7, 0.2, 0.4])
    assert variances(states) == pytest.approx([0.5, 0.5, 0.2, 0.2], rel=1e-14)
    assert averages(states) == pytest.approx([0.5, 0.7, 0.2, 0.4], rel=1e-14)


def test_floor_is_of_the_variance_alone(feed):
    states = feed(RunningAverage(decay=0.5), [0.1, 0.1], floor=0.25)
    assert variances(states) == [0.25, 0.25]
    assert averages(states) == pytest.approx([0.1, 0.1], rel=1e-14)


def test_floor_does_not_shift_values_above_it(feed):
    states = feed(RunningAverage(), [0.26], floor=0.25)
    assert variances(states) == pytest.approx([0.26], rel=1e-14)


def test_each_feature_has_its_own(feed):
    first = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    second = torch.tensor([0.0, 4.0, 3.0, 0.0, 9.0])
    *_, state = feed(RunningAverage(scope="feature", decay=0.5), [first, second])
    assert state.average.tolist() == [[0.5, 3.0, 3.0, 2.0, 7.0]]
    assert state.variance.tolist() == [[0.5, 2.0, 3.0, 2.0, 5.0]]


def test_reconstruction_ends_at_a_constant_balance(feed):
    # The squared error then counts D / 2 nats, whatever its size.
    for error in (1e-3, 0.2, 50.0):
        *_, state = feed(RunningAverage(), [error] * 20)
        assert 0.5 * 5 * error / float(state.variance[0, 0]) == pytest.approx(2.5)


def scripted_errors():
    """Errors of 3,000 batches that fall, with noise and a bad stretch."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3000, generator=generator, dtype=torch.float64)
    step = torch.arange(3000, dtype=torch.float64)
    errors = 0.02 + 0.2 * torch.exp(-step / 300)
    errors[1000:1100] *= 4.0
    return (errors * torch.exp(0.3 * noise)).tolist()


def test_started_at_one_it_is_the_program_of_the_authors(feed):
    policy = RunningAverage("shared", "train", "ratchet", start=1.0)
    found = variances(feed(policy, scripted_errors()))
    mseloss, expected = 1.0, []
    for bmseloss in scripted_errors():
        mseloss = min(mseloss, mseloss * 0.99 + bmseloss * 0.01)
        expected.append(mseloss)
    assert found == pytest.approx(expected, rel=1e-13)
    # Started at the first error, it is another rule for some hundred steps.
    without = variances(feed(RunningAverage(variant="ratchet"), scripted_errors()))
    assert without[0] < 0.3 * expected[0]
    assert without[-1] == pytest.approx(expected[-1], rel=1e-3)


@pytest.mark.parametrize("scope", ["auto", "shared", "feature"])
@pytest.mark.parametrize(
    ("variant", "variance"),
    [("ema_min", [0.75, 0.75]), ("ema", [0.75, 4.375]), ("ratchet", [0.75, 0.75])],
)
def test_start_is_averaged_in(scope, variant, variance, feed):
    policy = RunningAverage(scope, variant=variant, decay=0.5, start=1.0)
    assert variances(feed(policy, [0.5, 8.0])) == variance
    highest = RunningAverage(scope, variant=variant, decay=0.5, start=0.5)
    series = variances(feed(highest, [8.0]))
    assert series == ([4.25] if variant == "ema" else [0.5])


def test_a_fit_goes_on_from_the_start():
    X = np.random.RandomState(0).standard_normal((40, 3))
    policy = RunningAverage("shared", "train", "ratchet", start=1e-3)
    settings = {"hidden_layer_sizes": (), "max_iter": 2, "random_state": 0, "tol": 1e3}
    vae = BalancedVAE(1, balance=policy, **settings).fit(X)
    np.testing.assert_allclose(vae.history_["variance"], 1e-3, rtol=1e-6)


@pytest.mark.parametrize("start", [0.0, -1.0, float("inf"), "one"])
def test_start_that_is_no_variance(start):
    vae = BalancedVAE(1, balance=RunningAverage(start=start))
    match = (
        r"'start' parameter of RunningAverage must be a float in the range \(0\.0, in"
    )
    with pytest.raises(ValueError, match=match):
        vae.fit([[0.0], [1.0]])
