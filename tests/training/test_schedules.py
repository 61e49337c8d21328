import itertools
import math

import pytest
import torch

from skvae import BalancedVAE
from skvae.training import SCHEDULES


def test_names_are_those_of_the_estimator():
    (options,) = BalancedVAE._parameter_constraints["learning_rate"]
    assert options.options == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_between_zero_and_one(name):
    factors = [SCHEDULES[name](step / 1000) for step in range(1001)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert max(factors) == 1.0
    # No jumps.
    steps = [abs(b - a) for a, b in itertools.pairwise(factors)]
    assert max(steps) < 0.01


def test_constant():
    assert [SCHEDULES["constant"](p) for p in (0.0, 0.3, 1.0)] == [1.0, 1.0, 1.0]


def test_cosine():
    found = [SCHEDULES["cosine"](quarter / 4) for quarter in range(5)]
    assert found == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_one_cycle():
    low, lowest = 1 / 25, 1 / 25e4
    found = [SCHEDULES["one_cycle"](p) for p in (0.0, 0.15, 0.3, 0.65, 1.0)]
    expected = [low, (1 + low) / 2, 1.0, (1 + lowest) / 2, lowest]
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_and_then_falls():
    factors = [SCHEDULES["one_cycle"](step / 1000) for step in range(1001)]
    peak = factors.index(max(factors))
    assert peak == 300
    assert all(a < b for a, b in itertools.pairwise(factors[: peak + 1]))
    assert all(a > b for a, b in itertools.pairwise(factors[peak:]))


def test_cyclical():
    for cycle in range(4):
        shares = [0.0, 0.125, 0.25, 0.5, 0.75, 1.0]
        found = [SCHEDULES["cyclical"]((cycle + share) / 4) for share in shares]
        assert found == pytest.approx([0.04, 0.28, 0.52, 1.0, 0.52, 0.04], rel=1e-12)


@pytest.mark.parametrize("stepsize", [1, 3, 25, 1000])
def test_cyclical_agrees_with_torch(stepsize):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=0.04, max_lr=1.0, step_size_up=stepsize, cycle_momentum=False
    )
    for step in range(8 * stepsize + 1):
        assert scheduler.get_last_lr()[0] == pytest.approx(
            SCHEDULES["cyclical"](step / (8 * stepsize)), rel=1e-9
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
            SCHEDULES["one_cycle"](progress), rel=1e-9
        )
        if step < total - 1:
            optimizer.step()
            scheduler.step()
    assert math.isclose(progress, 1.0)
