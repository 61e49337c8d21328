"""What the policies with a set point share: targets in closed form, and warnings."""

import math
import warnings

import numpy as np
import pytest
import torch

from skvae.balance import Capacity, Control, Dynamic, Geco, Sizes
from skvae.linear._model import LinearModel

EIGENVALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])
CONSTANT = 3.0 * math.log(2.0 * math.pi)

RATE_POLICIES = [Capacity, Control, Dynamic]
every_class = pytest.mark.parametrize("cls", [*RATE_POLICIES, Geco])


def linear_model(eigenvalues, n_components):
    """The linear model of a covariance with these eigenvalues, descending."""
    kept = np.zeros(n_components)
    kept[: len(eigenvalues)] = eigenvalues[:n_components]
    return LinearModel(
        kept,
        np.eye(n_components, len(eigenvalues)),
        float(eigenvalues[n_components:].sum()),
        len(eigenvalues),
    )


def sizes_of(eigenvalues=EIGENVALUES, n_components=3, **changes):
    sizes = Sizes(
        n_replicas=2,
        n_features=len(eigenvalues),
        n_components=n_components,
        variance=torch.ones(1, dtype=torch.float64),
        data_variance=torch.ones(len(eigenvalues), dtype=torch.float64),
        linear_model=lambda: linear_model(eigenvalues, n_components),
    )
    return sizes._replace(**changes)


def target_of(policy, sizes, beta=1.0):
    """Set point of a policy, the same for all replicas."""
    state = policy.init_state(torch.tensor([beta, beta], dtype=torch.float64), sizes)
    assert state.target.shape == (2,)
    assert state.target[0] == state.target[1]
    return float(state.target[0])


@every_class
def test_a_number_is_the_target(cls):
    assert target_of(cls(target=7.0), sizes_of()) == 7.0
    assert target_of(cls(target=7.0), sizes_of(linear_model=None)) == 7.0


@pytest.mark.parametrize("cls", RATE_POLICIES)
@pytest.mark.parametrize(
    ("n_components", "rate"), [(1, 0.804719), (2, 1.732868), (4, 3.465736)]
)
def test_auto_is_the_rate_of_probabilistic_pca(cls, n_components, rate):
    target = target_of(cls(), sizes_of(n_components=n_components))
    assert target == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize(("n_components", "variance"), [(1, 0.8), (2, 0.5), (4, 0.25)])
def test_auto_is_the_distortion_of_probabilistic_pca(n_components, variance):
    # The squared error is as much as the noise: D times its variance.
    expected = 3.0 * variance + CONSTANT
    assert target_of(Geco(), sizes_of(n_components=n_components)) == pytest.approx(
        expected
    )


def test_auto_distortion_is_in_the_units_of_X():
    plain = target_of(Geco(), sizes_of())
    # Columns that are scaled up inside the model, and a decoder of another variance.
    assert target_of(Geco(), sizes_of(log_jacobian=-7.5)) == pytest.approx(plain - 7.5)
    variance = torch.tensor([4.0], dtype=torch.float64)
    assert target_of(Geco(), sizes_of(variance=variance)) == pytest.approx(
        plain + 3.0 * math.log(4.0)
    )
    each = torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0, 16.0], dtype=torch.float64)
    assert target_of(Geco(), sizes_of(variance=each)) == pytest.approx(
        plain + 0.5 * math.log(64.0)
    )


@pytest.mark.parametrize("n_components", [6, 9])
@pytest.mark.parametrize("cls", RATE_POLICIES)
def test_auto_without_noise_has_an_end(cls, n_components):
    # As many latents as features: a thousandth of the mean eigenvalue, 8 / 6.
    policy = cls(max_beta=10.0) if cls is Control else cls()
    target = target_of(policy, sizes_of(n_components=n_components))
    expected = 0.5 * np.log(EIGENVALUES / (8e-3 / 6.0)).sum()
    assert target == pytest.approx(expected)


def test_auto_distortion_without_noise():
    target = target_of(Geco(), sizes_of(n_components=6))
    assert target == pytest.approx(0.5 * 8e-3 + CONSTANT)


@every_class
def test_auto_of_columns_that_are_all_constant(cls):
    target = target_of(cls(), sizes_of(np.zeros(6)))
    assert target == pytest.approx(CONSTANT if cls is Geco else 0.0)


@every_class
def test_auto_needs_a_likelihood_with_a_variance(cls):
    match = (
        rf"{cls.__name__}\(\) takes its target from the linear model .* but the "
        "likelihood has none. Pass target as a number of nats per row, or use a "
        "likelihood with a variance, such as 'gaussian'"
    )
    with pytest.raises(ValueError, match=match):
        target_of(cls(), sizes_of(linear_model=None))


@pytest.mark.parametrize(
    ("policy", "beta", "reach"),
    [
        # Three latents leave 1.0 of the squared error; without latents it is 8.0.
        (Geco(target=CONSTANT + 0.49), 1.0, "distortion .* from 6.014 to 9.514"),
        (Geco(target=CONSTANT + 4.01), 1.0, "distortion .* from 6.014 to 9.514"),
        # A nat is worth more than gamma = 1 until the rate is 1.04, and one of
        # gamma = 0.5 until it is 1.73 or, with three latents, 2.08.
        (Capacity(target=1.0, weight=1.0), 1.0, r"rate of 1 nats .* from 1\.04 to inf"),
        (Capacity(target=2.0, weight=1.0), 0.5, r"rate of 2 nats .* from 2.079 to inf"),
        (Control(target=0.3, max_beta=2.0), 1.0, r"from 0\.3466 to inf"),
        (Control(target=2.1, min_beta=0.5), 1.0, r"from 0 to 2\.079"),
        (Dynamic(target=2.1, min_beta=0.5), 1.0, r"from 0 to 2\.079"),
    ],
)
def test_target_that_no_linear_model_meets(policy, beta, reach):
    match = (
        rf"(?s)steers to a .*the linear model of this size reaches .*{reach}|{reach}"
    )
    with pytest.warns(UserWarning, match=match) as caught:
        target_of(policy, sizes_of(), beta)
    # Once for all replicas, and with what to do.
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith(f"{policy!r} steers to a {policy.steered} of ")
    assert "the linear model of this size reaches from" in message
    assert "Choose a target between the two" in message


@every_class
def test_any_target_of_constant_columns_is_out_of_reach(cls):
    target = CONSTANT + 1.0 if cls is Geco else 1.0
    with pytest.warns(UserWarning, match=r"reaches from (0 to 0|5.514 to 5.514)\."):
        target_of(cls(target=target), sizes_of(np.zeros(6)))


@pytest.mark.parametrize(
    ("policy", "beta"),
    [
        (Geco(target=CONSTANT + 0.51), 1.0),
        (Geco(target=CONSTANT + 3.99), 1.0),
        (Capacity(target=1.05, weight=1.0), 1.0),
        (Capacity(target=100.0), 1.0),
        # beta = 0 asks for no target.
        (Capacity(target=1.0), 0.0),
        (Control(target=0.35, max_beta=2.0), 1.0),
        (Control(target=2.07, min_beta=0.5), 1.0),
        (Control(target=100.0), 1.0),
        (Dynamic(target=2.07, min_beta=0.5), 1.0),
        (Dynamic(target=1e-3), 1.0),
    ],
)
def test_target_within_reach_does_not_warn(policy, beta):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target_of(policy, sizes_of(), beta)


@every_class
def test_held_out_rows_judge_from_half_of_the_steps(cls):
    assert cls(target=1.0).settled_at == 0.5
