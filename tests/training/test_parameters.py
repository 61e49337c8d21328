import math

import pytest
import torch

from skvae.model._weights import flatten, views
from skvae.training._optimizer import Adam
from skvae.training._parameters import FlatParameters

SHAPES = {"a.weight": (3, 4), "a.bias": (4,), "b": (2,)}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def make(n_replicas=2, dtype=torch.float64):
    weights = {
        name: draw(n_replicas, *shape, seed=i)
        for i, (name, shape) in enumerate(SHAPES.items())
    }
    return FlatParameters(SHAPES, flatten(weights).to(dtype)), weights


def objective_of(weights, slope=1.0):
    """Something smooth that couples the weights of each replica."""
    hidden = (weights["a.weight"].sum(dim=1) * weights["a.bias"]).sin()
    return slope * (hidden.sum(dim=1) + weights["b"].square().sum(dim=1))


def test_views_share_memory_with_the_buffer():
    flat, weights = make()
    for name, weight in flat.weights.items():
        assert torch.equal(weight, weights[name]), name
        assert weight.untyped_storage().data_ptr() == (
            flat.values.untyped_storage().data_ptr()
        )
    flat.values.detach().fill_(7.0)
    assert all((weight == 7.0).all() for weight in flat.weights.values())
    with torch.no_grad():
        flat.weights["b"][1, 0] = -1.0
    assert (flat.values == -1.0).sum() == 1


def test_buffer_is_used_as_it_is():
    _, weights = make()
    values = flatten(weights)
    assert FlatParameters(SHAPES, values).values is values


def test_flatten_is_the_inverse_of_views():
    flat, weights = make()
    again = flatten(views(flat.values, SHAPES))
    assert torch.equal(again, flat.values)
    assert again.data_ptr() != flat.values.data_ptr()
    for name, weight in views(again, SHAPES).items():
        assert torch.equal(weight, weights[name]), name


@pytest.mark.parametrize("n_weights", [1, 15, 16, 17, 32])
def test_replicas_fill_whole_vector_registers(n_weights):
    # Or what a replica becomes depends on the replicas before it, by rounding.
    values = flatten({"a": torch.ones(3, n_weights)})
    assert values.shape[1] % 16 == 0
    assert 0 <= values.shape[1] - n_weights < 16
    assert values.sum() == 3 * n_weights


def backward(flat, slope=1.0):
    """Set the gradient to that of an objective."""
    leaves = {name: w.clone().requires_grad_() for name, w in flat.weights.items()}
    objective = objective_of(leaves, slope).sum()
    found = torch.autograd.grad(objective, list(leaves.values()))
    for name, gradient in zip(leaves, found, strict=True):
        flat.gradients[name].copy_(gradient)


def test_gradients_share_memory_with_their_buffer():
    flat, _ = make()
    for gradient in flat.gradients.values():
        gradient.fill_(3.0)
    n_weights = sum(math.prod(shape) for shape in SHAPES.values())
    assert (flat.gradient[:, :n_weights] == 3.0).all()
    assert (flat.gradient[:, n_weights:] == 0.0).all()


@pytest.mark.parametrize("size", [1e6, 1e300, math.inf, math.nan])
def test_exploding_replica_leaves_the_others(size):
    flat, _ = make(n_replicas=3)
    optimizer = Adam(flat)
    backward(flat)
    before = flat.gradient.clone()
    norm = torch.linalg.vector_norm(before, dim=1)
    flat.gradient[1, 2] = size
    flat.clip(float(norm.max()) + 1.0)
    for r in (0, 2):
        assert torch.equal(flat.gradient[r], before[r])
    optimizer.step(0.1, 0.0)
    for weights in flat.weights.values():
        assert torch.isfinite(weights[[0, 2]]).all()


def test_clip_scales_down_to_the_norm():
    flat, _ = make(n_replicas=3)
    flat.gradient.copy_(torch.tensor([[0.1], [0.5], [7.0]]).double())
    direction = flat.gradient / torch.linalg.vector_norm(
        flat.gradient, dim=1, keepdim=True
    )
    flat.clip(4.5)
    norm = torch.linalg.vector_norm(flat.gradient, dim=1)
    width = math.sqrt(flat.gradient.shape[1])
    expected = torch.tensor([0.1 * width, 0.5 * width, 4.5]).double()
    torch.testing.assert_close(norm, expected)
    torch.testing.assert_close(flat.gradient, norm[:, None] * direction)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
def test_steps_equal_those_of_torch(weight_decay, dtype, tolerance):
    flat, weights = make(n_replicas=1, dtype=dtype)
    adam = Adam(flat)
    leaves = {name: w.to(dtype).clone() for name, w in weights.items()}
    for leaf in leaves.values():
        leaf.requires_grad_()
    optimizer = torch.optim.AdamW(
        leaves.values(), betas=(0.9, 0.99), weight_decay=weight_decay, foreach=False
    )
    for step in range(20):
        learning_rate = 0.1 / (1 + step)
        # The size of the gradient changes, as in training.
        backward(flat, slope=1.0 + step)
        adam.step(learning_rate, weight_decay)

        optimizer.zero_grad()
        objective_of(leaves, slope=1.0 + step).sum().backward()
        optimizer.param_groups[0]["lr"] = learning_rate
        optimizer.step()
    for name, weight in flat.weights.items():
        torch.testing.assert_close(
            weight, leaves[name], rtol=tolerance, atol=tolerance, msg=name
        )
        assert not torch.equal(weight, weights[name].to(dtype))


def test_decay_may_stop_at_a_weight():
    # What a policy trains beside the module is not pulled to zero.
    n_decayed = 12 + 4
    (flat, _), (still, _) = make(), make()
    for one, decay in ((flat, 0.5), (still, 0.0)):
        backward(one)
        Adam(one, n_decayed).step(0.1, decay)
    start, _ = make()
    difference = flat.values.detach() - still.values.detach()
    expected = -0.1 * 0.5 * start.values.detach()
    expected[:, n_decayed:] = 0.0
    torch.testing.assert_close(difference, expected, rtol=1e-12, atol=1e-14)


def test_replica_does_not_depend_on_those_beside_it():
    together, weights = make(n_replicas=3)
    singles = [
        FlatParameters(
            SHAPES, flatten({name: w[r : r + 1] for name, w in weights.items()})
        )
        for r in range(3)
    ]
    for flat in (together, *singles):
        optimizer = Adam(flat)
        for step in range(20):
            backward(flat, slope=1.0 + step)
            flat.clip(3.0)
            optimizer.step(0.05, 0.1)
    torch.testing.assert_close(
        together.values,
        torch.cat([flat.values for flat in singles]),
        rtol=1e-12,
        atol=1e-13,
    )
