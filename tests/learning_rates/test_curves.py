"""Curves of the learning rates against their formulas, and against torch."""

import itertools
import math

import numpy as np
import pytest
import torch

from skvae.learning_rates import LEARNING_RATES, Cosine, Cyclical, OneCycle, StepDecay


@pytest.mark.parametrize("rate", [OneCycle(), Cosine(), Cyclical()], ids=repr)
def test_no_jumps(rate):
    factors = [rate(step / 1000) for step in range(1001)]
    assert max(factors) == 1.0
    steps = [abs(b - a) for a, b in itertools.pairwise(factors)]
    assert max(steps) < 0.01


def test_constant():
    assert [LEARNING_RATES["constant"]()(p) for p in (0.0, 0.3, 1.0)] == [1.0, 1.0, 1.0]


def test_cosine():
    found = [LEARNING_RATES["cosine"]()(quarter / 4) for quarter in range(5)]
    assert found == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_one_cycle():
    low, lowest = 1 / 25, 1 / 25e4
    found = [LEARNING_RATES["one_cycle"]()(p) for p in (0.0, 0.15, 0.3, 0.65, 1.0)]
    expected = [low, (1 + low) / 2, 1.0, (1 + lowest) / 2, lowest]
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_and_then_falls():
    factors = [LEARNING_RATES["one_cycle"]()(step / 1000) for step in range(1001)]
    peak = factors.index(max(factors))
    assert peak == 300
    assert all(a < b for a, b in itertools.pairwise(factors[: peak + 1]))
    assert all(a > b for a, b in itertools.pairwise(factors[peak:]))


def test_cyclical():
    for cycle in range(4):
        shares = [0.0, 0.125, 0.25, 0.5, 0.75, 1.0]
        found = [LEARNING_RATES["cyclical"]()((cycle + share) / 4) for share in shares]
        assert found == pytest.approx([0.04, 0.28, 0.52, 1.0, 0.52, 0.04], rel=1e-12)


@pytest.mark.parametrize("stepsize", [1, 3, 25, 1000])
def test_cyclical_agrees_with_torch(stepsize):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=0.04, max_lr=1.0, step_size_up=stepsize, cycle_momentum=False
    )
    for step in range(8 * stepsize + 1):
        assert scheduler.get_last_lr()[0] == pytest.approx(
            LEARNING_RATES["cyclical"]()(step / (8 * stepsize)), rel=1e-9
        )
        optimizer.step()
        scheduler.step()


def test_one_cycle_agrees_with_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    total = 101
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=total, cycle_momentum=False, pct_start=0.31
    )
    # torch's peak is at step 0.31 * 101 - 1 = 30.31.
    for step in range(total):
        progress = step / (total - 1)
        if progress <= 0.3031:
            progress *= 0.3 / 0.3031
        else:
            progress = 0.3 + (progress - 0.3031) * 0.7 / 0.6969
        assert scheduler.get_last_lr()[0] == pytest.approx(
            LEARNING_RATES["one_cycle"]()(progress), rel=1e-9
        )
        if step < total - 1:
            optimizer.step()
            scheduler.step()
    assert math.isclose(progress, 1.0)


def one_cycle(progress):
    """The published curve, with its numbers."""
    if progress < 0.3:
        return 1.0 + (0.04 - 1.0) * cosine(progress / 0.3)
    return 4e-6 + (1.0 - 4e-6) * cosine((progress - 0.3) / (1.0 - 0.3))


def cosine(progress):
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def cyclical(progress):
    half = 0.125
    cycle = math.floor(1.0 + progress / 0.25)
    return 1.0 + (0.04 - 1.0) * abs(progress / half - 2.0 * cycle + 1.0)


@pytest.mark.parametrize("curve", [one_cycle, cosine, cyclical])
def test_defaults_to_the_last_bit(curve):
    rate = LEARNING_RATES[curve.__name__]()
    for step in range(1234):
        assert rate(step / 1233) == curve(step / 1233)


@pytest.mark.parametrize("growth", [1, 2, 3])
def test_warm_restarts_agree_with_torch(growth):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=10, T_mult=growth, eta_min=0.125
    )
    rate = Cosine(n_cycles=3, growth=growth, lowest=0.125)
    n_steps = 10 * (1 + growth + growth**2)
    for step in range(n_steps):
        expected = scheduler.get_last_lr()[0]
        assert rate(step / n_steps) == pytest.approx(expected, abs=1e-9), step
        optimizer.step()
        scheduler.step()
    # torch would restart here.
    assert rate(1.0) == 0.125


@pytest.mark.parametrize("growth", [np.int64(10), 1e300])
def test_many_growing_cycles(growth):
    rate = Cosine(n_cycles=400, growth=growth)
    # Nearly all of the steps are in the last cycle.
    start = 1.0 / growth
    for step in range(11):
        progress = step / 10
        expected = cosine(max(0.0, progress - start) / (1.0 - start))
        if step:
            assert rate(progress) == pytest.approx(expected, abs=1e-12)
    rate.check()


def test_lower_cycles_agree_with_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        *(optimizer, 0.25, 1.0),
        step_size_up=10,
        mode="triangular2",
        cycle_momentum=False,
    )
    rate = Cyclical(n_cycles=3, lowest=0.25, decay=0.5)
    for step in range(61):
        expected = scheduler.get_last_lr()[0]
        assert rate(step / 60) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_rounded_cycles():
    rate = Cyclical(n_cycles=1, lowest=0.0, shape="cosine")
    for step in range(11):
        expected = 0.5 * (1.0 - math.cos(2.0 * math.pi * step / 10))
        assert rate(step / 10) == pytest.approx(expected, abs=1e-12)


def test_steps_agree_with_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [16, 48], gamma=0.5)
    rate = StepDecay(factor=0.5, at=(0.75, 0.25))
    for step in range(65):
        assert rate(step / 64) == scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
