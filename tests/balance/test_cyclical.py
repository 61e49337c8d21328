import itertools
import math

import pytest

from skvae.balance import Cosine, Cyclical, Linear

SHAPES = ["linear", "sigmoid", "cosine"]


@pytest.mark.parametrize(
    ("share", "factor"),
    [
        (0.0, 0.0),
        (0.0625, 0.5),
        (0.125, 1.0),
        (0.249, 1.0),
        (0.25, 0.0),
        (0.5, 0.0),
        (0.75, 0.0),
        (0.8125, 0.5),
        (0.875, 1.0),
        (0.999, 1.0),
        # Where a fifth cycle would start.
        (1.0, 1.0),
    ],
)
def test_values(share, factor, beta_at):
    assert beta_at(Cyclical(), share) == [factor, 4.0 * factor]


@pytest.mark.parametrize(
    ("shape", "factors"),
    [
        ("linear", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("sigmoid", [0.002472623, 0.047425873, 0.5, 0.952574127, 1.0]),
        ("cosine", [0.0, 0.146446609, 0.5, 0.853553391, 1.0]),
    ],
)
def test_shapes(shape, factors, beta_at):
    policy = Cyclical(n_cycles=2, ratio=0.25, shape=shape)
    for cycle in (0, 1):
        for quarter, factor in enumerate(factors):
            share = cycle / 2 + quarter / 4 * 0.25 / 2
            assert beta_at(policy, share)[1] == pytest.approx(4.0 * factor, abs=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("warmup", [0.5, 1.0])
def test_periodic(shape, warmup, beta_at):
    # Shares that are exact in binary.
    policy = Cyclical(n_cycles=4, ratio=0.75, shape=shape, warmup=warmup)
    period = warmup / 4
    for k in range(32):
        first = beta_at(policy, k / 32 * period)
        for cycle in (1, 2, 3):
            assert beta_at(policy, (cycle + k / 32) * period) == first
    assert beta_at(policy, warmup) == beta_at(policy, 1.0) == [1.0, 4.0]


@pytest.mark.parametrize(("shape", "warm_up"), [("linear", Linear), ("cosine", Cosine)])
@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("warmup", [0.6, 1.0])
def test_one_cycle_is_a_warm_up(shape, warm_up, ratio, warmup, beta_at):
    policy = Cyclical(n_cycles=1, ratio=ratio, shape=shape, warmup=warmup)
    same = warm_up(warmup=warmup * ratio)
    assert policy.settled_at == same.settled_at
    for step in range(101):
        expected = beta_at(same, step / 100)
        assert beta_at(policy, step / 100) == pytest.approx(expected, abs=1e-12)


def test_stays_full_from_the_last_plateau(beta_at):
    settings = itertools.product(
        [1, 2, 3, 7, 10], [0.1, 0.3, 0.5, 0.9, 1.0], SHAPES, [0.3, 0.7, 1.0]
    )
    for n_cycles, ratio, shape, warmup in settings:
        policy = Cyclical(n_cycles, ratio, shape, warmup)
        at = policy.settled_at
        assert at == pytest.approx(warmup * (n_cycles - 1 + ratio) / n_cycles), policy
        for share in (at, math.nextafter(at, 2.0), 0.5 * (at + 1.0), warmup, 1.0):
            if share >= at:
                assert beta_at(policy, share) == [1.0, 4.0], policy
        # And not from any earlier one: the last rise is before it.
        assert beta_at(policy, at - 1e-3 * warmup / n_cycles)[1] < 4.0, policy
