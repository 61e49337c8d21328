import pytest
import torch

from skvae.balance import Constant, FreeBits, Terms

MATRIX = [[0.0, 0.5], [0.4, 0.7]]


def terms_of(kl):
    kl = torch.as_tensor(kl, dtype=torch.float64)[None]
    weight = torch.full((kl.shape[1],), 1.0 / kl.shape[1], dtype=torch.float64)
    distortion = torch.tensor([10.0], dtype=torch.float64)
    return Terms(distortion, kl.sum(dim=2) @ weight, kl, weight)


def charged(policy, kl, make_sizes, beta=1.0):
    """What the policy adds to the distortion."""
    state = policy.init_state(torch.tensor([beta], dtype=torch.float64), make_sizes())
    return float(policy.objective(terms_of(kl), state)[0]) - 10.0


@pytest.mark.parametrize(
    ("kl", "kind", "expected"),
    [
        (MATRIX, "latent", 0.90),
        (MATRIX, "row", 0.95),
        (MATRIX, "total", 0.80),
        ([[0.1, 0.5], [0.3, 0.7]], "latent", 0.90),
        ([[0.1, 0.5], [0.3, 0.7]], "row", 0.90),
        ([[0.1, 0.1], [0.1, 0.1]], "total", 0.30),
    ],
)
def test_floors(kl, kind, expected, make_sizes):
    policy = FreeBits(floor=0.3, kind=kind)
    assert charged(policy, kl, make_sizes) == pytest.approx(expected)
    assert charged(policy, kl, make_sizes, beta=4.0) == pytest.approx(4.0 * expected)


@pytest.mark.parametrize("kind", ["latent", "row", "total"])
def test_above_the_floor_it_is_constant_beta(kind, make_sizes):
    kl = [[0.4, 0.5], [0.6, 0.7]]
    rate = charged(Constant(), kl, make_sizes, beta=2.0)
    assert charged(FreeBits(0.3, kind), kl, make_sizes, 2.0) == pytest.approx(rate)


def test_charge_is_at_least_the_floors_and_most_for_rows(make_sizes):
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        kl = torch.rand(6, 4, generator=generator, dtype=torch.float64)
        total, latent, row = (
            charged(FreeBits(0.5, kind), kl, make_sizes)
            for kind in ("total", "latent", "row")
        )
        assert total <= latent + 1e-12 <= row + 2e-12
        assert latent >= 4 * 0.5 - 1e-12


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # 0.2 and 0.6 are the means of the columns.
        ("latent", [[0.0, 0.5], [0.0, 0.5]]),
        ("row", [[0.0, 0.5], [0.5, 0.5]]),
        ("total", [[0.5, 0.5], [0.5, 0.5]]),
    ],
)
def test_no_gradient_below_the_floor(kind, expected, make_sizes):
    policy = FreeBits(floor=0.3, kind=kind)
    state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
    terms = terms_of(MATRIX)
    kl = terms.kl.clone().requires_grad_()
    policy.objective(terms._replace(kl=kl), state).sum().backward()
    assert kl.grad[0].tolist() == expected


def test_total_below_its_floor_has_no_gradient(make_sizes):
    policy = FreeBits(floor=0.9, kind="total")
    state = policy.init_state(torch.ones(1, dtype=torch.float64), make_sizes())
    terms = terms_of(MATRIX)
    kl = terms.kl.clone().requires_grad_()
    policy.objective(terms._replace(kl=kl), state).sum().backward()
    assert not kl.grad.any()
