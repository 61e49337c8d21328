import pytest
import torch

from skvae.balance import Capacity, Constant, Terms


def start(policy, make_sizes, beta=1.0):
    return policy.init_state(torch.tensor([beta], dtype=torch.float64), make_sizes())


def objective(policy, terms, make_sizes, beta=1.0):
    return float(policy.objective(terms, start(policy, make_sizes, beta))[0])


def terms_of(kl, distortion=10.0):
    """Terms of one latent with these KL divergences, one a row."""
    kl = torch.as_tensor(kl, dtype=torch.float64)[None, :, None]
    weight = torch.full((kl.shape[1],), 1.0 / kl.shape[1], dtype=torch.float64)
    distortion = torch.tensor([distortion], dtype=torch.float64)
    return Terms(distortion, kl.sum(dim=2) @ weight, kl, weight)


@pytest.mark.parametrize("per_row", [False, True])
def test_no_charge_at_the_target(per_row, make_terms, make_sizes):
    policy = Capacity(target=3.0, per_row=per_row)
    assert objective(policy, make_terms([10.0], [3.0]), make_sizes) == pytest.approx(
        10.0, rel=1e-14
    )


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize(("rate", "sign"), [(2.0, -1.0), (4.0, 1.0)])
def test_slope_is_gamma_to_either_side(per_row, rate, sign, make_terms, make_sizes):
    policy = Capacity(target=3.0, weight=1000.0, per_row=per_row)
    terms = make_terms([10.0], [rate])
    kl = terms.kl.clone().requires_grad_()
    state = start(policy, make_sizes, beta=0.5)
    value = policy.objective(terms._replace(kl=kl), state)
    assert value.item() == pytest.approx(10.0 + 500.0)
    value.sum().backward()
    expected = sign * 500.0 * terms.weight[None, :, None].expand_as(kl)
    torch.testing.assert_close(kl.grad, expected)


def test_beta_in_force_is_the_weight(make_sizes):
    assert start(Capacity(3.0, weight=20.0), make_sizes, beta=0.5).beta.item() == 10.0


def test_target_zero_is_constant_beta(make_terms, make_sizes):
    terms = make_terms([10.0], [2.5])
    capacity = objective(Capacity(target=0.0, weight=6.0), terms, make_sizes, 0.5)
    expected = objective(Constant(), terms, make_sizes, beta=3.0)
    assert capacity == pytest.approx(expected, rel=1e-14)


def test_default_is_of_the_mean_rate(make_sizes):
    # A published implementation takes the absolute value of each row.
    terms = terms_of([1.0, 5.0])
    mean = Capacity(target=3.0, weight=2.0)
    assert objective(mean, terms, make_sizes) == 10.0
    each = Capacity(target=3.0, weight=2.0, per_row=True)
    assert objective(each, terms, make_sizes) == 10.0 + 2.0 * 2.0


def test_per_row_is_never_smaller(make_sizes):
    generator = torch.Generator().manual_seed(0)
    differ = 0
    for _ in range(50):
        kl = 4.0 * torch.rand(6, generator=generator, dtype=torch.float64)
        values = [
            objective(Capacity(2.0, per_row=per_row), terms_of(kl), make_sizes)
            for per_row in (False, True)
        ]
        assert values[0] <= values[1] + 1e-12
        differ += values[0] < values[1] - 1e-3
    assert differ > 40


def test_target_that_is_replaced_in_the_state_counts(make_terms, make_sizes):
    policy = Capacity(target=3.0, weight=2.0)
    state = start(policy, make_sizes)
    state = state._replace(target=state.target - 1.0)
    found = policy.objective(make_terms([10.0], [2.5]), state).item()
    assert found == pytest.approx(11.0, rel=1e-14)
