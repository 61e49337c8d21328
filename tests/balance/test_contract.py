"""What every balance policy promises; a new one is tested by being in POLICIES."""

import copy
import pickle
from typing import NamedTuple

import pytest
import torch
from sklearn.base import clone

from skvae import balance
from skvae.balance import (
    POLICIES,
    BalancePolicy,
    Cyclical,
    LearnedVariance,
    Linear,
    Normalized,
    OptimalVariance,
    Ramp,
    RunningAverage,
    Sigmoid,
    Terms,
    VariancePolicy,
)
from skvae.balance._base import map_state

N_REPLICAS, N_FEATURES, N_COMPONENTS, N_ROWS, N_STEPS = 3, 5, 3, 4, 8


class SetPointState(NamedTuple):
    beta: torch.Tensor
    variance: torch.Tensor
    target: torch.Tensor


class SetPoint(BalancePolicy):
    """Beta follows the distance of the rate to a set point."""

    def init_state(self, beta, sizes):
        return SetPointState(beta, self.start_variance(sizes), 5.0 + 0.0 * beta)

    def update(self, state, terms, progress):
        return state._replace(beta=state.beta * (terms.rate / state.target).exp())


WRAPPED = [
    # Every schedule around something that moves the variance or beta.
    Linear(start=0.1, policy=LearnedVariance(scope="feature")),
    Cyclical(shape="sigmoid", policy=RunningAverage()),
    Sigmoid(policy=Normalized()),
    Linear(policy=Cyclical(warmup=0.5, policy=OptimalVariance(scope="feature"))),
    Ramp(SetPoint(), start=1.0),
    Linear(policy=Ramp(SetPoint(), start=9.0, warmup=0.6)),
]


def members():
    for name, cls in POLICIES.items():
        # The sizes here have no linear model to take a target from.
        settings = {"target": 1.5} if "target" in cls().get_params() else {}
        yield pytest.param(cls(**settings), id=name)
        if "scope" in cls().get_params():
            yield pytest.param(cls(scope="feature"), id=f"{name}-feature")
        # Every policy around constant beta, and inside of a schedule.
        yield pytest.param(Linear(policy=cls(**settings)), id=f"linear-{name}")
    for policy in WRAPPED:
        yield pytest.param(policy, id=repr(policy))


MEMBERS = list(members())
every_policy = pytest.mark.parametrize("policy", MEMBERS)
variance_policies = pytest.mark.parametrize(
    "policy", [member for member in MEMBERS if member.values[0].variance_policy]
)


def mover(policy):
    """The policy as one that moves the variance, or one that moves nothing."""
    return policy.variance_policy or VariancePolicy()


def betas():
    return torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)


def floor(scale=1.0):
    return scale * torch.linspace(0.1, 0.3, N_FEATURES, dtype=torch.float64)


def script():
    """Errors, terms and progress of some steps, always the same."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return 0.1 + torch.rand(shape, generator=generator, dtype=torch.float64)

    weight = torch.full((N_ROWS,), 1.0 / N_ROWS, dtype=torch.float64)
    for step in range(N_STEPS):
        kl = draw(N_REPLICAS, N_ROWS, N_COMPONENTS)
        terms = Terms(10.0 * draw(N_REPLICAS), kl.sum(dim=-1) @ weight, kl, weight)
        yield draw(N_REPLICAS, N_FEATURES), terms, (step + 1) / N_STEPS


def of_replica(terms, replica):
    distortion, divergence, kl, weight = terms
    alone = slice(replica, replica + 1)
    return Terms(distortion[alone], divergence[alone], kl[alone], weight)


def part_of_state(state, replica):
    return map_state(lambda part: part[replica : replica + 1], state)


def walk(policy, state, parameters, steps, floor):
    """States after each of some steps."""
    states = []
    for error, terms, progress in steps:
        state = mover(policy).move_variance(state, error, parameters, floor)
        state = policy.update(state, terms, progress)
        states.append(state)
    return states


def start(policy, make_sizes, n_replicas=N_REPLICAS, scale=1.0):
    sizes = make_sizes(n_replicas, scale=scale)
    return (
        policy.init_state(betas()[:n_replicas], sizes),
        mover(policy).init_parameters(sizes),
    )


def parts_of(state, prefix=""):
    """Tensors of a state by name, those of inner states too."""
    parts = {}
    for name, part in state._asdict().items():
        if isinstance(part, tuple):
            parts |= parts_of(part, f"{prefix}{name}.")
        else:
            parts[prefix + name] = part
    return parts


def assert_same(states, expected, rtol=0.0):
    """Compare states, bitwise unless a tolerance is given."""
    assert len(states) == len(expected)
    for step, (left, right) in enumerate(zip(states, expected, strict=True)):
        left, right = parts_of(left), parts_of(right)
        assert left.keys() == right.keys()
        for name, one in left.items():
            message = f"{name} differs after step {step}"
            torch.testing.assert_close(
                one, right[name], rtol=rtol, atol=0.0, msg=message
            )


def tensors_of(state, parameters, error, terms, floor):
    """Everything that a step is given."""
    return [*parts_of(state).values(), *parameters.values(), error, *terms, floor]


def settings_of(policy):
    """Settings by name, those of inner policies too."""
    return {
        name: type(value) if isinstance(value, BalancePolicy) else value
        for name, value in policy.get_params().items()
    }


@pytest.mark.parametrize("name", POLICIES)
def test_name_and_class_agree(name):
    cls = POLICIES[name]
    assert cls.__name__.lower() == name.replace("_", "")
    assert getattr(balance, cls.__name__) is cls
    assert cls.__name__ in balance.__all__


@every_policy
def test_settings_have_constraints(policy):
    assert set(policy._parameter_constraints) == set(policy.get_params(deep=False))


@every_policy
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_state_has_the_replica_axis_first(policy, dtype, make_sizes):
    sizes = make_sizes(N_REPLICAS, dtype)
    state = policy.init_state(betas().to(dtype), sizes)
    assert state.beta.shape == (N_REPLICAS,)
    is_shared = mover(policy).scope == "shared"
    width = 1 if is_shared else N_FEATURES
    assert state.variance.shape == (N_REPLICAS, width)
    for name, part in [
        *parts_of(state).items(),
        *mover(policy).init_parameters(sizes).items(),
    ]:
        assert part.shape[0] == N_REPLICAS, name
        assert part.dtype == dtype, name
        assert torch.isfinite(part).all(), name


@every_policy
def test_step_keeps_shapes_and_dtypes(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    for after in walk(policy, state, parameters, script(), floor()):
        assert type(after) is type(state)
        before, now = parts_of(state), parts_of(after)
        assert now.keys() == before.keys()
        for name, part in now.items():
            assert part.shape == before[name].shape, name
            assert part.dtype == before[name].dtype, name


@every_policy
def test_methods_change_none_of_their_inputs(policy, make_sizes):
    settings = settings_of(policy)
    own = dict(vars(policy))
    state, parameters = start(policy, make_sizes)
    for error, terms, progress in script():
        inputs = (state, parameters, error, terms, floor())
        before = copy.deepcopy(inputs)
        moved = mover(policy).move_variance(state, error, parameters, inputs[-1])
        policy.objective(terms, moved)
        after = policy.update(moved, terms, progress)
        for one, other in zip(
            tensors_of(*before),
            tensors_of(state, parameters, error, terms, inputs[-1]),
            strict=True,
        ):
            assert torch.equal(one, other)
        state = after
    assert settings_of(policy) == settings
    assert vars(policy) == own


@every_policy
def test_pickled_in_the_middle_it_goes_on_the_same(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    whole = walk(policy, state, parameters, script(), floor())
    first = walk(policy, state, parameters, list(script())[:3], floor())
    again, state = pickle.loads(pickle.dumps((policy, first[-1])))
    rest = walk(again, state, parameters, list(script())[3:], floor())
    assert_same(first + rest, whole)


@every_policy
def test_clone_starts_anew(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    whole = walk(policy, state, parameters, script(), floor())
    again = clone(policy)
    assert again is not policy
    assert settings_of(again) == settings_of(policy)
    state, parameters = start(again, make_sizes)
    assert_same(walk(again, state, parameters, script(), floor()), whole)


@every_policy
def test_repr_builds_the_policy(policy):
    again = eval(repr(policy), {**vars(balance), "SetPoint": SetPoint})
    assert type(again) is type(policy)
    assert settings_of(again) == settings_of(policy)


@every_policy
def test_replicas_together_equal_each_alone(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    together = walk(policy, state, parameters, script(), floor())
    objectives = [
        policy.objective(terms, state)
        for (_, terms, _), state in zip(script(), together, strict=True)
    ]
    sizes = make_sizes(1)
    for r in range(N_REPLICAS):
        state = policy.init_state(betas()[r : r + 1], sizes)
        steps = [
            (error[r : r + 1], of_replica(terms, r), progress)
            for error, terms, progress in script()
        ]
        alone = walk(
            policy, state, mover(policy).init_parameters(sizes), steps, floor()
        )
        # A kernel may round the cells that do not fill a vector register in another
        # way, and which cells those are depends on the replicas beside them.
        of_r = [part_of_state(state, r) for state in together]
        assert_same(alone, of_r, rtol=1e-13)
        for (_, terms, _), state, objective in zip(
            steps, alone, objectives, strict=True
        ):
            torch.testing.assert_close(
                policy.objective(terms, state),
                objective[r : r + 1],
                rtol=1e-13,
                atol=0.0,
            )


@every_policy
def test_objective_has_gradient_to_distortion_and_divergence(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    state = walk(policy, state, parameters, script(), floor())[-1]
    *_, (_, terms, _) = script()

    def objective(distortion, kl):
        divergence = kl.sum(dim=-1) @ terms.weight
        return policy.objective(Terms(distortion, divergence, kl, terms.weight), state)

    to_distortion, to_kl = torch.autograd.functional.jacobian(
        objective, (terms.distortion, terms.kl)
    )
    # One line for each objective, one column for each replica's terms.
    to_kl = to_kl.abs().sum(dim=(-2, -1))
    for jacobian in (to_distortion, to_kl):
        assert (jacobian.diagonal() != 0.0).all(), jacobian
        assert torch.equal(jacobian, jacobian.diagonal().diag()), jacobian


@every_policy
def test_state_has_no_gradient_but_to_what_is_trained(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    for weight in parameters.values():
        weight.requires_grad_()
    error, terms, progress = next(script())
    moved = mover(policy).move_variance(state, error, parameters, floor())
    after = policy.update(moved, terms, progress)
    trained = [part.requires_grad for part in parts_of(after).values()]
    assert any(trained) == bool(parameters)
    if parameters:
        after.variance.sum().backward()
        assert all((w.grad != 0.0).all() for w in parameters.values())


@every_policy
def test_nothing_waits_for_a_number(policy, make_sizes):
    # Tensors of the meta device have no numbers to read: to ask for one raises.
    with pytest.raises(RuntimeError, match="meta"):
        bool(torch.ones((), device="meta") > 0.0)

    def meta(values):
        return type(values)(
            *(
                value.to("meta") if isinstance(value, torch.Tensor) else value
                for value in values
            )
        )

    sizes = meta(make_sizes(N_REPLICAS))
    state = policy.init_state(betas().to("meta"), sizes)
    parameters = mover(policy).init_parameters(sizes)
    for error, terms, progress in script():
        terms = meta(terms)
        state = mover(policy).move_variance(
            state, error.to("meta"), parameters, floor().to("meta")
        )
        assert policy.objective(terms, state).shape == (N_REPLICAS,)
        state = policy.update(state, terms, progress)


@every_policy
def test_settled_at_is_a_share_of_the_steps(policy):
    assert 0.0 <= policy.settled_at <= 1.0


@every_policy
def test_only_variance_policies_move_the_variance(policy, make_sizes):
    state, parameters = start(policy, make_sizes)
    states = walk(policy, state, parameters, script(), floor())
    if policy.variance_policy is None:
        assert all(torch.equal(s.variance, state.variance) for s in states)
        assert torch.equal(state.variance, torch.ones_like(state.variance))
    elif not parameters:
        assert not torch.equal(states[0].variance, states[-1].variance)


@variance_policies
@pytest.mark.parametrize("size", [0.0, 1e-12, 1.0, 1e12])
def test_variance_stays_above_the_floor(policy, size, make_sizes):
    state, parameters = start(policy, make_sizes)
    # Whatever is trained may have gone anywhere too.
    parameters = {name: 0.0 * weight - 80.0 for name, weight in parameters.items()}
    lowest = floor().mean() if policy.scope == "shared" else floor()
    for _ in range(3):
        error = torch.full((N_REPLICAS, N_FEATURES), size, dtype=torch.float64)
        state = mover(policy).move_variance(state, error, parameters, floor())
        assert torch.isfinite(state.variance).all()
        assert (state.variance >= lowest * (1.0 - 1e-14)).all()


@variance_policies
def test_variance_is_equivariant_to_units(policy, make_sizes):
    # Everything in squared units of the columns, multiplied by 4: exact in binary.
    states = []
    for scale in (1.0, 4.0):
        state, parameters = start(policy, make_sizes, scale=scale)
        steps = [(scale * e, terms, progress) for e, terms, progress in script()]
        states.append(walk(policy, state, parameters, steps, floor(scale)))
    for one, other in zip(*states, strict=True):
        torch.testing.assert_close(
            4.0 * one.variance, other.variance, rtol=1e-14, atol=0.0
        )
        assert torch.equal(one.beta, other.beta)


@variance_policies
def test_columns_may_come_in_any_order(policy, make_sizes):
    order = torch.tensor([3, 0, 4, 2, 1])
    sizes = make_sizes(N_REPLICAS)
    permuted = sizes._replace(data_variance=sizes.data_variance[order])
    expected = walk(
        policy,
        policy.init_state(betas(), sizes),
        mover(policy).init_parameters(sizes),
        script(),
        floor(),
    )
    states = walk(
        policy,
        policy.init_state(betas(), permuted),
        mover(policy).init_parameters(permuted),
        [(error[:, order], terms, progress) for error, terms, progress in script()],
        floor()[order],
    )
    for one, other in zip(states, expected, strict=True):
        variance = other.variance
        if policy.scope == "feature":
            variance = variance[:, order]
        torch.testing.assert_close(one.variance, variance, rtol=1e-14, atol=0.0)
