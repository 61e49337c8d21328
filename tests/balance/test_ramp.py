import re
from typing import NamedTuple

import pytest
import torch

from skvae import BalancedVAE
from skvae.balance import BalancePolicy, Constant, Linear, Ramp


class DistanceState(NamedTuple):
    beta: torch.Tensor
    variance: torch.Tensor
    target: torch.Tensor


class Distance(BalancePolicy):
    """The distance of the rate to a set point, in place of the rate."""

    _parameter_constraints = {"target": [float]}

    def __init__(self, target=8.0):
        self.target = target

    @property
    def settled_at(self):
        return 0.1

    def init_state(self, beta, sizes):
        target = self.target * (1.0 + 0.0 * beta)
        return DistanceState(beta, self.start_variance(sizes), target)

    def objective(self, terms, state):
        distance = (terms.rate - state.target).abs()
        return terms.distortion + state.beta * distance


@pytest.fixture
def states_of(make_sizes, make_terms):
    """States of two replicas after some shares of the steps."""

    def states_of(policy, shares):
        beta = torch.tensor([1.0, 4.0], dtype=torch.float64)
        state = policy.init_state(beta, make_sizes(2))
        states = [state]
        for share in shares:
            state = policy.update(state, make_terms([3.0] * 2, [1.0] * 2), share)
            states.append(state)
        return states

    return states_of


@pytest.mark.parametrize("warmup", [0.25, 0.8, 1.0])
@pytest.mark.parametrize("start", [0.0, 2.0, 24.0])
def test_values(start, warmup, states_of):
    shares = [0.25, 0.5, 0.75, 1.0]
    policy = Ramp(Distance(), start=start, warmup=warmup)
    states = states_of(policy, [share * warmup for share in shares])
    for state, share in zip(states, [0.0, *shares], strict=True):
        expected = start + (8.0 - start) * share
        assert state.inner.target.tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("n_steps", [1, 3, 7, 10, 49])
@pytest.mark.parametrize("target", [0.1, 0.7, 25.0])
def test_end_point_is_exact(target, n_steps, states_of):
    # Others stop at n / (n + 1) of the way.
    policy = Ramp(Distance(target), start=0.3, warmup=0.5)
    *_, last = states_of(policy, [0.5 * (k + 1) / n_steps for k in range(n_steps)])
    assert last.inner.target.tolist() == [target] * 2
    *_, later = states_of(policy, [0.7, 1.0])
    assert later.inner.target.tolist() == [target] * 2


def test_objective_sees_the_set_point_in_force(states_of, make_terms):
    terms = make_terms([3.0, 3.0], [1.0, 1.0])
    policy = Ramp(Distance(), warmup=0.5)
    expected = [[4.0, 7.0], [6.0, 15.0], [10.0, 31.0]]
    for state, values in zip(states_of(policy, [0.25, 0.5]), expected, strict=True):
        found = policy.objective(terms, state).tolist()
        assert found == pytest.approx(values, rel=1e-14)


def test_within_a_schedule_of_beta(states_of):
    policy = Linear(warmup=1.0, policy=Ramp(Distance(), warmup=0.5))
    *_, state = states_of(policy, [0.25])
    assert state.beta.tolist() == [0.25, 1.0]
    assert state.inner.inner.target.tolist() == [4.0, 4.0]
    assert policy.settled_at == 1.0


def test_settled_when_both_are():
    assert Ramp(Distance(), warmup=0.25).settled_at == 0.25
    assert Ramp(Distance(), warmup=0.05).settled_at == 0.1


@pytest.mark.parametrize("policy", [Constant(), Linear(policy=Distance())], ids=repr)
def test_without_a_set_point_it_is_refused(policy, make_sizes):
    message = (
        f"policy={policy!r} has none: its state has no entry 'target'. Wrap Ramp "
        "around the policy that has the set point"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Ramp(policy).init_state(torch.ones(1), make_sizes())
    # By way of the estimator.
    X = torch.rand(20, 3).numpy()
    with pytest.raises(ValueError, match=re.escape(message)):
        BalancedVAE(balance=Ramp(policy), max_iter=1).fit(X)


def test_training_reaches_the_set_point():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(60, 2, generator=generator) @ torch.randn(2, 5, generator=generator)
    vae = BalancedVAE(
        2,
        balance=Ramp(Distance(2.5), warmup=0.5),
        beta=10.0,
        hidden_layer_sizes=(),
        early_stopping=False,
        learning_rate_init=0.02,
        max_iter=60,
        random_state=0,
    ).fit(X.numpy())
    rate = vae.history_["rate"]
    # The rate goes up with its set point, and stays.
    assert rate[14] == pytest.approx(1.25, abs=0.2)
    assert rate[-1] == pytest.approx(2.5, abs=0.1)
