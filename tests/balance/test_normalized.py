import pytest
import torch

from skvae.balance import Normalized, beta_from_loss, loss_from_beta


@pytest.mark.parametrize("beta_norm", [0.0, 0.001, 1.0, 10.0])
def test_beta_norm_is_the_weight_of_means(beta_norm, make_sizes, make_terms):
    sizes = make_sizes(2)
    policy = Normalized()
    beta = torch.full((2,), beta_norm, dtype=torch.float64)
    state = policy.init_state(beta, sizes)
    state = policy.update(state, make_terms([1.0] * 2, [1.0] * 2), 1.0)
    in_force = float(state.beta[0])
    assert state.beta.tolist() == [in_force, in_force]

    means = {
        "n_features": sizes.n_features,
        "n_components": sizes.n_components,
        "error": "half_squared",
        "error_reduction": "mean",
        "kl_reduction": "mean",
    }
    assert in_force == pytest.approx(beta_from_loss(beta_norm, **means), rel=1e-15)
    # Higgins et al. (2017): beta_norm = beta M / D.
    back = in_force * sizes.n_components / sizes.n_features
    assert back == pytest.approx(beta_norm, rel=1e-15)
    assert loss_from_beta(in_force, **means) == pytest.approx(beta_norm, rel=1e-15)
