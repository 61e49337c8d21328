"""The decoder variance in closed form: one for all features, one for each, or both."""

import pytest
import torch

from skvae.balance import OptimalVariance, RunningAverage

N_FEATURES = 5
ERROR = torch.tensor(
    [[0.5, 1.0, 2.0, 0.1, 0.4], [3.0, 0.2, 0.3, 0.4, 0.1]], dtype=torch.float64
)
FLOOR = torch.full((N_FEATURES,), 1e-6, dtype=torch.float64)

both = pytest.mark.parametrize("cls", [OptimalVariance, RunningAverage])


@pytest.fixture
def make_state(make_sizes):
    """State of two replicas, with candidates to choose between or without."""

    def make(policy, per_feature=None):
        sizes = make_sizes(2)
        if per_feature is not None:
            per_feature = torch.tensor(per_feature, dtype=torch.float64)
            sizes = sizes._replace(per_feature=per_feature)
        return policy.init_state(torch.ones(2, dtype=torch.float64), sizes)

    return make


def variance_at(policy, state, make_terms, progress, error=ERROR):
    """Variance after a step that ends at a share of the plan, and its state."""
    state = policy.update(state, make_terms([1.0] * 2, [1.0] * 2), progress)
    state = policy.move_variance(state, error, {}, FLOOR)
    return state.variance, state


@both
def test_auto_goes_from_shared_to_each_feature(cls, make_state, make_terms):
    policy = cls(scope="auto")
    state = make_state(policy, [0.0, 1.0])
    shared = ERROR.mean(dim=1, keepdim=True).expand(2, N_FEATURES)
    ratios = []
    for progress in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0):
        variance, state = variance_at(policy, state, make_terms, progress)
        # One replica is per feature from the start on.
        torch.testing.assert_close(variance[1], ERROR[1], rtol=1e-12, atol=0.0)
        ratios.append(variance[0] / shared[0])
        if progress <= 0.2:
            torch.testing.assert_close(variance[0], shared[0], rtol=1e-12, atol=0.0)
        if progress >= 0.6:
            torch.testing.assert_close(variance[0], ERROR[0], rtol=1e-12, atol=0.0)
    # A share of 1/4 and 1/2: geometric means.
    full = (ERROR / shared)[0]
    torch.testing.assert_close(ratios[3], full.pow(0.25))
    torch.testing.assert_close(ratios[4], full.pow(0.5))


@both
def test_share_never_falls(cls, make_state, make_terms):
    # As with `partial_fit`, whose progress ends at 1 and stays there.
    policy = cls(scope="auto")
    state, interpolation = make_state(policy, [0.0, 1.0]), []
    for progress in (0.3, 0.5, 0.1, 1.0, 0.2):
        _, state = variance_at(policy, state, make_terms, progress)
        interpolation.append(float(state.variance_map.interpolation[0]))
    assert interpolation == pytest.approx([0.25, 0.75, 0.75, 1.0, 1.0])


@both
@pytest.mark.parametrize("progress", [0.1, 0.5, 1.0])
def test_auto_without_rows_to_choose_by_is_shared(
    cls, progress, make_state, make_terms
):
    variance, _ = variance_at(
        cls(scope="auto"), make_state(cls(scope="auto")), make_terms, progress
    )
    expected, _ = variance_at(
        cls(scope="shared"), make_state(cls(scope="shared")), make_terms, progress
    )
    assert expected.shape == (2, 1)
    torch.testing.assert_close(variance, expected.expand(2, N_FEATURES))


@both
@pytest.mark.parametrize("scope", ["shared", "feature"])
def test_chosen_scope_stays(cls, scope, make_state, make_terms):
    policy = cls(scope=scope)
    state = make_state(policy)
    expected = ERROR if scope == "feature" else ERROR.mean(dim=1, keepdim=True)
    for progress in (0.0, 0.4, 1.0):
        variance, state = variance_at(policy, state, make_terms, progress)
        torch.testing.assert_close(variance, expected, rtol=1e-14, atol=0.0)


@both
@pytest.mark.parametrize("scope", ["auto", "shared", "feature"])
@pytest.mark.parametrize("source", ["auto", "train", "validation"])
def test_held_out_rows_set_the_level(cls, scope, source, make_state, make_terms):
    policy = cls(scope=scope, source=source)
    plain, state = variance_at(policy, make_state(policy, [1.0, 1.0]), make_terms, 1.0)
    ratio = torch.full_like(plain, 1.5)
    validated = policy.after_validation(state, ratio)
    variance, _ = variance_at(policy, validated, make_terms, 1.0)
    factor = 1.0 if source == "train" else 1.5
    torch.testing.assert_close(variance, factor * plain, rtol=1e-12, atol=0.0)
    # It does not add up from epoch to epoch.
    again, _ = variance_at(
        policy, policy.after_validation(validated, ratio), make_terms, 1.0
    )
    torch.testing.assert_close(again, factor * plain, rtol=1e-12, atol=0.0)


@both
def test_level_of_each_feature_is_its_own(cls, make_state, make_terms):
    policy = cls(scope="feature")
    _, state = variance_at(policy, make_state(policy), make_terms, 1.0)
    ratio = torch.linspace(0.8, 3.0, 10, dtype=torch.float64).reshape(2, 5)
    variance, _ = variance_at(
        policy, policy.after_validation(state, ratio), make_terms, 1.0
    )
    torch.testing.assert_close(variance, ratio * ERROR, rtol=1e-14, atol=0.0)


@both
@pytest.mark.parametrize("scope", ["auto", "shared", "feature"])
def test_no_error_and_any_ratio_is_finite(cls, scope, make_state, make_terms):
    policy = cls(scope=scope)
    state = make_state(policy, [0.0, 1.0])
    _, state = variance_at(policy, state, make_terms, 0.5, 0.0 * ERROR)
    for ratio in (1e-7, 1.0, 1e7):
        validated = policy.after_validation(
            state, torch.full_like(state.variance, ratio)
        )
        variance, _ = variance_at(policy, validated, make_terms, 0.5, 0.0 * ERROR)
        expected = 1e-6 * max(1.0, ratio)
        torch.testing.assert_close(variance, torch.full_like(variance, expected))
