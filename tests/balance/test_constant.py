import torch

from skvae.balance import Constant


def test_beta_is_what_was_asked_for(make_sizes, make_terms):
    beta = torch.tensor([0.0, 0.3, 16.0], dtype=torch.float64)
    policy = Constant()
    state = policy.init_state(beta, make_sizes(3))
    for progress in (0.1, 0.5, 1.0):
        state = policy.update(state, make_terms([1.0] * 3, [2.0] * 3), progress)
        assert torch.equal(state.beta, beta)


def test_objective_is_affine_in_beta(make_sizes, make_terms):
    beta = torch.tensor([0.0, 1.0, 2.0, 7.0], dtype=torch.float64)
    policy = Constant()
    state = policy.init_state(beta, make_sizes(4))
    objective = policy.objective(make_terms([5.0] * 4, [3.0] * 4), state)
    # Without a weight it is the distortion alone, with weight 1 minus the elbo.
    expected = torch.tensor([5.0, 8.0, 11.0, 26.0], dtype=torch.float64)
    torch.testing.assert_close(objective, expected, rtol=1e-14, atol=0.0)
