import math

import numpy as np
import pytest
import torch

from skvae.balance import Geco
from skvae.linear._model import LinearModel

# Three latents and no linear model: half a nat each for a unit of log beta.
SLOPE = 1.5


@pytest.fixture
def feed(make_sizes, make_terms):
    """Feed distortions to a policy; return its betas, one a batch."""

    def feed(policy, distortions, beta=1.0, progress=1.0, log_jacobian=0.0):
        sizes = make_sizes()._replace(log_jacobian=log_jacobian)
        state = policy.init_state(torch.tensor([beta], dtype=torch.float64), sizes)
        betas = []
        for distortion in distortions:
            state = policy.update(state, make_terms([distortion], [1.0]), progress)
            betas.append(float(state.beta[0]))
        return betas

    return feed


def test_beta_stays_where_the_target_is_met(feed):
    betas = feed(Geco(target=5.0), [5.0] * 10, beta=0.3)
    assert betas == pytest.approx([0.3] * 10, rel=1e-12)


def test_log_beta_falls_linearly_above_the_target(feed):
    betas = feed(Geco(target=5.0, step=0.01), [7.0] * 20)
    slope = -0.01 * 2.0 / SLOPE
    expected = [slope * (i + 1) for i in range(20)]
    assert [math.log(beta) for beta in betas] == pytest.approx(expected)


def test_log_beta_rises_faster_below_the_target(feed):
    betas = feed(Geco(target=5.0, step=0.01, speedup=4.0), [4.0] * 20)
    slope = 4.0 * 0.01 * 1.0 / SLOPE
    expected = [slope * (i + 1) for i in range(20)]
    assert [math.log(beta) for beta in betas] == pytest.approx(expected)


def test_distortions_are_averaged_from_the_first_one_on(feed):
    betas = feed(Geco(target=5.0, step=0.01, decay=0.75), [7.0, 11.0])
    # 0.75 * 7 + 0.25 * 11 = 8.
    expected = [-0.01 * 2.0 / SLOPE, -0.01 * (2.0 + 3.0) / SLOPE]
    assert [math.log(beta) for beta in betas] == pytest.approx(expected)


def test_distortion_is_held_against_the_target_in_the_units_of_X(feed):
    betas = feed(Geco(target=-2.0), [5.0] * 3, log_jacobian=-7.0)
    assert betas == pytest.approx([1.0] * 3, rel=1e-12)


def test_one_step_changes_beta_by_at_most_a_tenth(feed):
    # The error of a decoder that is not trained yet.
    assert feed(Geco(target=5.0), [1e6] * 2) == pytest.approx([0.9, 0.81])
    assert feed(Geco(target=5.0), [-1e6] * 2) == pytest.approx([1.1, 1.21])


def test_beta_is_held_at_first(feed, make_sizes, make_terms):
    policy = Geco(target=5.0, hold=0.25, decay=0.0)
    assert feed(policy, [7.0] * 3, progress=0.25) == [1.0] * 3
    assert feed(policy, [7.0], progress=0.26)[0] < 1.0
    # The errors of that time are averaged.
    state = policy.set_params(decay=0.5).init_state(
        torch.ones(1, dtype=torch.float64), make_sizes()
    )
    for distortion in (7.0, 9.0):
        state = policy.update(state, make_terms([distortion], [1.0]), 0.1)
    assert state.average.item() == 8.0


def test_limits_of_beta(feed):
    low = feed(Geco(target=5.0), [1e6] * 300)
    assert low[-1] == 1e-10
    # From there it comes back at once.
    *_, before, after = feed(Geco(target=5.0, decay=0.0), [1e6] * 300 + [-1e6])
    assert before == 1e-10
    assert after == pytest.approx(1.1e-10)
    assert feed(Geco(target=5.0), [-1e6] * 300)[-1] == 1e10
    # A start at zero would stay there.
    assert feed(Geco(target=5.0), [-1e6], beta=0.0) == pytest.approx([1.1e-10])


def test_step_is_in_units_of_the_linear_models_slope(make_sizes):
    eigenvalues = np.array([4.0, 2.0, 1.0])
    model = LinearModel(eigenvalues, np.eye(3, 5), 1.0, 5)
    sizes = make_sizes()._replace(linear_model=lambda: model)
    constant = 2.5 * math.log(2.0 * math.pi)
    for theta, n_active in [(0.25, 3), (1.5, 2), (3.0, 1)]:
        # Twice the distortion but for its constant is the squared error.
        target = constant + 0.5 * model.squared_error(theta)
        state = Geco(target=target, step=0.01).init_state(
            torch.ones(1, dtype=torch.float64), sizes
        )
        assert state.gain.item() == pytest.approx(0.01 / (0.5 * theta * n_active))


def test_ends_at_the_water_level_of_the_linear_model(make_sizes, make_terms):
    """Quasi-static: each step sees the distortion of the optimum for its beta."""
    eigenvalues = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25, 0.25], dtype=torch.float64)
    policy = Geco(target=1.25, step=0.01)
    state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
    for _ in range(4000):
        error = eigenvalues.minimum(state.beta).sum()
        state = policy.update(state, make_terms([0.5 * error], [1.0]), 1.0)
    assert state.beta.item() == pytest.approx(0.5, rel=1e-6)
